// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

func TestFlagsThatMakeNoSenseAreRefusedBeforeAnythingIsDone(t *testing.T) {
	for name, tc := range map[string]struct{ flag, want string }{
		"a level that no log has":                {"--log-level=loud", "--log-level: "},
		"a time in which nothing can be created": {"--request-timeout=999ms", "--request-timeout: 999ms is too short"},
		"a keeper of the CA that there is not":   {"--ca=vault", `--ca: "vault" is none of built-in, cert-manager`},
		"namespaces that are no selector":        {"--pod-namespaces=a b", "--pod-namespaces: "},
		"no way to reach an API server":          {"--kubeconfig=/nowhere", "read how to reach the API server (--kubeconfig): "},
	} {
		t.Run(name, func(t *testing.T) {
			options := defaultOptions("", "")
			require.NoError(t, options.parse([]string{tc.flag}))
			assert.ErrorContains(t, run(t.Context(), options), tc.want)
		})
	}
}

func TestAValueApartFromItsFlagIsRefused(t *testing.T) {
	options := defaultOptions("", "")
	assert.ErrorContains(t, options.parse([]string{"--metrics-secure", "false"}), `"false" is no flag`)
}

func TestTheEnvironmentNamesAReplica(t *testing.T) {
	options := defaultOptions("here", "replica-1")
	require.NoError(t, options.parse([]string{"--pod-name=replica-2"}))
	assert.Equal(t, "here", options.Namespace)
	assert.Equal(t, "replica-2", options.Pod, "a flag has the last word")
	assert.Equal(t, "bridgehead-system", defaultOptions("", "").Namespace)
	assert.NotEmpty(t, defaultOptions("", "").Pod)
}

func TestThePodIsGivenTheTimeThatAReplicaTakesToEnd(t *testing.T) {
	text, err := os.ReadFile("../../manifests/base/deployment.yaml")
	require.NoError(t, err)
	var deployment appsv1.Deployment
	require.NoError(t, yaml.Unmarshal(text, &deployment))
	pod := deployment.Spec.Template.Spec
	require.NotNil(t, pod.TerminationGracePeriodSeconds)
	options := defaultOptions("", "")
	require.NoError(t, options.parse(pod.Containers[0].Args))
	given := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second
	assert.GreaterOrEqual(t, given, options.DrainTimeout+closeTimeout+10*time.Second)
}
