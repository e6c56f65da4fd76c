// SPDX-License-Identifier: Apache-2.0

// Package certs gets the webhook server its certificate and the API server the CA to check it with. One CA is in a
// Secret, which the replicas keep themselves or cert-manager does; every replica signs a leaf of its own in memory, and
// nothing has to be mounted.
package certs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	// SecretName is the Secret that holds the CA.
	SecretName = "bridgehead-ca"
	// caName is the subject of the CA.
	caName = "bridgehead-ca"
	// leafLife is how long a replica's certificate lasts; it is replaced after two thirds of that.
	leafLife = 7 * 24 * time.Hour
	// caLife is how long the CA lasts; it is replaced after two thirds of that.
	caLife = 365 * 24 * time.Hour
	// maxSkew is how far the clock of an API server may be behind ours: certificates are valid from so long ago, and a new
	// one is served only when such a clock takes it and its CA, too. The one before is good for a third of leafLife yet.
	maxSkew = 10 * time.Minute
	// skewShare is the part of a short life that clocks are waited for at most: less than what is left of a certificate
	// when the next one is signed.
	skewShare = 6
)

// renewalTime is how often it is asked whether the certificate is to be renewed.
const renewalTime = 10 * time.Second

// spreadTime is how long ago a bundle that we see must have trusted a certificate, so that API servers see it, too.
const spreadTime = 2 * time.Second

// A Keeping is who keeps the CA in the Secret SecretName. It is also a value of flags.
type Keeping string

const (
	// BuiltIn has the replicas make the CA, and replace it in time.
	BuiltIn Keeping = "built-in"
	// CertManager has a Certificate of cert-manager keep it. Its cainjector tells the API server.
	CertManager Keeping = "cert-manager"
)

// An issuer signs certificates. Only tests have another one than an authority.
type issuer interface {
	// Run keeps up with the CA until ctx is done.
	Run(ctx context.Context) error
	// Changed has a value when certificates should be signed anew.
	Changed() <-chan struct{}
	// Sign returns a certificate as the template says, and behind it what is to be shown with it.
	Sign(template *x509.Certificate) ([]*x509.Certificate, error)
}

// A Source is the certificate of this replica, signed by the CA that all replicas share. When the CA is replaced, the
// Source keeps serving the certificate signed by the old one until it is told, by Trust, that the API server knows the
// new one.
type Source struct {
	issuer   issuer
	dnsNames []string

	// mu guards what follows. Methods whose names end in Locked are called with it held, the others without.
	mu         sync.Mutex
	latest     *tls.Certificate   // nil while there is none
	candidates []*tls.Certificate // those that were trusted when they were the latest, the latest last
	served     *tls.Certificate
	bundles    [][]byte
	trusted    [][]*x509.Certificate                      // the CAs of every bundle
	known      []*x509.Certificate                        // those of all bundles
	since      map[string]time.Time                       // when a CA was first seen in every bundle, by what it is in DER
	signers    map[*tls.Certificate][][]*x509.Certificate // those of every bundle that signed a certificate
}

// NewSource returns the certificate for these DNS names, from the CA in the Secret SecretName of a namespace. If the CA
// is BuiltIn, it is made where there is none.
func NewSource(cfg *rest.Config, keeping Keeping, namespace string, dnsNames ...string) *Source {
	return &Source{issuer: newAuthority(cfg, keeping, namespace), dnsNames: dnsNames}
}

// Start implements manager.Runnable: it keeps the certificate fresh until ctx is done.
func (s *Source) Start(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- s.issuer.Run(ctx) }()
	// The time is asked for now and then, for a timer knows nothing of the time that a machine was suspended for.
	ticks := time.NewTicker(renewalTime)
	defer ticks.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-s.issuer.Changed():
		case <-ticks.C:
			if !s.renewalDue(time.Now()) {
				continue
			}
		}
		if err := s.renew(); err != nil {
			ctrllog.FromContext(ctx).Error(err, "Cannot renew the certificate of the webhooks, trying again")
		}
	}
}

// renewalDue reports whether two thirds of the life of the latest certificate are over, or there is none.
func (s *Source) renewalDue(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.latest == nil {
		return true
	}
	leaf := s.latest.Leaf
	return leaf.NotAfter.Sub(now) < leaf.NotAfter.Sub(leaf.NotBefore)/3
}

// renew has a new certificate signed.
func (s *Source) renew() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	chain, err := s.issuer.Sign(&x509.Certificate{
		PublicKey: key.Public(), DNSNames: s.dnsNames, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return err
	}
	latest := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		latest.Certificate = append(latest.Certificate, c.Raw)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest = latest
	return nil
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica has a certificate.
func (*Source) NeedLeaderElection() bool { return false }

// Ready reports whether there is a certificate to serve.
func (s *Source) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latest != nil
}

// GetCertificate is to be tls.Config.GetCertificate.
func (s *Source) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.latest == nil {
		return nil, errors.New("there is no certificate yet")
	}
	if s.served != s.latest {
		s.served = s.nextLocked(s.latest, time.Now())
	}
	return s.served, nil
}

// Trust takes in which CAs the API server checks certificates with, in PEM: a bundle for every webhook.
func (s *Source) Trust(bundles ...[]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.EqualFunc(bundles, s.bundles, bytes.Equal) {
		return
	}
	s.bundles, s.trusted, s.known = bundles, nil, certificatesIn(bytes.Join(bundles, []byte("\n")))
	for _, bundle := range bundles {
		s.trusted = append(s.trusted, certificatesIn(bundle))
	}
	s.signers = map[*tls.Certificate][][]*x509.Certificate{}
	since := map[string]time.Time{}
	for _, ca := range s.known {
		lacks := func(bundle []*x509.Certificate) bool { return !slices.ContainsFunc(bundle, ca.Equal) }
		if id := string(ca.Raw); !slices.ContainsFunc(s.trusted, lacks) {
			since[id] = cmp.Or(s.since[id], time.Now())
		}
	}
	s.since = since
}

