// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// readCA returns the Secret of the CA.
func readCA(t *testing.T, clients *fake.Clientset) *corev1.Secret {
	t.Helper()
	secret, err := clients.CoreV1().Secrets("ns").Get(t.Context(), SecretName, metav1.GetOptions{})
	require.NoError(t, err)
	return secret
}

// requireMade fails unless a CA in the Secret was made now.
func requireMade(t *testing.T, secret *corev1.Secret, now time.Time) {
	t.Helper()
	pair := pairIn(secret)
	require.NotNil(t, pair)
	assert.WithinDuration(t, now.Add(-maxSkew), pair.Leaf.NotBefore, time.Second, "API servers may be behind")
	assert.WithinDuration(t, now.Add(caLife), pair.Leaf.NotAfter, time.Second)
	assert.Equal(t, caName, pair.Leaf.Subject.CommonName, "by which bundles are told from those of others")
	assert.Equal(t, secret.Data["tls.crt"], secret.Data["ca.crt"], "else releases before would make it anew")
	assert.NoError(t, pair.Leaf.CheckSignatureFrom(pair.Leaf))
}

func TestTheFirstCAIsMadeAndKept(t *testing.T) {
	clients, now, a := fake.NewClientset(), time.Now(), newAuthority(nil, BuiltIn, "ns")
	require.NoError(t, a.keep(t.Context(), clients, now))
	secret := readCA(t, clients)
	requireMade(t, secret, now)
	for _, later := range []time.Duration{0, time.Hour, caLife*2/3 - time.Hour} {
		require.NoError(t, a.keep(t.Context(), clients, now.Add(later)))
		assert.Equal(t, secret.Data, readCA(t, clients).Data, "after %s", later)
	}
	next := now.Add(caLife*2/3 + time.Hour)
	require.NoError(t, a.keep(t.Context(), clients, next))
	assert.NotEqual(t, secret.Data, readCA(t, clients).Data)
	requireMade(t, readCA(t, clients), next)
}

func TestACAThatWillNotDoIsReplaced(t *testing.T) {
	now := time.Now()
	with := func(change func(*corev1.Secret), ca *testCA) *corev1.Secret {
		secret := secretOf(t, ca)
		secret.Namespace, secret.Name = "ns", SecretName
		secret.Data[corev1.ServiceAccountRootCAKey] = secret.Data[corev1.TLSCertKey]
		secret.Data["of somebody"] = []byte("else")
		change(secret)
		return secret
	}
	asItIs := func(*corev1.Secret) {}
	// from is a CA that is valid from a while ago, for a while.
	from := func(ago, life time.Duration) *testCA {
		ca := &testCA{made: ago}
		ca.replace(t, "another name", life-ago)
		return ca
	}
	year := from(time.Hour, 365*24*time.Hour)
	for name, tc := range map[string]struct {
		secret *corev1.Secret
		stays  bool
	}{
		"one by another name stays":    {secret: with(asItIs, year), stays: true},
		"one of which a third is left": {secret: with(asItIs, from(65*time.Hour, 99*time.Hour)), stays: true},
		"one of which less is left":    {secret: with(asItIs, from(67*time.Hour, 99*time.Hour))},
		"one that has expired":         {secret: with(asItIs, from(2*time.Hour, time.Hour))},
		"one that is not valid yet":    {secret: with(asItIs, from(-2*maxSkew, time.Hour))},
		"one of a clock that is ahead": {secret: with(asItIs, from(-maxSkew/2, time.Hour)), stays: true},
		"one that is not to sign":      {secret: with(asItIs, useless(t))},
		"one beside another in ca.crt": {secret: with(func(s *corev1.Secret) { s.Data["ca.crt"] = useless(t).pem() }, year)},
		"one with the key of another": {secret: with(func(s *corev1.Secret) {
			s.Data["tls.key"] = secretOf(t, from(0, time.Hour)).Data["tls.key"]
		}, year)},
		"none, as its Secret was emptied": {secret: with(func(s *corev1.Secret) { s.Data = nil }, year)},
	} {
		t.Run(name, func(t *testing.T) {
			clients := fake.NewClientset(tc.secret.DeepCopy())
			require.NoError(t, newAuthority(nil, BuiltIn, "ns").keep(t.Context(), clients, now))
			got := readCA(t, clients)
			if tc.stays {
				assert.Equal(t, tc.secret.Data, got.Data)
				return
			}
			requireMade(t, got, now)
			assert.Equal(t, tc.secret.Data["of somebody"], got.Data["of somebody"])
		})
	}
}

func TestAReplicaThatIsSecondToMakeTheCAHasNotFailed(t *testing.T) {
	what := schema.GroupResource{Resource: "secrets"}
	for name, tc := range map[string]struct {
		verb    string
		refusal error
		failed  bool
	}{
		"another one made it":         {verb: "create", refusal: apierrors.NewAlreadyExists(what, SecretName)},
		"another one replaced it":     {verb: "update", refusal: apierrors.NewConflict(what, SecretName, nil)},
		"the API server refuses it":   {verb: "create", refusal: apierrors.NewForbidden(what, SecretName, nil), failed: true},
		"the API server tells nobody": {verb: "get", refusal: apierrors.NewForbidden(what, SecretName, nil), failed: true},
	} {
		t.Run(name, func(t *testing.T) {
			clients := fake.NewClientset()
			if tc.verb == "update" {
				clients = fake.NewClientset(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: SecretName}})
			}
			clients.PrependReactor(tc.verb, "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, tc.refusal
			})
			err := newAuthority(nil, BuiltIn, "ns").keep(t.Context(), clients, time.Now())
			assert.Equal(t, tc.failed, err != nil, "%v", err)
		})
	}
}

// BenchmarkCheckOfACertificate is what an API server does, beside all else, for each new connection.
func BenchmarkCheckOfACertificate(b *testing.B) {
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384()} {
		b.Run(name, func(b *testing.B) {
			ca := selfSigned(b, curve)
			for b.Loop() {
				require.NoError(b, ca.CheckSignatureFrom(ca))
			}
		})
	}
}

func selfSigned(b *testing.B, curve elliptic.Curve) *x509.Certificate {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(b, err)
	template := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(b, err)
	ca, err := x509.ParseCertificate(der)
	require.NoError(b, err)
	return ca
}
