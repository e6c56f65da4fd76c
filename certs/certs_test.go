// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	cmtls "github.com/cert-manager/cert-manager/pkg/server/tls"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/wait"
)

// A testCA is a CA in memory that can be replaced, as the one in the Secret is.
type testCA struct {
	key     *ecdsa.PrivateKey
	ca      *x509.Certificate
	changed chan<- struct{}
	signed  time.Duration // how long ago, of the leaves
}

func newCA(t *testing.T, name string, life time.Duration) *testCA {
	a := &testCA{signed: time.Hour}
	a.replace(t, name, life)
	return a
}

func (a *testCA) replace(t *testing.T, name string, life time.Duration) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(life), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	a.ca, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.key = key
}

func (a *testCA) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.ca.Raw})
}

// Run implements cert-manager's Authority.
func (a *testCA) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// WatchRotation implements cert-manager's Authority.
func (a *testCA) WatchRotation(c chan<- struct{}) { a.changed = c }

// StopWatchingRotation implements cert-manager's Authority.
func (a *testCA) StopWatchingRotation(chan<- struct{}) {}

// Sign implements cert-manager's Authority.
func (a *testCA) Sign(template *x509.Certificate) (*x509.Certificate, error) {
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-a.signed), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, a.ca, template.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func TestMergeBundles(t *testing.T) {
	now := time.Now()
	current := newCA(t, caName, 24*time.Hour)
	previous := newCA(t, caName, 24*time.Hour)
	older := newCA(t, caName, 24*time.Hour)
	expired := newCA(t, caName, -time.Minute)
	foreign := newCA(t, "somebody else", 24*time.Hour)
	bundle := func(cas ...*testCA) string {
		var all string
		for _, ca := range cas {
			all += string(ca.pem())
		}
		return all
	}
	for name, tc := range map[string]struct{ present, want string }{
		"the first bundle is the CA":                        {present: "", want: bundle(current)},
		"what is right stays":                               {present: bundle(current), want: bundle(current)},
		"the CA before is kept behind the new one":          {present: bundle(previous), want: bundle(current, previous)},
		"and stays, so that nothing is written again":       {present: bundle(current, previous), want: bundle(current, previous)},
		"all CAs before are kept, newest first":             {present: bundle(previous, older), want: bundle(current, previous, older)},
		"an expired CA goes":                                {present: bundle(current, expired), want: bundle(current)},
		"a CA of somebody else goes":                        {present: bundle(foreign), want: bundle(current)},
		"what is no certificate goes":                       {present: "rubbish", want: bundle(current)},
		"the CA before is found behind somebody else's":     {present: bundle(foreign, previous), want: bundle(current, previous)},
		"white space around the bundle makes no difference": {present: "\n" + bundle(current) + "\n", want: bundle(current)},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tc.want, string(mergeBundles(current.pem(), []byte(tc.present), now)))
		})
	}
	t.Run("no more than five CAs before are kept", func(t *testing.T) {
		many := []*testCA{current}
		for range maxBefore + 1 {
			many = append(many, newCA(t, caName, time.Hour))
		}
		want := bundle(many[:maxBefore+1]...)
		assert.Equal(t, want, string(mergeBundles(current.pem(), []byte(bundle(many...)), now)))
	})
	t.Run("CAs of an issuer that names them as it likes overlap as well", func(t *testing.T) {
		before, after := newCA(t, "ca of example.org", time.Hour), newCA(t, "ca of example.org", time.Hour)
		assert.Equal(t, bundle(after, before), string(mergeBundles(after.pem(), before.pem(), now)))
		assert.Equal(t, bundle(after), string(mergeBundles(after.pem(), current.pem(), now)), "ours is not its")
	})
}

func TestSourceServesTheOldCertificateUntilTheNewCAIsTrusted(t *testing.T) {
	ca := newCA(t, caName, time.Hour)
	source := &Source{leaf: &cmtls.DynamicSource{DNSNames: []string{"webhook.ns.svc"}, Authority: ca}}
	_, err := source.GetCertificate(nil)
	require.Error(t, err, "there is none yet")
	assert.False(t, source.Ready())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- source.Start(ctx) }()
	waitFor(t, source.Ready)
	first, err := source.GetCertificate(nil)
	require.NoError(t, err)
	source.Trust(ca.pem())

	before := ca.pem()
	latest, err := source.leaf.GetCertificate(nil)
	require.NoError(t, err)
	ca.replace(t, caName, time.Hour)
	ca.changed <- struct{}{}
	waitFor(t, func() bool {
		now, err := source.leaf.GetCertificate(nil)
		return err == nil && now != latest
	})
	served, err := source.GetCertificate(nil)
	require.NoError(t, err)
	assert.Same(t, first, served, "nobody trusts the new CA yet")

	both := []byte(strings.Join([]string{string(ca.pem()), string(before)}, ""))
	source.Trust(both, before)
	served, err = source.GetCertificate(nil)
	require.NoError(t, err)
	assert.Same(t, first, served, "one of the webhooks does not trust it yet")

	source.Trust(both, both)
	served, err = source.GetCertificate(nil)
	require.NoError(t, err)
	assert.NotSame(t, first, served)
	stop()
	assert.NoError(t, <-ended)
}