// nextLocked returns what is to be served from now on. That is another certificate once clocks behind take it, too, or
// once the one that is served will soon not be taken anymore, as it expires or its CA was replaced again and again; and
// one that API servers have had the time to hear of, as long as there is one that they take.
func (s *Source) nextLocked(latest *tls.Certificate, now time.Time) *tls.Certificate {
	if s.served == nil {
		return latest
	}
	s.candidates = slices.DeleteFunc(s.candidates, func(c *tls.Certificate) bool { return !s.trustsLocked(c, now) })
	if s.trustsLocked(latest, now) && !slices.Contains(s.candidates, latest) {
		s.candidates = append(s.candidates, latest)
	}
	trusted := s.trustsLocked(s.served, now)
	ends := !s.trustsLocked(s.served, now.Add(skewOf(s.served))) || s.behindLocked(s.served) >= maxBehind
	heard := last(s.candidates, func(c *tls.Certificate) bool { return s.spreadLocked(c, now) })
	switch {
	case heard != nil && (!trusted || ends || s.trustsLocked(heard, now.Add(-skewOf(heard)))):
		return heard
	case trusted || len(s.candidates) == 0:
		return s.served
	}
	return s.candidates[len(s.candidates)-1]
}

// last returns the last certificate that is as wanted; nil for none.
func last(of []*tls.Certificate, wanted func(*tls.Certificate) bool) *tls.Certificate {
	for _, c := range slices.Backward(of) {
		if wanted(c) {
			return c
		}
	}
	return nil
}

// spreadLocked reports whether API servers have had the time to hear of the CA that signed a certificate. While nobody
// told which CAs they trust, nobody is waited for.
func (s *Source) spreadLocked(c *tls.Certificate, now time.Time) bool {
	heard := func(ca *x509.Certificate) bool {
		since, seen := s.since[string(ca.Raw)]
		return seen && now.Sub(since) >= spreadTime
	}
	return len(s.bundles) == 0 || slices.ContainsFunc(slices.Concat(s.signersLocked(c)...), heard)
}

// behindLocked returns how many CAs are trusted that are not older than the one that signed a certificate.
func (s *Source) behindLocked(c *tls.Certificate) (newer int) {
	signers := slices.Concat(s.signersLocked(c)...)
	own := slices.IndexFunc(s.known, func(ca *x509.Certificate) bool { return slices.ContainsFunc(signers, ca.Equal) })
	if own < 0 {
		return 0 // it is not trusted at all
	}
	for i, ca := range s.known {
		if i != own && !ca.NotBefore.Before(s.known[own].NotBefore) {
			newer++
		}
	}
	return newer
}

// skewOf returns how far clocks may be off that are thought of with a certificate.
func skewOf(c *tls.Certificate) time.Duration { return skewFor(c.Leaf.NotAfter.Sub(c.Leaf.NotBefore)) }

// skewFor returns how far clocks may be behind that are thought of where a certificate lasts so long.
func skewFor(life time.Duration) time.Duration { return min(maxSkew, life/skewShare) }

// trustsLocked reports whether an API server whose clock shows now would accept a certificate for every webhook. While
// nobody told which CAs it trusts, only the time is asked.
func (s *Source) trustsLocked(c *tls.Certificate, now time.Time) bool {
	valid := func(c *x509.Certificate) bool { return !now.Before(c.NotBefore) && !now.After(c.NotAfter) }
	return valid(c.Leaf) && !slices.ContainsFunc(s.signersLocked(c), func(bundle []*x509.Certificate) bool {
		return !slices.ContainsFunc(bundle, valid)
	})
}

// signersLocked returns the CAs of every bundle that signed a certificate, or what is shown with it. A signature is
// checked once: that takes a while, and is asked for with every connection.
func (s *Source) signersLocked(c *tls.Certificate) [][]*x509.Certificate {
	if signers, known := s.signers[c]; known {
		return signers
	}
	var shown []*x509.Certificate
	for _, der := range c.Certificate {
		if one, err := x509.ParseCertificate(der); err == nil {
			shown = append(shown, one)
		}
	}
	other := func(ca *x509.Certificate) bool {
		return !slices.ContainsFunc(shown, func(c *x509.Certificate) bool { return signs(ca, c) })
	}
	signed := slices.DeleteFunc(slices.Clone(s.known), other)
	var signers [][]*x509.Certificate
	for _, bundle := range s.trusted {
		signers = append(signers, slices.DeleteFunc(slices.Clone(bundle), func(ca *x509.Certificate) bool {
			return !slices.ContainsFunc(signed, ca.Equal)
		}))
	}
	if s.signers != nil {
		s.signers[c] = signers
	}
	return signers
}

// signs reports whether a CA signed a certificate. Those that say of themselves that it is another one are not
// looked at.
func signs(ca, c *x509.Certificate) bool {
	named := len(c.AuthorityKeyId) > 0 && len(ca.SubjectKeyId) > 0
	return !(named && !bytes.Equal(c.AuthorityKeyId, ca.SubjectKeyId)) && c.CheckSignatureFrom(ca) == nil
}

// NotAfter returns when the certificate expires that a connection made now is served; the zero time while there is
// none. Where nobody connects for days, it is another one than was served last.
func (s *Source) NotAfter() time.Time {
	served, err := s.GetCertificate(nil)
	if err != nil {
		return time.Time{}
	}
	return served.Leaf.NotAfter
}
