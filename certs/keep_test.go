// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
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

// A keptCA is a CA that replicas keep in the Secret of an API server.
type keptCA struct {
	backdating
	t       *testing.T
	clients *fake.Clientset
}

func newKeptCA(t *testing.T, objects ...runtime.Object) keptCA {
	return keptCA{t: t, clients: fake.NewClientset(objects...), backdating: backdating{&authority.DynamicAuthority{
		SecretNamespace: "ns", SecretName: SecretName, CommonName: caName, CADuration: caLife,
	}}}
}

// at has a replica look at the CA at a time.
func (k keptCA) at(now time.Time) error {
	k.t.Helper()
	_, err := k.keep(k.t.Context(), k.clients, now)
	return err
}

func (k keptCA) secret() *corev1.Secret {
	k.t.Helper()
	secret, err := k.clients.CoreV1().Secrets("ns").Get(k.t.Context(), SecretName, metav1.GetOptions{})
	require.NoError(k.t, err)
	return secret
}

// requireMade checks that what is in the Secret was made by a replica at a time.
func (k keptCA) requireMade(now time.Time) {
	k.t.Helper()
	secret := k.secret()
	pair, err := pairIn(secret, now)
	require.NoError(k.t, err)
	assert.WithinDuration(k.t, now.Add(-maxSkew), pair.Leaf.NotBefore, time.Second, "API servers may be behind")
	assert.WithinDuration(k.t, now.Add(caLife), pair.Leaf.NotAfter, time.Second)
	assert.Equal(k.t, caName, pair.Leaf.Subject.CommonName, "by which bundles are told from those of others")
	assert.Equal(k.t, secret.Data["tls.crt"], secret.Data["ca.crt"], "else it would be made anew")
	assert.NoError(k.t, pair.Leaf.CheckSignatureFrom(pair.Leaf))
}

func TestTheCAIsMadeAndReplacedInTime(t *testing.T) {
	k, now := newKeptCA(t), time.Now()
	require.ErrorIs(t, k.at(now), authority.ErrCertificateNotAvailable)
	k.requireMade(now)
	first := k.secret()
	require.NoError(t, k.at(now))
	require.NoError(t, k.at(now.Add(caLife/2)))
	assert.Equal(t, first.Data, k.secret().Data, "the CA that there is stays")

	later := now.Add(caLife * 61 / 100)
	assert.Greater(t, now.Add(caLife).Sub(later), (caLife+maxSkew)/3, "DynamicAuthority would not replace it yet")
	require.ErrorIs(t, k.at(later), authority.ErrCertificateNotAvailable)
	k.requireMade(later)
	require.NoError(t, k.at(later))
}

func TestACAThatCannotSignIsReplaced(t *testing.T) {
	for name, secret := range unusable(t) {
		t.Run(name, func(t *testing.T) {
			secret.Namespace, secret.Name = "ns", SecretName
			secret.Labels = map[string]string{"of": "somebody"}
			k, now := newKeptCA(t, secret), time.Now()
			require.ErrorIs(t, k.at(now), authority.ErrCertificateNotAvailable)
			k.requireMade(now)
			assert.Equal(t, secret.Labels, k.secret().Labels)
			require.NoError(t, k.at(now))
		})
	}
}

// Else no replica could start while something refuses to have the Secret written, for a CA that is good for months yet.
func TestACAThatIsOldSignsWhileItCannotBeReplaced(t *testing.T) {
	k, now := newKeptCA(t), time.Now()
	require.ErrorIs(t, k.at(now), authority.ErrCertificateNotAvailable)
	old, err := pairIn(k.secret(), now)
	require.NoError(t, err)
	refused := apierrors.NewInternalError(errors.New("failed calling webhook"))
	k.clients.PrependReactor("update", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, refused
	})
	ca, err := k.keep(t.Context(), k.clients, now.Add(caLife*61/100))
	require.ErrorIs(t, err, refused)
	require.NotNil(t, ca.Leaf)
	assert.True(t, ca.Leaf.Equal(old.Leaf))
	assert.NotNil(t, ca.PrivateKey)
}

func TestAReplicaThatIsSecondToWriteTheCAHasNotFailed(t *testing.T) {
	what := schema.GroupResource{Resource: "secrets"}
	for name, tc := range map[string]struct {
		there  bool
		err    error
		failed bool
	}{
		"another one made it":          {err: apierrors.NewAlreadyExists(what, SecretName)},
		"another one replaced it":      {there: true, err: apierrors.NewConflict(what, SecretName, nil)},
		"the API server refuses it":    {there: true, err: apierrors.NewForbidden(what, SecretName, nil), failed: true},
		"the API server is overloaded": {err: apierrors.NewTooManyRequestsError("later"), failed: true},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeptCA(t)
			if tc.there {
				k = newKeptCA(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: SecretName}})
			}
			refuse := func(a clienttesting.Action) (bool, runtime.Object, error) { return a.GetVerb() != "get", nil, tc.err }
			k.clients.PrependReactor("*", "secrets", refuse)
			err := k.at(time.Now())
			if !tc.failed {
				require.ErrorIs(t, err, authority.ErrCertificateNotAvailable)
				return
			}
			require.ErrorIs(t, err, tc.err)
			require.ErrorContains(t, err, "write a CA, as there is no CA yet: ")
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
