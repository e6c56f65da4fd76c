// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/certs"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestNewCADoesNotFailOneRequest(t *testing.T) {
	s := suite.StartForTest(t, suite.Options{Replicas: 2, Flags: []string{"--connection-max-age=1ms"}})
	optIn(t, s)
	before := caBundle(t, s)
	clients := startLoad(t, s, 4)
	clients.waitFor(t, 20)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "bridgehead-system", Name: certs.SecretName}}
	require.NoError(t, s.Client.Delete(t.Context(), secret))
	waitUntil(t, func() bool { return string(caBundle(t, s)) != string(before) })
	clients.waitFor(t, 50)
	clients.stop(t)
	assert.Contains(t, string(caBundle(t, s)), string(before), "the CA before is still trusted")
}

func caBundle(t *testing.T, s *suite.Suite) []byte {
	var configuration admissionregistrationv1.MutatingWebhookConfiguration
	require.NoError(t, s.Client.Get(t.Context(), client.ObjectKey{Name: "zz-bridgehead"}, &configuration))
	return configuration.Webhooks[0].ClientConfig.CABundle
}

// optIn has the VM webhook serve namespace default, and returns when the API server knows.
func optIn(t *testing.T, s *suite.Suite) {
	t.Helper()
	_, err := s.Kubectl(t.Context(), "label", "namespace", "default", "mutatevirtualmachines.kubemacpool.io=allocate")
	require.NoError(t, err)
	waitUntil(t, func() bool {
		vm := vmWith("dry", make([]macpool.MAC, 1))
		require.NoError(t, s.Client.Create(t.Context(), vm, client.DryRunAll))
		return macsOf(t, vm)[0] != ""
	})
}

func waitUntil(t *testing.T, what func() bool) {
	t.Helper()
	require.NoError(t, wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true,
		func(context.Context) (bool, error) { return what(), nil }))
}
