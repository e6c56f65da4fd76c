// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestAnInstallWhosePodsNeverStartStopsNobody(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{}) // as with an image that is not there
	_, err := s.Kubectl(t.Context(), "label", "namespace", "default",
		"mutatevirtualmachines.kubemacpool.io=allocate", "mutatepods.kubemacpool.io=allocate")
	require.NoError(t, err)
	require.NoError(t, s.Client.Create(t.Context(), vmWith("vm", make([]macpool.MAC, 1))))
	require.NoError(t, s.Client.Create(t.Context(), podWith("default", "pod", "52:54:00:00:00:01", nil)))

	replica, err := s.StartReplica(t.Context())
	require.NoError(t, err)
	vm := vmWith("served", make([]macpool.MAC, 1))
	waitUntil(t, func() bool {
		require.NoError(t, s.Client.Create(t.Context(), vm, client.DryRunAll))
		return macsOf(t, vm)[0] != ""
	})
	require.NoError(t, s.Kill(replica))
	assert.Error(t, s.Client.Create(t.Context(), vmWith("unserved", make([]macpool.MAC, 1))), "what was in force stays so")
}

// webhookNames returns the names of the mutating webhooks that are in force.
func webhookNames(t *testing.T, s *suite.Suite) []string {
	t.Helper()
	var names []string
	var c admissionregistrationv1.MutatingWebhookConfiguration
	require.NoError(t, client.IgnoreNotFound(s.Client.Get(t.Context(), client.ObjectKey{Name: "zz-bridgehead"}, &c)))
	for _, w := range c.Webhooks {
		names = append(names, w.Name)
	}
	return names
}

func TestAWebhookThatTheManifestsNoLongerHaveGoesAndOneTheyHaveComes(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 2})
	root, err := suite.Root()
	require.NoError(t, err)
	all := webhookNames(t, s)
	require.Contains(t, all, "mutatevirtualmachines.kubemacpool.io")

	rendered, err := s.Kubectl(t.Context(), "kustomize", root+"/manifests")
	require.NoError(t, err)
	_, err = s.KubectlInput(
		t.Context(), without(t, rendered, "mutatevirtualmachines.kubemacpool.io"), "apply", "--server-side", "-f", "-",
	)
	require.NoError(t, err)
	waitUntil(t, func() bool { return len(webhookNames(t, s)) == len(all)-1 })
	assert.NotContains(t, webhookNames(t, s), "mutatevirtualmachines.kubemacpool.io")

	require.NoError(t, s.Apply(t.Context(), root+"/manifests"))
	waitUntil(t, func() bool { return len(webhookNames(t, s)) == len(all) })
	assert.Equal(t, all, webhookNames(t, s))
	assert.NotEmpty(t, caBundle(t, s))
}

func TestWithoutTheirTemplatesTheWebhooksGo(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 2})
	require.NotEmpty(t, webhookNames(t, s))
	for kind, name := range map[string]string{
		"mutatingwebhookconfiguration": "zz-bridgehead", "validatingwebhookconfiguration": "bridgehead",
	} {
		_, err := s.Kubectl(t.Context(), "delete", kind, name+"-template")
		require.NoError(t, err)
		waitUntil(t, func() bool {
			_, err := s.Kubectl(t.Context(), "get", kind, name)
			return err != nil
		})
	}
}

func TestWhatAnEarlierReleaseHadByAnotherNameGoes(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{})
	live := &admissionregistrationv1.MutatingWebhookConfiguration{}
	root, err := suite.Root()
	require.NoError(t, err)
	rendered, err := s.Kubectl(t.Context(), "kustomize", root+"/manifests")
	require.NoError(t, err)
	_, err = s.KubectlInput(t.Context(),
		strings.ReplaceAll(rendered, "zz-bridgehead-template", "bridgehead-template"), "apply", "--server-side", "-f", "-")
	require.NoError(t, err)
	none, ignore := admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Ignore
	require.NoError(t, s.Client.Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "bridgehead"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "pods.bridgehead.dev", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none, FailurePolicy: &ignore,
			ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{
				Namespace: "bridgehead-system", Name: "bridgehead-webhook",
			}},
		}},
	}))

	require.NoError(t, s.Apply(t.Context(), root+"/manifests"))
	_, err = s.StartReplica(t.Context())
	require.NoError(t, err)
	for _, name := range []string{"bridgehead-template", "bridgehead"} {
		waitUntil(t, func() bool {
			return apierrors.IsNotFound(s.Client.Get(t.Context(), client.ObjectKey{Name: name}, live))
		})
	}
	require.NoError(t, s.Client.Get(t.Context(), client.ObjectKey{Name: "zz-bridgehead"}, live), "this is in force before")
}
