// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// keep makes a CA where there is none in the Secret that will do. All replicas do so: the first one has it.
func (a *authority) keep(ctx context.Context, clients kubernetes.Interface, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	secrets := clients.CoreV1().Secrets(a.namespace)
	secret, err := secrets.Get(ctx, SecretName, metav1.GetOptions{})
	write := func() error { _, err := secrets.Update(ctx, secret, metav1.UpdateOptions{}); return err }
	switch {
	case apierrors.IsNotFound(err):
		secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: a.namespace, Name: SecretName, Labels: map[string]string{"app.kubernetes.io/part-of": "bridgehead"},
		}}
		write = func() error { _, err := secrets.Create(ctx, secret, metav1.CreateOptions{}); return err }
	case err != nil:
		return fmt.Errorf("read the CA: %w", err)
	case willDo(secret, now):
		return nil
	}
	cert, key, err := makeCA(now)
	if err != nil {
		return fmt.Errorf("make a CA: %w", err)
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey] = cert, key
	secret.Data[corev1.ServiceAccountRootCAKey] = cert
	err = write()
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		return nil // another one was first; we hear of what it wrote
	}
	if err != nil {
		return fmt.Errorf("write the CA: %w", err)
	}
	return nil
}

// willDo reports whether the CA in a Secret need not be replaced: it can sign, clocks that are ahead as far as we think
// of have made it at most, and a third of its life is left. Replicas of releases before replace one that is not in
// ca.crt as well.
func willDo(secret *corev1.Secret, now time.Time) bool {
	pair := pairIn(secret)
	if pair == nil || !bytes.Equal(secret.Data[corev1.TLSCertKey], secret.Data[corev1.ServiceAccountRootCAKey]) {
		return false
	}
	ca := pair.Leaf
	return !ca.NotBefore.After(now.Add(maxSkew)) && ca.NotAfter.Sub(now) >= ca.NotAfter.Sub(ca.NotBefore)/3
}

// makeCA returns a CA and its key, in PEM. It is valid from maxSkew ago: an API server whose clock is behind would
// refuse what it signs otherwise. The key is of P-256, as those of certificates are: API servers check a signature of
// P-384 with each new connection otherwise, which takes them more than ten times as long.
func makeCA(now time.Time) (cert, key []byte, err error) {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		Subject: pkix.Name{CommonName: caName}, NotBefore: now.Add(-maxSkew), NotAfter: now.Add(caLife),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return nil, nil, err
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), nil
}
