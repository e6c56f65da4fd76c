// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/cert-manager/cert-manager/pkg/util/pki"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// Run implements cert-manager's Authority. Where there is no CA yet, one is made first that is valid from maxSkew ago:
// that of cert-manager is valid from now, and an API server whose clock is behind would refuse every certificate. A CA
// that replaces another one needs no such care, as the certificate before is served meanwhile.
func (b backdating) Run(ctx context.Context) error {
	clients, err := kubernetes.NewForConfig(b.RESTConfig)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if err := b.makeFirst(ctx, clients, time.Now()); err != nil {
		ctrllog.FromContext(ctx).Error(err, "Cannot make the first CA; one that is valid from now is made instead")
	}
	return b.DynamicAuthority.Run(ctx)
}

// makeFirst makes the Secret with a CA, unless there is one.
func (b backdating) makeFirst(ctx context.Context, clients kubernetes.Interface, now time.Time) error {
	cert, key, err := makeCA(b.CommonName, now.Add(-maxSkew), now.Add(b.CADuration))
	if err != nil {
		return fmt.Errorf("make a CA: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, signTimeout)
	defer cancel()
	// What the Secret is to have for DynamicAuthority to keep it.
	_, err = clients.CoreV1().Secrets(b.SecretNamespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: b.SecretNamespace, Name: b.SecretName, Labels: b.SecretLabels,
			Annotations: map[string]string{cmapi.AllowsInjectionFromSecretAnnotation: "true"},
		},
		Data: map[string][]byte{corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key, corev1.ServiceAccountRootCAKey: cert},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// makeCA returns a CA and its key, in PEM. The key is of P-256: API servers check a signature of P-384 with each new
// connection otherwise, which takes them more than ten times as long.
func makeCA(name string, notBefore, notAfter time.Time) (cert, key []byte, err error) {
	signer, err := pki.GenerateECPrivateKey(pki.ECCurve256)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		BasicConstraintsValid: true, IsCA: true, PublicKeyAlgorithm: x509.ECDSA,
		Subject: pkix.Name{CommonName: name}, NotBefore: notBefore, NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
	}
	cert, _, err = pki.SignCertificate(template, template, signer.Public(), signer)
	if err != nil {
		return nil, nil, err
	}
	key, err = pki.EncodePrivateKey(signer, cmapi.PKCS8)
	return cert, key, err
}
