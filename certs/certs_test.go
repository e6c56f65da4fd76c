// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"cmp"
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
	"testing/synctest"
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
	made    time.Duration // how long ago
	signed  time.Duration // how long ago, of the leaves
	uses    x509.KeyUsage // if not of certificates
}

func newCA(t *testing.T, name string, life time.Duration) *testCA {
	a := &testCA{made: time.Hour, signed: time.Hour}
	a.replace(t, name, life)
	return a
}

func (a *testCA) replace(t *testing.T, name string, life time.Duration) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-a.made),
		NotAfter: time.Now().Add(life), IsCA: true, BasicConstraintsValid: true, KeyUsage: cmp.Or(a.uses, x509.KeyUsageCertSign),
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
			assert.Equal(t, tc.want, string(mergeBundles(current.pem(), []byte(tc.present), time.Time{}, now)))
		})
	}
	t.Run("no more than five CAs before are kept", func(t *testing.T) {
		many := []*testCA{current}
		for range maxBefore + 1 {
			many = append(many, newCA(t, caName, time.Hour))
		}
		want := bundle(many[:maxBefore+1]...)
		assert.Equal(t, want, string(mergeBundles(current.pem(), []byte(bundle(many...)), time.Time{}, now)))
	})
	t.Run("CAs that were made just now are kept beside them, up to fifty", func(t *testing.T) {
		many := []*testCA{current}
		for range maxRecent + 1 {
			fresh := &testCA{made: maxSkew} // as those say that replicas make
			fresh.replace(t, caName, time.Hour)
			many = append(many, fresh)
		}
		old := []*testCA{previous, older}
		want := bundle(many[:maxRecent+1]...) + bundle(old...)
		assert.Equal(t, want, string(mergeBundles(current.pem(), []byte(bundle(many...)+bundle(old...)), time.Time{}, now)))
	})
	t.Run("CAs of an issuer that names them as it likes overlap as well", func(t *testing.T) {
		before, after := newCA(t, "ca of example.org", time.Hour), newCA(t, "ca of example.org", time.Hour)
		assert.Equal(t, bundle(after, before), string(mergeBundles(after.pem(), before.pem(), time.Time{}, now)))
		assert.Equal(t, bundle(after), string(mergeBundles(after.pem(), current.pem(), time.Time{}, now)), "ours is not its")
	})
	t.Run("a CA by another name was the CA until just now if the Secret was written", func(t *testing.T) {
		for ago, want := range map[time.Duration]string{
			maxSkew: bundle(foreign, current), 2 * maxSkew: bundle(foreign, current), changeTime: bundle(foreign),
		} {
			got := string(mergeBundles(foreign.pem(), current.pem(), now.Add(-ago), now))
			assert.Equal(t, want, got, "written %s ago", ago)
			again := string(mergeBundles(foreign.pem(), []byte(got), now.Add(-ago), now))
			assert.Equal(t, want, again, "written %s ago, and looked at again", ago)
		}
	})
}

func TestSourceServesTheOldCertificateUntilTheNewCAIsTrusted(t *testing.T) {
	ca := newCA(t, caName, time.Hour)
	source := &Source{leaf: &cmtls.DynamicSource{DNSNames: []string{"webhook.ns.svc"}, Authority: ca}}
	_, err := source.GetCertificate(nil)
	require.Error(t, err, "there is none yet")
	require.ErrorContains(t, source.Check(), "the certificate is not loaded yet")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- source.Start(ctx) }()
	waitFor(t, source.leaf.Healthy)
	first, err := source.GetCertificate(nil)
	require.NoError(t, err)
	source.Trust(ca.pem())

	before := ca.pem()
	latest := replaced(t, ca, source)
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
	assert.Same(t, first, served, "API servers may not have heard of it yet")
	assert.Same(t, latest, source.nextLocked(latest, time.Now().Add(spreadTime)))
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
				waitFor(t, source.leaf.Healthy)
				first, err := source.GetCertificate(nil)
				require.NoError(t, err)
				assert.Equal(t, first.Leaf.NotAfter, source.NotAfter())
				if bundles {
					source.Trust(ca.pem())
				}
				ca.signed = tc.signed
				ca.changed <- struct{}{}
				var latest *tls.Certificate
				waitFor(t, func() bool {
					latest, err = source.leaf.GetCertificate(nil)
					return err == nil && latest != first
				})
				assert.Equal(t, tc.taken, source.nextLocked(latest, time.Now().Add(spreadTime)) != first)
				stop()
				require.NoError(t, <-ended)
			})
		}
	}
}

// started returns a source that runs until the end of the test, and what it serves first.
func started(t *testing.T, ca *testCA) (*Source, *tls.Certificate) {
	t.Helper()
	source := &Source{leaf: &cmtls.DynamicSource{DNSNames: []string{"webhook.ns.svc"}, Authority: ca}}
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- source.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-ended)
	})
	waitFor(t, source.leaf.Healthy)
	first, err := source.GetCertificate(nil)
	require.NoError(t, err)
	return source, first
}

// replaced replaces the CA of a source, and returns the certificate that the new one has signed.
func replaced(t *testing.T, ca *testCA, source *Source) (latest *tls.Certificate) {
	t.Helper()
	before, err := source.leaf.GetCertificate(nil)
	require.NoError(t, err)
	ca.replace(t, caName, time.Hour)
	ca.changed <- struct{}{}
	waitFor(t, func() bool {
		latest, err = source.leaf.GetCertificate(nil)
		return err == nil && latest != before
	})
	return latest
}

