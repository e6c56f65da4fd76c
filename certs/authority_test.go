// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// secretOf returns the Secret in which somebody keeps a CA.
func secretOf(t *testing.T, ca *testCA) *corev1.Secret {
	t.Helper()
	key, err := x509.MarshalECPrivateKey(ca.key)
	require.NoError(t, err)
	return &corev1.Secret{Data: map[string][]byte{
		corev1.TLSCertKey:       ca.pem(),
		corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key}),
	}}
}

// signedBy has the follower sign a certificate.
func signedBy(t *testing.T, f *follower) (*x509.Certificate, error) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return f.Sign(&x509.Certificate{DNSNames: []string{"webhook.ns.svc"}, PublicKey: key.Public()})
}

func TestTheCAOfSomebodyElseIsFollowed(t *testing.T) {
	f, rotated := &follower{}, make(chan struct{}, 1)
	f.WatchRotation(rotated)
	_, err := signedBy(t, f)
	require.ErrorIs(t, err, authority.ErrCertificateNotAvailable)

	first, second := newCA(t, caName, time.Hour), newCA(t, "another name", 365*24*time.Hour)
	f.take(secretOf(t, first))
	assert.Len(t, rotated, 1)
	<-rotated
	signed, err := signedBy(t, f)
	require.NoError(t, err)
	require.NoError(t, signed.CheckSignatureFrom(first.ca))
	assert.Equal(t, first.ca.NotAfter, signed.NotAfter, "no certificate outlives its CA")

	f.take(secretOf(t, first))
	assert.Empty(t, rotated, "it is the same one")
	broken := secretOf(t, second)
	broken.Data[corev1.TLSPrivateKeyKey] = secretOf(t, first).Data[corev1.TLSPrivateKeyKey]
	leaf := &testCA{key: second.key, ca: signed}
	useless := &testCA{made: time.Hour, uses: x509.KeyUsageDigitalSignature}
	useless.replace(t, "another name", time.Hour)
	for what, secret := range map[string]*corev1.Secret{
		"emptied": {}, "with the key of another": broken, "with a certificate that is no CA's": secretOf(t, leaf),
		"with a CA that is not to sign certificates": secretOf(t, useless),
	} {
		f.take(secret)
		assert.Empty(t, rotated, what)
		signed, err = signedBy(t, f)
		require.NoError(t, err, what)
		require.NoError(t, signed.CheckSignatureFrom(first.ca), what)
	}

	f.take(secretOf(t, second))
	assert.Len(t, rotated, 1)
	signed, err = signedBy(t, f)
	require.NoError(t, err)
	require.NoError(t, signed.CheckSignatureFrom(second.ca))
	assert.Equal(t, leafLife+maxSkew, signed.NotAfter.Sub(signed.NotBefore), "clocks behind take it")
	f.StopWatchingRotation(rotated)
	assert.Empty(t, f.watches)

	f.take(secretOf(t, newCA(t, caName, -time.Minute)))
	_, err = signedBy(t, f)
	require.ErrorContains(t, err, "has expired")
}
