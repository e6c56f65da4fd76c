// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	// lookTime is how often the Secret of the CA is looked at whatever is heard of it.
	lookTime = 10 * time.Second
	// keepTimeout bounds one look at it.
	keepTimeout = 10 * time.Second
)

// An authority signs certificates with the CA in the Secret SecretName. While the Secret is not there, or what is in it
// cannot sign, it goes on with the CA before.
type authority struct {
	config    *rest.Config
	namespace string
	makes     bool // the CA is made where there is none; else somebody else does, and the Secret is only read

	changed chan struct{} // of one; has a value when the CA is another one
	heard   chan struct{} // of one; has a value when something happened to the Secret

	mu sync.Mutex
	ca *tls.Certificate // nil while there is none
}

func newAuthority(config *rest.Config, keeping Keeping, namespace string) *authority {
	return &authority{
		config: config, namespace: namespace, makes: keeping == BuiltIn,
		changed: make(chan struct{}, 1), heard: make(chan struct{}, 1),
	}
}

// Run follows the Secret until ctx is done.
func (a *authority) Run(ctx context.Context) error {
	clients, err := kubernetes.NewForConfig(a.config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	one := fields.OneTermEqualSelector("metadata.name", SecretName)
	_, secrets := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(clients.CoreV1().RESTClient(), "secrets", a.namespace, one),
		ObjectType:    &corev1.Secret{}, ResyncPeriod: time.Minute,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    a.take,
			UpdateFunc: func(_, o any) { a.take(o) },
			DeleteFunc: func(any) { notify(a.heard) },
		},
	})
	var following sync.WaitGroup
	defer following.Wait()
	following.Go(func() { secrets.RunWithContext(ctx) })
	for a.makes && ctx.Err() == nil {
		if err := a.keep(ctx, clients, time.Now()); err != nil && ctx.Err() == nil {
			ctrllog.FromContext(ctx).Error(err, "Cannot keep the CA, trying again")
		}
		select {
		case <-ctx.Done():
		case <-a.heard:
		case <-time.After(lookTime):
		}
	}
	<-ctx.Done()
	return nil
}

// Changed has a value when certificates should be signed anew.
func (a *authority) Changed() <-chan struct{} { return a.changed }

// notify has a channel of one have a value.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has one that nobody took yet
	}
}

// CAIn returns the CA in a Secret, in PEM; nil if what is there cannot sign.
func CAIn(secret *corev1.Secret) []byte {
	if pairIn(secret) == nil {
		return nil
	}
	return secret.Data[corev1.TLSCertKey]
}

// pairIn returns the CA in a Secret with its key, and what signed it if it is there; nil if it cannot sign.
func pairIn(secret *corev1.Secret) *tls.Certificate {
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil || !pair.Leaf.IsCA {
		return nil
	}
	if uses := pair.Leaf.KeyUsage; uses != 0 && uses&x509.KeyUsageCertSign == 0 {
		return nil
	}
	return &pair
}

// take goes over to the CA in a Secret, if it is another one and can sign.
func (a *authority) take(o any) {
	notify(a.heard)
	secret, ok := o.(*corev1.Secret)
	if !ok {
		return
	}
	ca := pairIn(secret)
	if ca == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ca != nil && slices.EqualFunc(ca.Certificate, a.ca.Certificate, bytes.Equal) {
		return
	}
	a.ca = ca
	notify(a.changed)
}

// Sign returns a certificate as the template says, and behind it what is to be shown with it: the CA, and those above,
// where it is not a root. It lasts for leafLife, and begins so long ago that clocks behind take it; no longer and no
// sooner than any of these.
func (a *authority) Sign(template *x509.Certificate) ([]*x509.Certificate, error) {
	a.mu.Lock()
	ca := a.ca
	a.mu.Unlock()
	if ca == nil {
		return nil, errors.New("there is no CA in the Secret " + SecretName + " yet")
	}
	above, err := above(ca)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template.NotAfter = now.Add(leafLife)
	cas := append([]*x509.Certificate{ca.Leaf}, above...)
	for _, c := range cas {
		if c.NotAfter.Before(template.NotAfter) {
			template.NotAfter = c.NotAfter
		}
	}
	if !template.NotAfter.After(now) {
		return nil, errors.New("the CA has expired and has not been replaced yet")
	}
	template.NotBefore = now.Add(-skewFor(template.NotAfter.Sub(now)))
	for _, c := range cas {
		template.NotBefore = later(template.NotBefore, c.NotBefore)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, template.PublicKey, ca.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return append([]*x509.Certificate{signed}, above...), nil
}

// above returns a CA that another one signed, and those up to the root, as far as they are there. It is empty for a
// root, which who checks certificates has.
func above(ca *tls.Certificate) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, der := range ca.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("read what signed the CA: %w", err)
		}
		if bytes.Equal(c.RawIssuer, c.RawSubject) {
			break
		}
		all = append(all, c)
	}
	return all, nil
}
