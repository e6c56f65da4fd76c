// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

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

// signedBy has the authority sign a certificate.
func signedBy(t *testing.T, a *authority) (*x509.Certificate, error) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	chain, err := a.Sign(&x509.Certificate{DNSNames: []string{"webhook.ns.svc"}, PublicKey: key.Public()})
	if err != nil {
		return nil, err
	}
	assert.Len(t, chain, 1, "who checks it has the root")
	return chain[0], nil
}

func TestTheCAOfSomebodyElseIsFollowed(t *testing.T) {
	a := newAuthority(nil, CertManager, "ns")
	_, err := signedBy(t, a)
	require.ErrorContains(t, err, "no CA in the Secret bridgehead-ca yet")

	first, second := newCA(t, caName, time.Hour), newCA(t, "another name", 365*24*time.Hour)
	a.take(secretOf(t, first))
	assert.Len(t, a.changed, 1)
	<-a.changed
	signed, err := signedBy(t, a)
	require.NoError(t, err)
	require.NoError(t, signed.CheckSignatureFrom(first.ca))
	assert.Equal(t, first.ca.NotAfter, signed.NotAfter, "no certificate outlives its CA")

	a.take(secretOf(t, first))
	assert.Empty(t, a.changed, "it is the same one")
	broken := secretOf(t, second)
	broken.Data[corev1.TLSPrivateKeyKey] = secretOf(t, first).Data[corev1.TLSPrivateKeyKey]
	leaf := &testCA{key: second.key, ca: signed}
	for what, secret := range map[string]*corev1.Secret{
		"emptied": {}, "with the key of another": broken, "with a certificate that is no CA's": secretOf(t, leaf),
		"with a CA that is not to sign certificates": secretOf(t, useless(t)),
	} {
		a.take(secret)
		assert.Empty(t, a.changed, what)
		signed, err = signedBy(t, a)
		require.NoError(t, err, what)
		require.NoError(t, signed.CheckSignatureFrom(first.ca), what)
	}

	a.take(secretOf(t, second))
	assert.Len(t, a.changed, 1)
	signed, err = signedBy(t, a)
	require.NoError(t, err)
	require.NoError(t, signed.CheckSignatureFrom(second.ca))
	assert.Equal(t, leafLife+maxSkew, signed.NotAfter.Sub(signed.NotBefore), "clocks behind take it")

	a.take(secretOf(t, newCA(t, caName, -time.Minute)))
	_, err = signedBy(t, a)
	require.ErrorContains(t, err, "has expired")
}

// useless returns a CA that is not to sign certificates.
func useless(t *testing.T) *testCA {
	t.Helper()
	ca := &testCA{made: time.Hour, uses: x509.KeyUsageDigitalSignature}
	ca.replace(t, "another name", time.Hour)
	return ca
}

// A CA whose key cannot be read must not be one that bundles go over to.
func TestACAOfAnyKeySigns(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	sec1, err := x509.MarshalECPrivateKey(curve)
	require.NoError(t, err)
	pkcs8 := func(key crypto.Signer) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	// As "openssl ecparam -genkey" writes it.
	openssl := append(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 5, 43, 129, 4, 0, 34}}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})...)
	for name, tc := range map[string]struct {
		key crypto.Signer
		pem []byte
	}{
		"RSA":                {short, pkcs8(short)},
		"Ed25519":            {edwards, pkcs8(edwards)},
		"ECDSA":              {curve, pkcs8(curve)},
		"ECDSA, of openssl":  {curve, openssl},
		"RSA, as of old":     {short, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(short)})},
		"RSA, and something": {short, append([]byte("Key of the CA:\n"), pkcs8(short)...)},
	} {
		t.Run(name, func(t *testing.T) {
			ca := &x509.Certificate{
				SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca of example.org"}, IsCA: true,
				BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour),
			}
			der, err := x509.CreateCertificate(rand.Reader, ca, ca, tc.key.Public(), tc.key)
			require.NoError(t, err)
			secret := &corev1.Secret{Data: map[string][]byte{
				corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
				corev1.TLSPrivateKeyKey: tc.pem,
			}}
			require.NotEmpty(t, CAIn(secret))
			a := newAuthority(nil, BuiltIn, "ns")
			a.take(secret)
			signed, err := signedBy(t, a)
			require.NoError(t, err)
			assert.NoError(t, signed.CheckSignatureFrom(certificatesIn(CAIn(secret))[0]))
		})
	}
}