// The clock of the API server may be behind that of a replica: what was signed just now is of the future to it.
func TestSourceServesARenewedCertificateOnceClocksBehindTakeIt(t *testing.T) {
	for name, tc := range map[string]struct {
		signed time.Duration
		taken  bool
	}{
		"signed just now, the one before is served":                                 {signed: 0},
		"signed a minute less ago than clocks may differ, the one before is served": {signed: maxSkew - time.Minute},
		"signed as long ago as clocks may differ, it is served":                     {signed: maxSkew, taken: true},
	} {
		for told, bundles := range map[string]bool{"before the first bundle is seen": false, "with bundles": true} {
			t.Run(name+", "+told, func(t *testing.T) {
				ca := newCA(t, caName, time.Hour)
				source := &Source{leaf: &cmtls.DynamicSource{DNSNames: []string{"webhook.ns.svc"}, Authority: ca}}
				assert.Zero(t, source.NotAfter(), "nothing is served yet")
				ended := make(chan error, 1)
				ctx, stop := context.WithCancel(t.Context())
				go func() { ended <- source.Start(ctx) }()
				waitFor(t, source.Ready)
				first, err := source.GetCertificate(nil)
				require.NoError(t, err)
				assert.Equal(t, first.Leaf.NotAfter, source.NotAfter())
				if bundles {
					source.Trust(ca.pem())
				}
				ca.signed = tc.signed
				ca.changed <- struct{}{}
				waitFor(t, func() bool {
					latest, err := source.leaf.GetCertificate(nil)
					return err == nil && latest != first
				})
				served, err := source.GetCertificate(nil)
				require.NoError(t, err)
				assert.Equal(t, tc.taken, served != first)
				stop()
				require.NoError(t, <-ended)
			})
		}
	}
}

func TestSourceDoesNotWaitForClocksWhenWhatItServesIsNotTrustedAnymore(t *testing.T) {
	ca := newCA(t, caName, time.Hour)
	source := &Source{leaf: &cmtls.DynamicSource{DNSNames: []string{"webhook.ns.svc"}, Authority: ca}}
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- source.Start(ctx) }()
	waitFor(t, source.Ready)
	first, err := source.GetCertificate(nil)
	require.NoError(t, err)
	ca.signed = 0
	ca.replace(t, caName, time.Hour)
	ca.changed <- struct{}{}
	waitFor(t, func() bool {
		latest, err := source.leaf.GetCertificate(nil)
		return err == nil && latest != first
	})
	source.Trust(ca.pem())
	served, err := source.GetCertificate(nil)
	require.NoError(t, err)
	assert.NotSame(t, first, served, "its CA is in no bundle")
	stop()
	assert.NoError(t, <-ended)
}

func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	require.NoError(t, wait.PollUntilContextTimeout(t.Context(), time.Millisecond, 20*time.Second, true,
		func(context.Context) (bool, error) { return what(), nil }))
}

func TestACertificateIsTakenByClocksThatAreBehind(t *testing.T) {
	ca := newCA(t, caName, 24*time.Hour)
	ca.signed = 0
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		PublicKey: key.Public(), DNSNames: []string{"webhook.ns.svc"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := ca.Sign(template)
	require.NoError(t, err)
	behind := time.Now().Add(-maxSkew + time.Minute)
	roots := x509.NewCertPool()
	roots.AddCert(ca.ca)
	options := x509.VerifyOptions{Roots: roots, DNSName: "webhook.ns.svc", CurrentTime: behind}
	_, err = signed.Verify(options)
	require.Error(t, err)

	backdated, err := backdate(signed, template, tls.Certificate{Leaf: ca.ca, PrivateKey: ca.key})
	require.NoError(t, err)
	_, err = backdated.Verify(options)
	require.NoError(t, err)
	assert.Equal(t, signed.NotAfter, backdated.NotAfter)

	other := newCA(t, caName, 24*time.Hour)
	_, err = backdate(signed, template, tls.Certificate{Leaf: other.ca, PrivateKey: other.key})
	assert.ErrorContains(t, err, "being replaced")
}

func TestSkewIsScaledToShortLives(t *testing.T) {
	for name, tc := range map[string]struct{ life, want time.Duration }{
		"a week":   {life: leafLife, want: maxSkew},
		"an hour":  {life: time.Hour, want: 10 * time.Minute},
		"a minute": {life: time.Minute, want: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tc.want, skewFor(tc.life)) })
	}
}
