// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestTheFirstCAIsValidForAPIServersWhoseClocksAreBehind(t *testing.T) {
	clients, now := fake.NewClientset(), time.Now()
	b := backdating{&authority.DynamicAuthority{
		SecretNamespace: "ns", SecretName: SecretName, CommonName: caName, CADuration: caLife,
	}}
	require.NoError(t, b.makeFirst(t.Context(), clients, now))
	read := func() *corev1.Secret {
		secret, err := clients.CoreV1().Secrets("ns").Get(t.Context(), SecretName, metav1.GetOptions{})
		require.NoError(t, err)
		return secret
	}
	secret := read()
	pair, err := tls.X509KeyPair(CAIn(secret), secret.Data[corev1.TLSPrivateKeyKey])
	require.NoError(t, err)
	assert.WithinDuration(t, now.Add(-maxSkew), pair.Leaf.NotBefore, time.Second)
	assert.WithinDuration(t, now.Add(caLife), pair.Leaf.NotAfter, time.Second)
	assert.Equal(t, caName, pair.Leaf.Subject.CommonName, "by which bundles are told from those of others")
	assert.Equal(t, secret.Data["tls.crt"], secret.Data["ca.crt"], "else it would be made anew")
	assert.NoError(t, pair.Leaf.CheckSignatureFrom(pair.Leaf))

	require.NoError(t, b.makeFirst(t.Context(), clients, now.Add(time.Hour)))
	assert.Equal(t, secret.Data, read().Data, "the CA that there is stays")
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
