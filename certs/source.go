// SPDX-License-Identifier: Apache-2.0

// Package certs gets the webhook server its certificate and the API server the CA to check it with. One CA is in a
// Secret, which the replicas keep themselves or cert-manager does; every replica signs a leaf of its own in memory, and
// nothing has to be mounted.
package certs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	cmtls "github.com/cert-manager/cert-manager/pkg/server/tls"
	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	"k8s.io/client-go/rest"
)

const (
	// SecretName is the Secret that holds the CA.
	SecretName = "bridgehead-ca"
	// caName is the subject of the CA.
	caName = "bridgehead-ca"
	// leafLife is how long a replica's certificate lasts; it is replaced after two thirds of that.
	leafLife = 7 * 24 * time.Hour
	// caLife is how long the CA lasts; it is replaced after three fifths of that.
	caLife = 365 * 24 * time.Hour
	// maxSkew is how far the clock of an API server may be behind ours: certificates are valid from so long ago, and a new
	// one is served only when such a clock takes it and its CA, too. The one before is good for a third of leafLife yet.
	maxSkew = 10 * time.Minute
	// skewShare is the part of a short life that clocks are waited for at most: less than what is left of a certificate
	// when the next one is signed.
	skewShare = 6
)

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

// A Source is the certificate of this replica, signed by the CA that all replicas share. When the CA is replaced, the
// Source keeps serving the certificate signed by the old one until it is told, by Trust, that the API server knows the
// new one.
type Source struct {
	leaf     *cmtls.DynamicSource
	follower *follower // nil where the CA is built in

	// mu guards what follows. Methods whose names end in Locked are called with it held, the others without.
	mu         sync.Mutex
	signed     *tls.Certificate   // what was signed last
	latest     *tls.Certificate   // the same, with what is shown with it
	candidates []*tls.Certificate // those that were trusted when they were the latest, the latest last
	served     *tls.Certificate
	bundles    [][]byte
	trusted    [][]*x509.Certificate                    // the CAs of every bundle
	known      []*x509.Certificate                      // those of all bundles
	since      map[string]time.Time                     // when a CA was first seen in every bundle, by what it is in DER
	signers    map[*tls.Certificate][]*x509.Certificate // those that signed a certificate; nil until bundles are told of
	accepted   bool                                     // every webhook in force trusted what was served, once
}

// NewSource returns the certificate for these DNS names, from the CA in the Secret SecretName of a namespace. If the CA
// is BuiltIn, the Secret is made if it is not there.
func NewSource(cfg *rest.Config, keeping Keeping, namespace string, dnsNames ...string) *Source {
	if keeping == CertManager {
		ca := &follower{config: cfg, namespace: namespace}
		return &Source{leaf: &cmtls.DynamicSource{DNSNames: dnsNames, Authority: ca}, follower: ca}
	}
	ca := backdating{&authority.DynamicAuthority{
		RESTConfig:      cfg,
		SecretNamespace: namespace,
		SecretName:      SecretName,
		SecretLabels:    map[string]string{"app.kubernetes.io/part-of": "bridgehead"},
		CommonName:      caName,
		LeafDuration:    leafLife,
		CADuration:      caLife,
	}}
	return &Source{leaf: &cmtls.DynamicSource{DNSNames: dnsNames, Authority: ca}}
}

// Start implements manager.Runnable: it keeps the certificate fresh until ctx is done.
func (s *Source) Start(ctx context.Context) error { return s.leaf.Start(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica has a certificate.
func (*Source) NeedLeaderElection() bool { return false }

// Check returns why webhooks cannot be answered yet, or nil: there is no certificate, or a webhook in force does not
// trust the CA that signed it. When certificates are valid is not looked at: that is up to the clocks of API servers.
// Once all trusted it they are not asked again: should somebody spoil the bundle of one, the others are answered.
func (s *Source) Check() error {
	served, err := s.GetCertificate(nil)
	if err != nil {
		if s.follower != nil {
			err = cmp.Or(s.follower.why(), errNoCA)
		}
		return fmt.Errorf("the certificate is not loaded yet: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accepted {
		return nil
	}
	if s.signers == nil {
		return errors.New("the CAs that the webhooks in force trust are being read")
	}
	signers := s.signersLocked(served)
	if slices.ContainsFunc(s.trusted, func(bundle []*x509.Certificate) bool { return !shares(bundle, signers, anytime) }) {
		return errors.New("the webhooks in force do not trust the CA of the certificate yet")
	}
	s.accepted = true
	return nil
}

// GetCertificate is to be tls.Config.GetCertificate.
func (s *Source) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	signed, err := s.leaf.GetCertificate(hello)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signed != signed {
		s.signed, s.latest = signed, signed
		if s.follower != nil {
			s.latest = s.follower.show(signed)
		}
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
	if s.signers != nil && slices.EqualFunc(bundles, s.bundles, bytes.Equal) {
		return
	}
	s.bundles, s.trusted, s.known = bundles, nil, certificatesIn(bytes.Join(bundles, []byte("\n")))
	for _, bundle := range bundles {
		s.trusted = append(s.trusted, certificatesIn(bundle))
	}
	s.signers = map[*tls.Certificate][]*x509.Certificate{}
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
	return len(s.bundles) == 0 || slices.ContainsFunc(s.signersLocked(c), heard)
}

// behindLocked returns how many CAs are trusted that are not older than the one that signed a certificate.
func (s *Source) behindLocked(c *tls.Certificate) (newer int) {
	signers := s.signersLocked(c)
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
	signers := s.signersLocked(c)
	return valid(c.Leaf) && !slices.ContainsFunc(s.trusted, func(bundle []*x509.Certificate) bool {
		return !shares(bundle, signers, valid)
	})
}

// shares reports whether a bundle has one of the signers that is as wanted.
func shares(bundle, signers []*x509.Certificate, wanted func(*x509.Certificate) bool) bool {
	return slices.ContainsFunc(signers, func(ca *x509.Certificate) bool {
		return wanted(ca) && slices.ContainsFunc(bundle, ca.Equal)
	})
}

func anytime(*x509.Certificate) bool { return true }

// signersLocked returns the CAs of all bundles that signed a certificate, or what is shown with it. A signature is
// checked once: that takes milliseconds, and is asked for with every connection.
func (s *Source) signersLocked(c *tls.Certificate) []*x509.Certificate {
	if signers, known := s.signers[c]; known {
		return signers
	}
	shown := []*x509.Certificate{c.Leaf}
	for _, der := range c.Certificate[min(1, len(c.Certificate)):] {
		if above, err := x509.ParseCertificate(der); err == nil {
			shown = append(shown, above)
		}
	}
	signers := slices.DeleteFunc(slices.Clone(s.known), func(ca *x509.Certificate) bool {
		return !slices.ContainsFunc(shown, func(c *x509.Certificate) bool { return signs(ca, c) })
	})
	if s.signers != nil {
		s.signers[c] = signers
	}
	return signers
}

// signs reports whether a CA signed a certificate. Those are not looked at that name another one.
func signs(ca, c *x509.Certificate) bool {
	named := len(c.AuthorityKeyId) > 0 && len(ca.SubjectKeyId) > 0
	return (!named || bytes.Equal(c.AuthorityKeyId, ca.SubjectKeyId)) && c.CheckSignatureFrom(ca) == nil
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
