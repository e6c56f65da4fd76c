// SPDX-License-Identifier: Apache-2.0

// Package certs gets the webhook server its certificate and the API server the CA to check it with. One CA is in a
// Secret, which the replicas keep themselves or cert-manager does; every replica signs a leaf of its own in memory, and
// nothing has to be mounted.
package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
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
	// caLife is how long the CA lasts; it is replaced after two thirds of that.
	caLife = 365 * 24 * time.Hour
	// maxSkew is how far the clock of an API server may be behind ours: certificates are valid from so long ago, and a new
	// one is served only when such a clock takes it and its CA, too. The one before is good for a third of leafLife yet.
	maxSkew = 10 * time.Minute
	// skewShare is the part of a short life that clocks are waited for at most: less than what is left of a certificate
	// when the next one is signed.
	skewShare = 6
)

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
	leaf *cmtls.DynamicSource

	mu      sync.Mutex
	served  *tls.Certificate
	trusted []*x509.CertPool // one for every bundle
	bundles [][]byte
}

// NewSource is the certificate for these DNS names, from the CA in the Secret SecretName of a namespace. If the CA is
// BuiltIn, the Secret is made if it is not there.
func NewSource(cfg *rest.Config, keeping Keeping, namespace string, dnsNames ...string) *Source {
	var ca cmtls.Authority = &follower{config: cfg, namespace: namespace, name: SecretName}
	if keeping == BuiltIn {
		ca = backdating{&authority.DynamicAuthority{
			RESTConfig:      cfg,
			SecretNamespace: namespace,
			SecretName:      SecretName,
			SecretLabels:    map[string]string{"app.kubernetes.io/part-of": "bridgehead"},
			CommonName:      caName,
			LeafDuration:    leafLife,
			CADuration:      caLife,
		}}
	}
	return &Source{leaf: &cmtls.DynamicSource{DNSNames: dnsNames, Authority: ca}}
}

// Start implements manager.Runnable: it keeps the certificate fresh until ctx is done.
func (s *Source) Start(ctx context.Context) error { return s.leaf.Start(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica has a certificate.
func (*Source) NeedLeaderElection() bool { return false }

// Ready says whether there is a certificate to serve.
func (s *Source) Ready() bool { return s.leaf.Healthy() }

// GetCertificate is to be tls.Config.GetCertificate.
func (s *Source) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	latest, err := s.leaf.GetCertificate(hello)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.served == nil || s.served != latest && s.replaces(latest, time.Now()) {
		s.served = latest
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
	s.bundles, s.trusted = bundles, nil
	for _, bundle := range bundles {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(bundle)
		s.trusted = append(s.trusted, pool)
	}
}

// replaces says whether the latest certificate is to be served from now on: once clocks behind take it, too, or once
// the one that is served is not taken anymore, as it expired or its CA was replaced twice.
func (s *Source) replaces(latest *tls.Certificate, now time.Time) bool {
	skew := skewFor(latest.Leaf.NotAfter.Sub(latest.Leaf.NotBefore))
	return s.trusts(latest, now.Add(-skew)) || s.trusts(latest, now) && !s.trusts(s.served, now)
}

// skewFor is how far clocks may be behind that are thought of where a certificate lasts so long.
func skewFor(life time.Duration) time.Duration { return min(maxSkew, life/skewShare) }

// trusts says whether an API server whose clock shows now would accept a certificate for every webhook. While nobody
// told which CAs it trusts, only the time is asked.
func (s *Source) trusts(c *tls.Certificate, now time.Time) bool {
	valid := !now.Before(c.Leaf.NotBefore) && !now.After(c.Leaf.NotAfter)
	return valid && !slices.ContainsFunc(s.trusted, func(pool *x509.CertPool) bool {
		_, err := c.Leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now})
		return err != nil
	})
}

// NotAfter is when the certificate that is served expires; the zero time while none was.
func (s *Source) NotAfter() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.served == nil {
		return time.Time{}
	}
	return s.served.Leaf.NotAfter
}
