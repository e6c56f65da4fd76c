// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	"k8s.io/client-go/kubernetes"
)

// keepTimeout bounds a look at the CA, and what is written then.
const keepTimeout = 10 * time.Second

// A backdating authority signs as the one it is made of does, but for when certificates begin to be valid: maxSkew ago.
// A replica whose clock is ahead of the API server's would else be refused by it for as long, from its start.
type backdating struct {
	*authority.DynamicAuthority
}

// Sign implements cert-manager's Authority. It is asked again and again while it fails, so that a CA that cannot sign
// is replaced here as soon as somebody wrote it. One that is only old signs while it cannot be replaced.
func (b backdating) Sign(template *x509.Certificate) (*x509.Certificate, error) {
	clients, err := kubernetes.NewForConfig(b.RESTConfig)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	ca, err := b.keep(context.Background(), clients, time.Now())
	if ca.Leaf == nil {
		return nil, err
	}
	signed, err := b.DynamicAuthority.Sign(template)
	if err != nil {
		return nil, err
	}
	return backdate(signed, template, ca)
}

// backdate signs a certificate once more, valid from maxSkew before. It fails if another CA signed it: that one is
// being replaced.
func backdate(signed, template *x509.Certificate, ca tls.Certificate) (*x509.Certificate, error) {
	if err := signed.CheckSignatureFrom(ca.Leaf); err != nil {
		return nil, errors.New("the CA is being replaced")
	}
	earlier := *template
	earlier.NotBefore = signed.NotBefore.Add(-maxSkew)
	der, err := x509.CreateCertificate(rand.Reader, &earlier, ca.Leaf, signed.PublicKey, ca.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}
