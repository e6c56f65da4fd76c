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
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// signTimeout bounds the read of the CA that a certificate is signed with.
const signTimeout = 10 * time.Second

// A backdating authority signs as the one it is made of does, but for when certificates begin to be valid: maxSkew ago.
// A replica whose clock is ahead of the API server's would else be refused by it for as long, from its start.
type backdating struct {
	*authority.DynamicAuthority
}

// Sign implements cert-manager's Authority.
func (b backdating) Sign(template *x509.Certificate) (*x509.Certificate, error) {
	signed, err := b.DynamicAuthority.Sign(template)
	if err != nil {
		return nil, err
	}
	ca, err := b.ca()
	if err != nil {
		return nil, fmt.Errorf("read the CA to sign with: %w", err)
	}
	return backdate(signed, template, ca)
}

// ca returns the CA in the Secret.
func (b backdating) ca() (tls.Certificate, error) {
	clients, err := kubernetes.NewForConfig(b.RESTConfig)
	if err != nil {
		return tls.Certificate{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), signTimeout)
	defer cancel()
	secret, err := clients.CoreV1().Secrets(b.SecretNamespace).Get(ctx, b.SecretName, metav1.GetOptions{})
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
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
