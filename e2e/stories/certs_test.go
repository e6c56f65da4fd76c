package stories

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
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
	_, err := s.Kubectl(t.Context(), "label", "namespace", "default", "mutatevirtualmachines.kubemacpool.io=allocate")
	require.NoError(t, err)
	before := caBundle(t, s)
	creating, stop := context.WithCancel(t.Context())
	creators, ctx := errgroup.WithContext(creating)
	var created atomic.Int64
	for worker := range 4 {
		creators.Go(func() error {
			for n := 0; ctx.Err() == nil; n++ {
				// The request is not cut short when the test has seen enough.
				vm := vmWith(fmt.Sprintf("vm-%d-%d", worker, n), make([]macpool.MAC, 2))
				if err := s.Client.Create(context.WithoutCancel(ctx), vm); err != nil {
					return err
				}
				created.Add(1)
			}
			return nil
		})
	}
	waitUntil(t, func() bool { return created.Load() > 20 })
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "bridgehead-system", Name: certs.SecretName}}
	require.NoError(t, s.Client.Delete(t.Context(), secret))
	waitUntil(t, func() bool { return string(caBundle(t, s)) != string(before) })
	sofar := created.Load()
	waitUntil(t, func() bool { return created.Load() > sofar+50 || ctx.Err() != nil })
	stop()
	require.NoError(t, creators.Wait())
	assert.Contains(t, string(caBundle(t, s)), string(before), "the CA before is still trusted")
}

func caBundle(t *testing.T, s *suite.Suite) []byte {
	var configuration admissionregistrationv1.MutatingWebhookConfiguration
	require.NoError(t, s.Client.Get(t.Context(), client.ObjectKey{Name: "bridgehead"}, &configuration))
	return configuration.Webhooks[0].ClientConfig.CABundle
}

func waitUntil(t *testing.T, what func() bool) {
	t.Helper()
	require.NoError(t, wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true,
		func(context.Context) (bool, error) { return what(), nil }))
}
