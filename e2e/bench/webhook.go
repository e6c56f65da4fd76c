// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/bridgehead-dev/bridgehead/webhooks"
)

// Kinds of webhooks that this program serves.
const (
	// allowing allows everything.
	allowing = "noop"
	// patching gives a VM two addresses and a pod a request, and remembers nothing. twice is two processes of it.
	patching = "patching"
	twice    = "patching-twice"
	// durable writes a record of every request, as a ledger without windows would.
	durable = "durable"
	// mutating changes every VM at another place, as KubeVirt's own webhook does. following does so after all others.
	mutating  = "mutating"
	following = "following"
)

// A reviewerFunc is a webhooks.Reviewer.
type reviewerFunc func(context.Context, *admissionv1.AdmissionRequest) (webhooks.Verdict, error)

// Review implements webhooks.Reviewer.
func (f reviewerFunc) Review(ctx context.Context, r *admissionv1.AdmissionRequest) (webhooks.Verdict, error) {
	return f(ctx, r)
}

// reviewer returns the webhook of a kind. It allows everything.
func reviewer(kind, kubeconfig string) (webhooks.Reviewer, error) {
	var decide func(*admissionv1.AdmissionRequest) webhooks.Patch
	switch kind {
	case allowing:
		decide = func(*admissionv1.AdmissionRequest) webhooks.Patch { return nil }
	case patching:
		decide = newPatcher()
	case mutating, following:
		decide = mutate
	default:
		return newRecorder(kubeconfig)
	}
	return reviewerFunc(func(_ context.Context, r *admissionv1.AdmissionRequest) (webhooks.Verdict, error) {
		return webhooks.Verdict{Patch: decide(r)}, nil
	}), nil
}

// newPatcher makes what gives each VM the next two addresses, and each pod a request. Those of two processes differ, as
// they begin somewhere: our janitor would tell every VM of a collision else, which takes more than all it does.
func newPatcher() func(*admissionv1.AdmissionRequest) webhooks.Patch {
	var given atomic.Uint64
	given.Store(uint64(mathrand.Uint32()))
	return func(r *admissionv1.AdmissionRequest) (p webhooks.Patch) {
		if r.Resource.Resource == "pods" {
			p.Set("/spec/containers/0/resources/requests/example.com~1br0", "1")
			p.Set("/spec/containers/0/resources/limits", map[string]string{"example.com/br0": "1"})
			return p
		}
		n := given.Add(2)
		for i := range uint64(2) {
			address := fmt.Sprintf("02:b0:%02x:%02x:%02x:%02x", (n+i)>>24&0xff, (n+i)>>16&0xff, (n+i)>>8&0xff, (n+i)&0xff)
			p.Set(fmt.Sprintf("/spec/template/spec/domain/devices/interfaces/%d/macAddress", i), address)
		}
		return p
	}
}

// mutate sets the machine type, as KubeVirt does.
func mutate(r *admissionv1.AdmissionRequest) (p webhooks.Patch) {
	if r.Resource.Resource != "pods" {
		p.Set("/spec/template/spec/domain/machine/type", "q35")
	}
	return p
}

// newRecorder makes the one that writes before it answers.
func newRecorder(kubeconfig string) (webhooks.Reviewer, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	cfg.QPS = -1
	clients, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return reviewerFunc(func(ctx context.Context, r *admissionv1.AdmissionRequest) (webhooks.Verdict, error) {
		record := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "record-" + string(r.UID)}}
		_, err := clients.CoreV1().ConfigMaps(r.Namespace).Create(ctx, record, metav1.CreateOptions{})
		return webhooks.Verdict{}, err
	}), nil
}

// serveWebhook serves a webhook with the code that serves ours, until ctx is done. It prints its address and its CA on
// one line.
func serveWebhook(ctx context.Context, kind, kubeconfig string) error {
	review, err := reviewer(kind, kubeconfig)
	if err != nil {
		return err
	}
	certificate, ca, err := issueCertificate()
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
	})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Println(listener.Addr(), base64.StdEncoding.EncodeToString(ca))
	drain := &webhooks.Drain{MaxAge: time.Minute} // as ours: connections that are made anew are not cheap
	server := webhooks.NewServer(webhooks.Handler{Reviewer: review, Log: logr.Discard()}, drain)
	go func() { <-ctx.Done(); _ = server.Close() }() // it ends anyway
	if err := server.Serve(listener); ctx.Err() == nil {
		return err
	}
	return nil
}

// issueCertificate is a certificate for every Service, with the CA that signed it, in PEM. Both are of the kind that
// ours are, of P-384 signed by P-256: to check them costs the API server as much at every connection.
func issueCertificate() (leaf tls.Certificate, ca []byte, err error) {
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench-ca"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootKey, rootDER, err := sign(root, root, elliptic.P256(), nil)
	if err != nil {
		return leaf, nil, err
	}
	served := &x509.Certificate{
		SerialNumber: big.NewInt(2), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: []string{"*.default.svc"},
	}
	key, der, err := sign(served, root, elliptic.P384(), rootKey)
	if err != nil {
		return leaf, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), nil
}

// sign makes a key on a curve and a certificate for it, which another key signs; nil has it sign itself.
func sign(
	template, parent *x509.Certificate, curve elliptic.Curve, by *ecdsa.PrivateKey,
) (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	if by == nil {
		by = key
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		return nil, nil, fmt.Errorf("make certificate: %w", err)
	}
	return key, der, nil
}