// A metric must not tell that a certificate expires which was replaced while nobody connected.
func TestExpiryIsToldOfWhatWouldBeServedNow(t *testing.T) {
	ca := newCA(t, caName, time.Hour)
	source, first := started(t, ca)
	latest := replaced(t, ca, source)
	require.NotSame(t, first, latest)
	assert.Equal(t, latest.Leaf.NotAfter, source.NotAfter())
	assert.Same(t, latest, source.served)
}

// Others answer meanwhile, with what is trusted.
func TestAReplicaWaitsUntilTheWebhooksTrustWhatItServes(t *testing.T) {
	ca, before := newCA(t, caName, time.Hour), newCA(t, caName, time.Hour)
	for _, tc := range []struct {
		name    string
		bundles [][]byte
		ready   bool
	}{
		{name: "none is in force", ready: true},
		{name: "none of them trusts it", bundles: [][]byte{before.pem(), before.pem()}},
		{name: "one of them trusts it", bundles: [][]byte{ca.pem(), before.pem()}},
		{name: "all of them trust it", bundles: [][]byte{ca.pem(), append(before.pem(), ca.pem()...)}, ready: true},
		{name: "one has no bundle", bundles: [][]byte{ca.pem(), nil}},
	} {
		source, _ := started(t, ca)
		require.ErrorContains(t, source.Check(), "are being read", "nobody has looked at the webhooks")
		source.Trust(tc.bundles...)
		if !tc.ready {
			require.ErrorContains(t, source.Check(), "do not trust the CA of", tc.name)
			source.Trust(ca.pem())
		}
		require.NoError(t, source.Check(), tc.name)
		source.Trust(ca.pem(), nil)
		assert.NoError(t, source.Check(), "somebody spoiled the bundle of one webhook: the others are to be answered")
	}
}

func TestSourceDoesNotWaitForClocksWhenWhatItServesIsNotTrustedAnymore(t *testing.T) {
	ca := newCA(t, caName, time.Hour)
	source, first := started(t, ca)
	ca.signed = 0
	replaced(t, ca, source)
	source.Trust(ca.pem())
	served, err := source.GetCertificate(nil)
	require.NoError(t, err)
	assert.NotSame(t, first, served, "its CA is in no bundle")
}

// The bundle has a bounded number of CAs: what is served must be signed by another before its own is forgotten.
func TestSourceDoesNotWaitForClocksUntilItsCAIsForgotten(t *testing.T) {
	ca := newCA(t, caName, time.Hour)
	source, first := started(t, ca)
	bundle := ca.pem()
	source.Trust(bundle)
	ca.signed = 0
	for times := 1; times <= maxBefore+1; times++ {
		latest := replaced(t, ca, source)
		bundle = MergeBundles(ca.pem(), bundle, time.Time{})
		source.Trust(bundle, bundle)
		now := time.Now()
		assert.Equal(t, times > maxBefore, source.nextLocked(latest, now) != first, "replaced %d times", times)
		later := source.nextLocked(latest, now.Add(spreadTime))
		assert.Equal(t, times >= maxBehind, later != first, "replaced %d times", times)
		assert.Same(t, first, source.served)
	}
}

// A CA may be replaced faster than API servers hear of it.
func TestSourceServesWhatAPIServersHaveHeardOfHoweverOftenTheCAIsReplaced(t *testing.T) {
	for name, pace := range map[string]time.Duration{
		"every second": time.Second, "three times a second": time.Second / 3, "ten times a second": time.Second / 10,
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { replaceEvery(t, pace) }) })
	}
}

func replaceEvery(t *testing.T, pace time.Duration) {
	ca := newCA(t, caName, time.Hour)
	source, _ := started(t, ca)
	ca.made, ca.signed = 0, 0
	bundle := ca.pem()
	source.Trust(bundle, bundle)
	told := map[string]time.Time{string(ca.ca.SubjectKeyId): time.Now()}
	<-time.After(spreadTime)
	for times := range 40 {
		replaced(t, ca, source)
		bundle = MergeBundles(ca.pem(), bundle, time.Time{})
		source.Trust(bundle, bundle)
		told[string(ca.ca.SubjectKeyId)] = time.Now()
		served, err := source.GetCertificate(nil)
		require.NoError(t, err)
		heard := told[string(served.Leaf.AuthorityKeyId)]
		assert.GreaterOrEqual(t, time.Since(heard), spreadTime, "replaced %d times", times)
		assert.True(t, source.trustsLocked(served, time.Now()), "replaced %d times", times)
		<-time.After(pace)
	}
}

// What a clock ahead takes for expired is not served anymore either.
func TestSourceReplacesWhatExpiresForClocksAhead(t *testing.T) {
	ca := newCA(t, caName, time.Hour)
	signedBy := func(ends time.Duration) *tls.Certificate {
		leaf, err := ca.Sign(&x509.Certificate{PublicKey: ca.key.Public()})
		require.NoError(t, err)
		leaf.NotBefore, leaf.NotAfter = time.Now(), time.Now().Add(ends)
		return &tls.Certificate{Leaf: leaf}
	}
	ca.signed = 0
	latest := signedBy(time.Hour)
	for name, tc := range map[string]struct {
		left     time.Duration
		replaces bool
	}{
		"there is time": {left: 30 * time.Minute},
		"it expires":    {left: 4 * time.Second, replaces: true},
	} {
		t.Run(name, func(t *testing.T) {
			served := signedBy(30 * time.Minute)
			source := &Source{served: served}
			now := served.Leaf.NotAfter.Add(-tc.left)
			latest.Leaf.NotBefore, latest.Leaf.NotAfter = now, now.Add(time.Hour)
			assert.Equal(t, tc.replaces, source.nextLocked(latest, now) != served)
		})
	}
}

func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	require.NoError(t, wait.PollUntilContextTimeout(t.Context(), time.Millisecond, time.Minute, true,
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
