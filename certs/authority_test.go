// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
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
	"slices"
	"testing"
	"testing/synctest"
	"time"

	cmtls "github.com/cert-manager/cert-manager/pkg/server/tls"
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
	for what, secret := range unusable(t) {
		f.take(secret)
		assert.Empty(t, rotated, what)
		require.Error(t, f.why(), what)
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
}

func TestACAThatNobodyReplacesSignsUntilItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &follower{}
		f.take(secretOf(t, newCA(t, caName, time.Hour)))
		<-time.After(59 * time.Minute)
		_, err := signedBy(t, f)
		require.NoError(t, err)
		<-time.After(time.Minute)
		_, err = signedBy(t, f)
		require.ErrorContains(t, err, "has expired")
	})
}

func TestAReplicaSaysWhatIsWrongWithTheCA(t *testing.T) {
	f := &follower{}
	source := &Source{follower: f, leaf: &cmtls.DynamicSource{Authority: f}}
	require.EqualError(t, source.Check(), "the certificate is not loaded yet: there is no CA yet")
	f.take(unusable(t)["as openssl ecparam writes it"])
	require.EqualError(t, source.Check(), "the certificate is not loaded yet: the CA in the Secret bridgehead-ca "+
		"cannot be used: unknown private key type: EC PARAMETERS")
	_, err := signedBy(t, f)
	require.ErrorContains(t, err, "the CA in the Secret bridgehead-ca cannot be used: ")
}

// unusable returns Secrets with CAs that cannot sign, by what is wrong with them.
func unusable(t *testing.T) map[string]*corev1.Secret {
	t.Helper()
	good := newCA(t, caName, time.Hour)
	with := func(change func(*x509.Certificate)) *corev1.Secret {
		ca := newCA(t, caName, time.Hour)
		template := *ca.ca
		change(&template)
		der, err := x509.CreateCertificate(rand.Reader, &template, &template, ca.key.Public(), ca.key)
		require.NoError(t, err)
		ca.ca, err = x509.ParseCertificate(der)
		require.NoError(t, err)
		return secretOf(t, ca)
	}
	other, parameters, short, both := secretOf(t, good), secretOf(t, good), secretOf(t, good), secretOf(t, good)
	both.Data[corev1.TLSCertKey] = append(both.Data[corev1.TLSCertKey], both.Data[corev1.TLSPrivateKeyKey]...)
	other.Data[corev1.TLSPrivateKeyKey] = secretOf(t, newCA(t, caName, time.Hour)).Data[corev1.TLSPrivateKeyKey]
	parameters.Data[corev1.TLSPrivateKeyKey] = append(
		pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}}),
		parameters.Data[corev1.TLSPrivateKeyKey]...,
	)
	key, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // that it is too short is what is tested
	require.NoError(t, err)
	template := *good.ca
	template.SignatureAlgorithm, template.PublicKey = x509.UnknownSignatureAlgorithm, key.Public()
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	require.NoError(t, err)
	short.Data[corev1.TLSCertKey] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	short.Data[corev1.TLSPrivateKeyKey] = pem.EncodeToMemory(
		&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)},
	)
	return map[string]*corev1.Secret{
		"emptied":                      {},
		"rubbish":                      {Data: map[string][]byte{corev1.TLSCertKey: []byte("rubbish")}},
		"with the key of another":      other,
		"as openssl ecparam writes it": parameters,
		"with a short key":             short,
		"with the key in both":         both,
		"no CA":                        with(func(c *x509.Certificate) { c.IsCA = false }),
		"not to sign certificates":     with(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }),
		"not to sign those of servers": with(func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}),
		"expired": with(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
		"valid tomorrow": with(func(c *x509.Certificate) {
			c.NotBefore = time.Now().Add(24 * time.Hour)
			c.NotAfter = c.NotBefore.Add(time.Hour)
		}),
	}
}