// An idle authority does not follow the Secret by itself.
type idle struct{ *authority }

// Run implements issuer.
func (idle) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// sourceOf returns a source that runs until the end of the test with what is in a Secret.
func sourceOf(t *testing.T, secret *corev1.Secret) (*Source, *authority) {
	t.Helper()
	a := newAuthority(nil, CertManager, "ns")
	a.take(secret)
	source := &Source{issuer: idle{a}, dnsNames: []string{"webhook.ns.svc"}}
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- source.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-ended)
	})
	waitFor(t, source.Ready)
	return source, a
}

// intermediate returns a Secret as cert-manager writes it for a CA that another one signed, which began a while ago.
func intermediate(t *testing.T, root *testCA, ago time.Duration) *corev1.Secret {
	t.Helper()
	ca := newCA(t, caName, 24*time.Hour)
	template := *ca.ca
	template.NotBefore, template.AuthorityKeyId = time.Now().Add(-ago), nil
	der, err := x509.CreateCertificate(rand.Reader, &template, root.ca, ca.key.Public(), root.key)
	require.NoError(t, err)
	ca.ca, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	secret := secretOf(t, ca)
	secret.Data[corev1.TLSCertKey] = append(secret.Data[corev1.TLSCertKey], root.pem()...)
	secret.Data[corev1.ServiceAccountRootCAKey] = root.pem()
	return secret
}

// checked is what an API server says of a certificate that trusts the root only.
func checked(c *tls.Certificate, root *testCA, now time.Time) error {
	roots, shown := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root.ca)
	for _, der := range c.Certificate[1:] {
		if above, err := x509.ParseCertificate(der); err == nil {
			shown.AddCert(above)
		}
	}
	_, err := c.Leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: shown, DNSName: "webhook.ns.svc", CurrentTime: now,
	})
	return err
}

// cert-manager's cainjector tells API servers of the root alone.
func TestACAThatAnotherOneSignedIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := newCA(t, "root of example.org", 365*24*time.Hour)
		source, a := sourceOf(t, intermediate(t, root, time.Hour))
		source.Trust(root.pem(), root.pem())
		first, err := source.GetCertificate(nil)
		require.NoError(t, err)
		assert.Len(t, first.Certificate, 2, "the root is not shown")
		require.NoError(t, checked(first, root, time.Now()))
		<-time.After(spreadTime)

		a.take(intermediate(t, root, 0))
		waitFor(t, func() bool { return source.newest() != first })
		served, err := source.GetCertificate(nil)
		require.NoError(t, err)
		assert.Same(t, first, served, "a clock behind would not take what is above it")
		<-time.After(maxSkew)
		served, err = source.GetCertificate(nil)
		require.NoError(t, err)
		assert.Same(t, source.newest(), served)
		assert.NoError(t, checked(served, root, time.Now().Add(-maxSkew)))
	})
}

func TestACertificateIsRenewedAfterTwoThirdsOfItsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newCA(t, caName, 365*24*time.Hour)
		source, _ := sourceOf(t, secretOf(t, ca))
		first := source.newest()
		require.NoError(t, checked(first, ca, time.Now().Add(-maxSkew)))
		require.Error(t, checked(first, ca, time.Now().Add(-maxSkew-time.Second)))
		<-time.After(leafLife*2/3 - 2*maxSkew)
		assert.Same(t, first, source.newest())
		<-time.After(2 * maxSkew)
		synctest.Wait()
		require.NotSame(t, first, source.newest())
		assert.InDelta(t, leafLife.Seconds(), time.Until(source.newest().Leaf.NotAfter).Seconds(), maxSkew.Seconds())
	})
}
