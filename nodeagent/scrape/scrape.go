// SPDX-License-Identifier: Apache-2.0

// Package scrape serves the metrics of an agent, which is on the network of its node, to those who may get them.
package scrape

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// serverName is what the certificate is for.
const serverName = "bridgehead-agent"

// Serve answers at /metrics of an address until ctx is done, by TLS, to who has a token with which the API server of
// cfg allows GET of /metrics. The certificate is made when somebody first asks, and signed by nobody else: a node has
// no key that others trust, and who scrapes it cannot check whom the answer is from.
func Serve(
	ctx context.Context, address string, cfg *rest.Config, metrics prometheus.Gatherer, log logr.Logger,
) error {
	clients, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	mux := http.NewServeMux()
	handler := promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})
	mux.Handle("GET /metrics", newGuard(clients, handler, time.Now, log))
	certificate := sync.OnceValues(selfSigned)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 30 * time.Second,
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS13,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate() },
		},
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { log.Info("Metrics ended", "reason", server.ServeTLS(listener, "", "").Error()) }()
	return nil
}

// selfSigned makes a certificate. Its key is of a kind that slow nodes make in no time: who asks first waits for it.
func selfSigned() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of the metrics: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{serverName},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the certificate of the metrics: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
