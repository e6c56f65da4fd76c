// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"sigs.k8s.io/yaml"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserverv1beta1 "k8s.io/apiserver/pkg/apis/apiserver/v1beta1"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane/tunnel"
)

// A proxy plays kube-proxy for the API server: it is an HTTP CONNECT server on a Unix socket, to which
// the API server sends every connection to a Service, a pod or a kubelet (its egress "cluster"). It leads a
// connection to one of the backends that the test registered for the Service, and all others through a node.
type proxy struct {
	routes
	nodes
	lookup func(ctx context.Context, ip string) (service string, err error)
	socket string
	server *http.Server
	cancel context.CancelFunc // ends the connections that http.Server has forgotten
}

// newProxy serves on a socket. lookup finds which Service ("namespace/name") has an address.
func newProxy(socket string, lookup func(context.Context, string) (string, error)) (*proxy, error) {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf(
			"listen for the API server's connections (the path of the cache folder may be too long): %w", err,
		)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &proxy{lookup: lookup, socket: socket, cancel: cancel}
	p.server = &http.Server{
		Handler:           p,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go func() { _ = p.server.Serve(listener) }() // returns when close closes the listener
	return p, nil
}

// close ends the server and every connection through it.
func (p *proxy) close() error {
	p.cancel()
	if err := p.server.Close(); err != nil {
		return fmt.Errorf("close the proxy: %w", err)
	}
	return nil
}

// ServeHTTP answers one CONNECT.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) { tunnel.Serve(w, r, p.connect) }

// connect dials an address of the cluster: through a node if there is one, else to a backend of the Service.
func (p *proxy) connect(ctx context.Context, target string) (net.Conn, error) {
	ip, _, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	if proxies := p.candidates(ip); len(proxies) > 0 {
		return dialThrough(ctx, proxies, target)
	}
	service, err := p.lookup(ctx, ip)
	if err != nil {
		return nil, err
	}
	return p.dial(ctx, service)
}

// writeEgressConfig writes the API server's configuration that sends it to the proxy. It concerns
// connections to Services, pods and kubelets; etcd, and webhooks given by URL, are
// other egresses and dialled directly.
func (c *ControlPlane) writeEgressConfig() (string, error) {
	config := apiserverv1beta1.EgressSelectorConfiguration{
		TypeMeta: metav1.TypeMeta{APIVersion: "apiserver.k8s.io/v1beta1", Kind: "EgressSelectorConfiguration"},
		EgressSelections: []apiserverv1beta1.EgressSelection{{
			Name: "cluster",
			Connection: apiserverv1beta1.Connection{
				ProxyProtocol: apiserverv1beta1.ProtocolHTTPConnect,
				Transport:     &apiserverv1beta1.Transport{UDS: &apiserverv1beta1.UDSTransport{UDSName: c.proxy.socket}},
			},
		}},
	}
	data, err := yaml.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("encode the egress configuration: %w", err)
	}
	path := c.run.path("egress.yaml")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return "", fmt.Errorf("write the egress configuration: %w", err)
	}
	return path, nil
}
