// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"maps"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	"github.com/cert-manager/cert-manager/pkg/util/pki"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// keepTime is how often the age of the CA is looked at.
const keepTime = time.Minute

// Run implements cert-manager's Authority. The CA is made, and replaced in time, before DynamicAuthority would: that
// has CAs valid from now, which API servers whose clocks are behind do not take from a replica that starts then. What
// somebody deletes or spoils is replaced by DynamicAuthority: the certificate before is served meanwhile.
func (b backdating) Run(ctx context.Context) error {
	clients, err := kubernetes.NewForConfig(b.RESTConfig)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	keep := func(ctx context.Context) {
		_, err := b.keep(ctx, clients, time.Now())
		if err != nil && !errors.Is(err, authority.ErrCertificateNotAvailable) && ctx.Err() == nil {
			ctrllog.FromContext(ctx).Error(err, "Cannot keep the CA, trying again")
		}
	}
	keep(ctx)
	go wait.UntilWithContext(ctx, keep, keepTime)
	return b.DynamicAuthority.Run(ctx)
}

// keep returns the CA in the Secret. Where there is none, or one that cannot sign or will soon be replaced for its age,
// another one is written; then, or if another replica was first, it fails with ErrCertificateNotAvailable. If it cannot
// be written, one that can sign is returned beside the error.
func (b backdating) keep(ctx context.Context, clients kubernetes.Interface, now time.Time) (tls.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	secrets := clients.CoreV1().Secrets(b.SecretNamespace)
	secret, err := secrets.Get(ctx, b.SecretName, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return tls.Certificate{}, fmt.Errorf("read the CA: %w", err)
	}
	because := errNoCA
	var ca tls.Certificate
	if !missing {
		if ca, because = pairIn(secret, now); because == nil {
			because = aged(ca.Leaf, now)
		}
		if because == nil {
			return ca, nil
		}
	}
	err = b.write(ctx, secrets, secret, missing, now)
	switch {
	case apierrors.IsAlreadyExists(err), apierrors.IsConflict(err): // another replica was first
	case err != nil:
		return ca, fmt.Errorf("write a CA, as %w: %w", because, err)
	default:
		ctrllog.FromContext(ctx).Info("Wrote a CA", "because", because.Error())
	}
	return tls.Certificate{}, authority.ErrCertificateNotAvailable
}

// write writes another CA into the Secret, with what that is to have for DynamicAuthority to keep it.
func (b backdating) write(
	ctx context.Context, secrets typedcorev1.SecretInterface, secret *corev1.Secret, missing bool, now time.Time,
) error {
	data, err := makeCA(b.CommonName, now.Add(-maxSkew), now.Add(b.CADuration))
	if err != nil {
		return fmt.Errorf("make a CA: %w", err)
	}
	if missing {
		_, err = secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: b.SecretNamespace, Name: b.SecretName, Labels: b.SecretLabels,
				Annotations: map[string]string{cmapi.AllowsInjectionFromSecretAnnotation: "true"},
			},
			Data: data,
		}, metav1.CreateOptions{})
		return err
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	maps.Copy(secret.Data, data)
	_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
	return err
}

// aged returns an error once two fifths of the life of a CA are left, or less. DynamicAuthority waits for one third.
func aged(ca *x509.Certificate, now time.Time) error {
	if ca.NotAfter.Sub(now) < ca.NotAfter.Sub(ca.NotBefore)*2/5 {
		return fmt.Errorf("the CA expires at %s", ca.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// makeCA returns what a Secret has of a CA. The key is of P-256: API servers check a signature of P-384 with each new
// connection otherwise, which takes them more than ten times as long.
func makeCA(name string, notBefore, notAfter time.Time) (map[string][]byte, error) {
	signer, err := pki.GenerateECPrivateKey(pki.ECCurve256)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		BasicConstraintsValid: true, IsCA: true, PublicKeyAlgorithm: x509.ECDSA,
		Subject: pkix.Name{CommonName: name}, NotBefore: notBefore, NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
	}
	cert, _, err := pki.SignCertificate(template, template, signer.Public(), signer)
	if err != nil {
		return nil, err
	}
	key, err := pki.EncodePrivateKey(signer, cmapi.PKCS8)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key, corev1.ServiceAccountRootCAKey: cert,
	}, nil
}
