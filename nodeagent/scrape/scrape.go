// SPDX-License-Identifier: Apache-2.0

// Package scrape serves the metrics of an agent, which is on the network of its node, to those who may get them.
package scrape

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	certutil "k8s.io/client-go/util/cert"
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
		Handler: mux, ReadHeaderTimeout: 5 * time.Second,
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS13,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate() },
		},
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { log.Info("Metrics ended", "reason", server.ServeTLS(listener, "", "").Error()) }()
	return nil
}

func selfSigned() (*tls.Certificate, error) {
	cert, key, err := certutil.GenerateSelfSignedCertKey(serverName, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("make the certificate of the metrics: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	return &pair, err
}