func TestACAOfAnyKeySigns(t *testing.T) {
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(long)})
	pkcs8 := func(key crypto.Signer) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	for name, tc := range map[string]struct {
		key crypto.Signer
		pem []byte
	}{
		"RSA":                             {long, pkcs8(long)},
		"RSA, as of old":                  {long, pkcs1},
		"Ed25519":                         {edwards, pkcs8(edwards)},
		"ECDSA":                           {curve, pkcs8(curve)},
		"with text before and after it":   {curve, slices.Concat([]byte("Key:\n"), pkcs8(curve), []byte("\nrubbish\n"))},
		"with another block after it":     {curve, slices.Concat(pkcs8(curve), pkcs1)},
		"with an end of line of its kind": {curve, bytes.ReplaceAll(pkcs8(curve), []byte("\n"), []byte("\r\n"))},
	} {
		t.Run(name, func(t *testing.T) {
			ca := &x509.Certificate{
				SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca of example.org"}, IsCA: true,
				BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour),
			}
			der, err := x509.CreateCertificate(rand.Reader, ca, ca, tc.key.Public(), tc.key)
			require.NoError(t, err)
			cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
			secret := &corev1.Secret{Data: map[string][]byte{
				corev1.TLSCertKey: slices.Concat([]byte("CA:\n"), cert, []byte("rubbish")), corev1.TLSPrivateKeyKey: tc.pem,
			}}
			trusted, err := CAIn(secret)
			require.NoError(t, err)
			assert.Equal(t, string(cert), string(trusted), "and nothing else is trusted")
			f := &follower{}
			f.take(secret)
			signed, err := signedBy(t, f)
			require.NoError(t, err)
			assert.NoError(t, signed.CheckSignatureFrom(certificatesIn(trusted)[0]))
			pair, err := pairIn(secret, time.Now())
			require.NoError(t, err)
			backdated, err := backdate(signed, signed, pair)
			require.NoError(t, err)
			assert.NoError(t, backdated.CheckSignatureFrom(certificatesIn(trusted)[0]))
		})
	}
}

// An idle follower does not follow the Secret by itself.
type idle struct{ *follower }

// Run implements cert-manager's Authority.
func (idle) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// under has another CA sign one that began a while ago, as those do that do not say by which key.
func (a *testCA) under(t *testing.T, above *testCA, ago time.Duration) *testCA {
	t.Helper()
	template, parent := *a.ca, *above.ca
	template.NotBefore, template.AuthorityKeyId, parent.SubjectKeyId = time.Now().Add(-ago), nil, nil
	der, err := x509.CreateCertificate(rand.Reader, &template, &parent, a.key.Public(), above.key)
	require.NoError(t, err)
	a.ca, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return a
}

// chained returns a Secret as cert-manager writes it for a CA that others signed.
func chained(t *testing.T, ca *testCA, above ...*testCA) *corev1.Secret {
	t.Helper()
	secret := secretOf(t, ca)
	for _, a := range above {
		secret.Data[corev1.TLSCertKey] = append(secret.Data[corev1.TLSCertKey], a.pem()...)
	}
	return secret
}

func TestNoCertificateOutlivesWhatIsShownWithIt(t *testing.T) {
	root := newCA(t, "root of example.org", time.Hour)
	above := newCA(t, "between", time.Minute).under(t, root, time.Hour)
	f := &follower{}
	f.take(chained(t, newCA(t, caName, time.Hour).under(t, above, time.Hour), above, root))
	signed, err := signedBy(t, f)
	require.NoError(t, err)
	assert.Equal(t, above.ca.NotAfter, signed.NotAfter)
	assert.Len(t, f.show(&tls.Certificate{Leaf: signed, Certificate: [][]byte{signed.Raw}}).Certificate, 3)
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
		f := &follower{}
		source := &Source{
			leaf: &cmtls.DynamicSource{DNSNames: []string{"webhook.ns.svc"}, Authority: idle{f}}, follower: f,
		}
		f.take(chained(t, newCA(t, caName, 24*time.Hour).under(t, root, time.Hour), root))
		ended := make(chan error, 1)
		ctx, stop := context.WithCancel(t.Context())
		go func() { ended <- source.Start(ctx) }()
		waitFor(t, source.leaf.Healthy)
		source.Trust(newCA(t, "root of example.org", time.Hour).pem())
		require.ErrorContains(t, source.Check(), "do not trust")
		source.Trust(root.pem(), root.pem())
		first, err := source.GetCertificate(nil)
		require.NoError(t, err)
		require.NoError(t, source.Check())
		require.Len(t, first.Certificate, 2, "API servers have the root")
		require.NoError(t, checked(first, root, time.Now()))
		<-time.After(spreadTime)

		f.take(chained(t, newCA(t, caName, 24*time.Hour).under(t, root, 0), root))
		synctest.Wait()
		served, err := source.GetCertificate(nil)
		require.NoError(t, err)
		assert.Same(t, first, served, "clocks behind do not take the CA yet")
		<-time.After(maxSkew)
		served, err = source.GetCertificate(nil)
		require.NoError(t, err)
		assert.NotSame(t, first, served)
		require.NoError(t, checked(served, root, time.Now().Add(-maxSkew)))
		require.NoError(t, source.Check())
		stop()
		require.NoError(t, <-ended)
	})
}
