// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	"github.com/cert-manager/cert-manager/pkg/util/pki"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// A follower is an authority whose CA somebody else keeps in a Secret: it reads the Secret and never writes it. While
// the Secret is not there, or what is in it cannot sign, it goes on with the CA before.
type follower struct {
	config          *rest.Config
	namespace, name string

	mu        sync.Mutex
	cert, key []byte // in PEM; nil while there is none
	watches   []chan<- struct{}
}

// Run implements cert-manager's Authority: it follows the Secret until ctx is done.
func (f *follower) Run(ctx context.Context) error {
	clients, err := kubernetes.NewForConfig(f.config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	one := func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", f.name).String()
	}
	factory := informers.NewSharedInformerFactoryWithOptions(
		clients, time.Minute, informers.WithNamespace(f.namespace), informers.WithTweakListOptions(one),
	)
	_, err = factory.Core().V1().Secrets().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    f.take,
		UpdateFunc: func(_, o any) { f.take(o) },
	})
	if err != nil {
		return fmt.Errorf("follow the Secret of the CA: %w", err)
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

// CAIn returns the CA in a Secret, in PEM; nil if what is there cannot sign.
func CAIn(secret *corev1.Secret) []byte {
	cert := secret.Data[corev1.TLSCertKey]
	pair, err := tls.X509KeyPair(cert, secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil || !pair.Leaf.IsCA {
		return nil
	}
	if uses := pair.Leaf.KeyUsage; uses != 0 && uses&x509.KeyUsageCertSign == 0 {
		return nil
	}
	return cert
}

// take goes over to the CA in a Secret, if it is another one and can sign.
func (f *follower) take(o any) {
	secret, ok := o.(*corev1.Secret)
	if !ok {
		return
	}
	cert, key := CAIn(secret), secret.Data[corev1.TLSPrivateKeyKey]
	if cert == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if bytes.Equal(cert, f.cert) && bytes.Equal(key, f.key) {
		return
	}
	f.cert, f.key = cert, key
	for _, watch := range f.watches {
		select {
		case watch <- struct{}{}:
		default: // it has yet to look
		}
	}
}

// WatchRotation implements cert-manager's Authority.
func (f *follower) WatchRotation(watch chan<- struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watches = append(f.watches, watch)
}

// StopWatchingRotation implements cert-manager's Authority.
func (f *follower) StopWatchingRotation(watch chan<- struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watches = slices.DeleteFunc(f.watches, func(w chan<- struct{}) bool { return w == watch })
}

// Sign implements cert-manager's Authority: the certificate ends after leafLife or with the CA, and begins so long ago
// that clocks behind take it.
func (f *follower) Sign(template *x509.Certificate) (*x509.Certificate, error) {
	f.mu.Lock()
	cert, key := f.cert, f.key
	f.mu.Unlock()
	if cert == nil {
		return nil, authority.ErrCertificateNotAvailable
	}
	ca, err := pki.DecodeX509CertificateBytes(cert)
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	signer, err := pki.DecodePrivateKeyBytes(key)
	if err != nil {
		return nil, fmt.Errorf("read the key of the CA: %w", err)
	}
	template.BasicConstraintsValid = true
	now := time.Now()
	if !ca.NotAfter.After(now) {
		return nil, errors.New("the CA has expired and has not been replaced yet")
	}
	template.NotAfter = now.Add(leafLife)
	if ca.NotAfter.Before(template.NotAfter) {
		template.NotAfter = ca.NotAfter
	}
	template.NotBefore = now.Add(-skewFor(template.NotAfter.Sub(now)))
	_, signed, err := pki.SignCertificate(template, ca, template.PublicKey, signer)
	return signed, err
}
