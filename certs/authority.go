// SPDX-License-Identifier: Apache-2.0

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
	config    *rest.Config
	namespace string

	mu        sync.Mutex
	cert, key []byte              // in PEM; nil while there is none
	above     []*x509.Certificate // the CA and those that signed it, but for the root
	lacks     error               // what is wrong with the CA that is in the Secret
	watches   []chan<- struct{}
}

// Run implements cert-manager's Authority: it follows the Secret until ctx is done.
func (f *follower) Run(ctx context.Context) error {
	clients, err := kubernetes.NewForConfig(f.config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	one := func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", SecretName).String()
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

// errNoCA says that nobody has written one yet.
var errNoCA = errors.New("there is no CA yet")

// CAIn returns the CA in a Secret, in PEM and nothing else. It fails if what is there cannot sign, with what is wrong.
func CAIn(secret *corev1.Secret) ([]byte, error) {
	pair, err := pairIn(secret, time.Now())
	if err != nil {
		return nil, err
	}
	return encoded(pair.Leaf), nil
}

// pairIn returns the CA in a Secret, and what signed it if that is there, too. It fails if they cannot sign.
func pairIn(secret *corev1.Secret, now time.Time) (tls.Certificate, error) {
	cert, key := secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	if len(cert) == 0 && len(key) == 0 {
		return tls.Certificate{}, errNoCA
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err == nil {
		err = trySigning(cert, key, now)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("the CA in the Secret %s cannot be used: %w", SecretName, err)
	}
	return pair, nil
}

// trySigning signs a certificate as replicas do and checks it as API servers do, whose clocks may be others: there is
// more that can be wrong with a CA than could be listed.
func trySigning(cert, key []byte, now time.Time) error {
	ca, err := pki.DecodeX509CertificateBytes(cert)
	if err != nil {
		return err
	}
	signer, err := pki.DecodePrivateKeyBytes(key)
	if err != nil {
		return err
	}
	leaf, err := pki.GenerateECPrivateKey(pki.ECCurve256)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	_, signed, err := pki.SignCertificate(template, ca, leaf.Public(), signer)
	if err != nil {
		return err
	}
	if ahead := ca.NotBefore.Sub(now); ahead > 0 && ahead <= maxSkew {
		now = ca.NotBefore
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err = signed.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now})
	return err
}

// take goes over to the CA in a Secret, if it is another one and can sign.
func (f *follower) take(o any) {
	secret, ok := o.(*corev1.Secret)
	if !ok {
		return
	}
	pair, err := pairIn(secret, time.Now())
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lacks = err; err != nil {
		return
	}
	cert, key := secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	if bytes.Equal(cert, f.cert) && bytes.Equal(key, f.key) {
		return
	}
	f.cert, f.key, f.above = cert, key, belowRoot(pair)
	for _, watch := range f.watches {
		select {
		case watch <- struct{}{}:
		default: // it has yet to look
		}
	}
}

// belowRoot returns a CA that another one signed, and those up to the root, as far as they are there. API servers are
// told of the root alone then.
func belowRoot(pair tls.Certificate) []*x509.Certificate {
	cas, err := x509.ParseCertificates(bytes.Join(pair.Certificate, nil))
	if err != nil {
		return nil // then it cannot be shown
	}
	root := slices.IndexFunc(cas, func(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) })
	if root >= 0 {
		cas = cas[:root]
	}
	return cas
}

// show returns a certificate with the CA that signed it, and those above, where API servers know the root alone.
func (f *follower) show(c *tls.Certificate) *tls.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.above) == 0 || c.Leaf.CheckSignatureFrom(f.above[0]) != nil {
		return c
	}
	shown := *c
	shown.Certificate = slices.Clone(c.Certificate)
	for _, ca := range f.above {
		shown.Certificate = append(shown.Certificate, ca.Raw)
	}
	return &shown
}

// why returns what is wrong with the CA in the Secret, or that there is none.
func (f *follower) why() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lacks
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
// that clocks behind take it; but not before what is shown with it, which they have to take as well.
func (f *follower) Sign(template *x509.Certificate) (*x509.Certificate, error) {
	f.mu.Lock()
	cert, key, above, lacks := f.cert, f.key, f.above, f.lacks
	f.mu.Unlock()
	if cert == nil {
		return nil, cmp.Or(lacks, authority.ErrCertificateNotAvailable)
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
	for _, c := range above {
		template.NotBefore = later(template.NotBefore, c.NotBefore)
		if c.NotAfter.Before(template.NotAfter) {
			template.NotAfter = c.NotAfter
		}
	}
	_, signed, err := pki.SignCertificate(template, ca, template.PublicKey, signer)
	return signed, err
}
