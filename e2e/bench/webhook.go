// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
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
	allowing = "noop"
	durable  = "durable"
)

// A reviewerFunc is a webhooks.Reviewer.
type reviewerFunc func(context.Context, *admissionv1.AdmissionRequest) (webhooks.Verdict, error)

// Review implements webhooks.Reviewer.
func (f reviewerFunc) Review(ctx context.Context, r *admissionv1.AdmissionRequest) (webhooks.Verdict, error) {
	return f(ctx, r)
}

// reviewer allows everything; the durable one after a write per request, as a ledger without windows would.
func reviewer(kind, kubeconfig string) (webhooks.Reviewer, error) {
	if kind == allowing {
		return reviewerFunc(func(context.Context, *admissionv1.AdmissionRequest) (webhooks.Verdict, error) {
			return webhooks.Verdict{}, nil
		}), nil
	}
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

// serveWebhook serves a webhook with the code that serves ours, until ctx is done. It prints its address and its
// certificate on one line.
func serveWebhook(ctx context.Context, kind, kubeconfig string) error {
	review, err := reviewer(kind, kubeconfig)
	if err != nil {
		return err
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
	})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
	fmt.Println(listener.Addr(), base64.StdEncoding.EncodeToString(ca))
	server := &http.Server{
		Handler:           (&webhooks.Drain{}).Wrap(webhooks.Handler{Reviewer: review, Log: logr.Discard()}),
		ReadHeaderTimeout: time.Minute,
	}
	go func() { <-ctx.Done(); _ = server.Close() }() // it ends anyway
	if err := server.Serve(listener); ctx.Err() == nil {
		return err
	}
	return nil
}

func serviceName(kind string) string { return "bench-" + kind }

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{serviceName(allowing) + ".default.svc", serviceName(durable) + ".default.svc"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// startWebhook runs this program again as a webhook, so that it is a process of its own as ours is, and has the API
// server call it for the namespace of its mode.
func (b *bench) startWebhook(ctx context.Context, kind string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	process := exec.Command(self, "-serve", kind)
	process.Env = append(os.Environ(), "KUBECONFIG="+b.suite.Kubeconfig)
	process.Stderr = os.Stderr
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := process.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start webhook: %w", err)
	}
	if err := process.Start(); err != nil {
		return fmt.Errorf("start webhook: %w", err)
	}
	b.processes = append(b.processes, process)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("start webhook: %w", err)
	}
	address, ca, _ := strings.Cut(strings.TrimSpace(line), " ")
	manifest := strings.NewReplacer("KIND", kind, "CABUNDLE", ca, "NAMESPACE", namespaceOf(kind)).Replace(webhookManifest)
	if _, err := b.suite.KubectlInput(ctx, manifest, "apply", "-f", "-"); err != nil {
		return err
	}
	b.suite.Route("default/"+serviceName(kind), address)
	return nil
}

// webhookManifest is ours but for the namespace and the Service, so that the API server does the same work.
const webhookManifest = `
apiVersion: v1
kind: Service
metadata: {name: bench-KIND, namespace: default}
spec:
  ports: [{port: 443}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: bench-KIND}
webhooks:
- name: KIND.bench.example
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 5
  reinvocationPolicy: IfNeeded
  clientConfig:
    caBundle: CABUNDLE
    service: {name: bench-KIND, namespace: default, path: /, port: 443}
  rules:
  - apiGroups: [kubevirt.io]
    apiVersions: [v1]
    operations: [CREATE, UPDATE]
    resources: [virtualmachines]
    scope: Namespaced
  matchConditions:
  - name: interfaces-differ
    expression: >-
      request.operation == 'CREATE' ||
      object.?spec.template.spec.domain.devices.interfaces != oldObject.?spec.template.spec.domain.devices.interfaces
  namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: NAMESPACE}
- name: KIND-pods.bench.example
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 3
  reinvocationPolicy: IfNeeded
  clientConfig:
    caBundle: CABUNDLE
    service: {name: bench-KIND, namespace: default, path: /, port: 443}
  rules:
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [CREATE]
    resources: [pods]
    scope: Namespaced
  matchConditions:
  - name: names-networks
    expression: >-
      object.metadata.?annotations[?'k8s.v1.cni.cncf.io/networks'].orValue('') != '' ||
      object.metadata.?annotations[?'v1.multus-cni.io/default-network'].orValue('') != ''
  - name: not-a-mirror
    expression: "!object.metadata.?annotations[?'kubernetes.io/config.mirror'].hasValue()"
  namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: NAMESPACE}
`
