// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/certs"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// rotations are how often the CA is replaced under load where that takes no waiting, and waited those where it does.
const rotations, waited = 10, 5

func TestANewCADoesNotFailOneRequest(t *testing.T) {
	t.Parallel()
	for keeping, start := range map[certs.Keeping]func(*testing.T) *suite.Suite{
		certs.BuiltIn: func(t *testing.T) *suite.Suite {
			return suite.StartForTest(t, suite.Options{Replicas: 2, Flags: []string{"--connection-max-age=1ms"}})
		},
		certs.CertManager: startWithCertManager,
	} {
		t.Run(string(keeping), func(t *testing.T) {
			t.Parallel()
			s := start(t)
			optIn(t, s)
			clients := startLoad(t, s, 4)
			began := time.Now()
			clients.waitFor(t, 20)
			if keeping == certs.CertManager {
				replaceEvery20Seconds(t, s, clients)
			} else {
				for range rotations - 5 { // the faults below make five more
					requireNewCA(t, s, clients, func() { spoilSecret(t, s, nil) })
				}
			}
			for name, spoil := range map[string]func(*corev1.Secret){
				"deleted":  nil,
				"emptied":  func(secret *corev1.Secret) { clear(secret.Data) },
				"replaced": func(secret *corev1.Secret) { secret.Data[corev1.TLSCertKey] = []byte("rubbish") },
				"without its key": func(secret *corev1.Secret) {
					secret.Data[corev1.TLSPrivateKeyKey] = []byte("rubbish")
				},
				"with a key as openssl ecparam writes it": func(secret *corev1.Secret) {
					parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 5, 43, 129, 4, 0, 34}})
					secret.Data[corev1.TLSPrivateKeyKey] = append(parameters, secret.Data[corev1.TLSPrivateKeyKey]...)
				},
			} {
				t.Log("the Secret is", name)
				if keeping == certs.CertManager {
					waitIssued(t, s)
				}
				requireNewCA(t, s, clients, func() { spoilSecret(t, s, spoil) })
			}
			clients.stop(t)
			t.Logf("%d VMs, %.0f a second", clients.created.Load(), float64(clients.created.Load())/time.Since(began).Seconds())
			for name, bundle := range map[string][]byte{"emptied": nil, "replaced": []byte("rubbish")} {
				t.Log("the caBundle is", name)
				requireHealed(t, s, bundle)
			}
		})
	}
}

// requireNewCA does something to the CA under load, and waits until there is a new one and every webhook trusts it,
// beside the one before.
func requireNewCA(t *testing.T, s *suite.Suite, clients *load, do func()) {
	t.Helper()
	before := caIn(t, s)
	require.NotEmpty(t, before)
	do()
	waitUntil(t, func() bool {
		now := caIn(t, s)
		bundle := caBundle(t, s)
		return len(now) > 0 && !bytes.Equal(now, before) && bytes.Contains(bundle, bytes.TrimSpace(now)) &&
			bytes.Contains(bundle, bytes.TrimSpace(before)) || clients.ctx.Err() != nil
	})
	clients.waitFor(t, 20)
	if clients.ctx.Err() != nil {
		clients.stop(t) // it says what failed
	}
}

// replaceEvery20Seconds has cert-manager replace a CA that is valid for a minute again and again under load.
func replaceEvery20Seconds(t *testing.T, s *suite.Suite, clients *load) {
	t.Helper()
	short := func(duration, renewBefore string) {
		_, err := s.Kubectl(t.Context(), "patch", "certificate", "bridgehead-ca", "-n", "bridgehead-system", "--type=merge",
			"-p", fmt.Sprintf(`{"spec":{"duration":%q,"renewBefore":%q}}`, duration, renewBefore))
		require.NoError(t, err)
	}
	requireNewCA(t, s, clients, func() { short("1m", "40s") })
	for range waited {
		requireNewCA(t, s, clients, func() {})
	}
	requireNewCA(t, s, clients, func() { short("8760h", "2920h") })
}

// caIn returns the CA in the Secret; empty if there is none that can sign.
func caIn(t *testing.T, s *suite.Suite) []byte {
	t.Helper()
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: "bridgehead-system", Name: certs.SecretName}
	require.NoError(t, client.IgnoreNotFound(s.Client.Get(t.Context(), key, &secret)))
	ca, err := certs.CAIn(&secret)
	if err != nil {
		return nil
	}
	return ca
}

// spoilSecret writes something else into the Secret of the CA, or deletes it.
func spoilSecret(t *testing.T, s *suite.Suite, spoil func(*corev1.Secret)) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "bridgehead-system", Name: certs.SecretName}}
	if spoil == nil {
		require.NoError(t, s.Client.Delete(t.Context(), secret))
		return
	}
	require.NoError(t, retry.RetryOnConflict(retry.DefaultRetry, func() error {
		require.NoError(t, s.Client.Get(t.Context(), client.ObjectKeyFromObject(secret), secret))
		spoil(secret)
		for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} { // its type demands them
			if secret.Data[key] == nil {
				if secret.Data == nil {
					secret.Data = map[string][]byte{}
				}
				secret.Data[key] = []byte{}
			}
		}
		return s.Client.Update(t.Context(), secret)
	}))
}

// requireHealed gives the webhooks another caBundle, and waits until they are called again.
func requireHealed(t *testing.T, s *suite.Suite, bundle []byte) {
	t.Helper()
	ca := bytes.TrimSpace(caIn(t, s))
	require.NoError(t, retry.RetryOnConflict(retry.DefaultRetry, func() error {
		var c admissionregistrationv1.MutatingWebhookConfiguration
		require.NoError(t, s.Client.Get(t.Context(), client.ObjectKey{Name: "zz-bridgehead"}, &c))
		for i := range c.Webhooks {
			c.Webhooks[i].ClientConfig.CABundle = bundle
		}
		return s.Client.Update(t.Context(), &c)
	}))
	waitUntil(t, func() bool { return bytes.Contains(caBundle(t, s), ca) })
	waitUntil(t, func() bool {
		vm := vmWith("dry", make([]macpool.MAC, 1))
		return s.Client.Create(t.Context(), vm, client.DryRunAll) == nil && macsOf(t, vm)[0] != ""
	})
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

// waitUntil waits for what others do in their own time, which is long on a busy machine.
func waitUntil(t *testing.T, what func() bool) {
	t.Helper()
	require.NoError(t, wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 5*time.Minute, true,
		func(context.Context) (bool, error) { return what(), nil }))
}
