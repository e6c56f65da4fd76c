package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"sigs.k8s.io/yaml"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserverv1beta1 "k8s.io/apiserver/pkg/apis/apiserver/v1beta1"
)

// A proxy plays kube-proxy for the API server: it is an HTTP CONNECT server on a Unix socket, to which
// the API server sends every connection to the address of a Service (its egress "cluster"), and leads each
// to one of the backends that the test registered for that Service.
type proxy struct {
	routes
	lookup func(ctx context.Context, ip string) (service string, err error)
	socket string
	server *http.Server
	cancel context.CancelFunc // ends the connections that http.Server has forgotten
}

// newProxy serves on a socket. lookup finds which Service ("namespace/name") has an address.
func newProxy(socket string, lookup func(context.Context, string) (string, error)) (*proxy, error) {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listen for the API server's connections (the path of the cache folder may be too long): %w", err)
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

// ServeHTTP answers one CONNECT. The reasons for a refusal reach the test through the API server's error,
// which quotes the status line only; the body is for whoever speaks to the socket by hand.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "this is a proxy: use CONNECT", http.StatusMethodNotAllowed)
		return
	}
	ip, _, err := net.SplitHostPort(r.RequestURI)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	service, err := p.lookup(r.Context(), ip)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	backend, err := p.dial(r.Context(), service)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer func() { _ = backend.Close() }()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = client.Close() }()
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	splice(r.Context(), client, buffered, backend)
}

// splice copies both ways until both directions have ended or ctx has. from is what is read of client.
func splice(ctx context.Context, client net.Conn, from io.Reader, backend net.Conn) {
	stop := context.AfterFunc(ctx, func() { closeBoth(client, backend) })
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pour(backend, from, client)
	}()
	pour(client, backend, backend)
	<-done
}

// pour copies one direction. An end of file is passed on as such, the other direction may go on; after
// an error neither can.
func pour(to net.Conn, from io.Reader, source net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		closeBoth(to, source)
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // fails only if the connection is gone already
	}
}

// closeBoth ends both directions of both connections.
func closeBoth(a, b net.Conn) {
	_ = errors.Join(a.Close(), b.Close()) // of use only as the end of what is blocked on them
}

// writeEgressConfig writes the API server's configuration that sends it to the proxy. It concerns
// connections to Services (and to kubelets, of which there are none); etcd, and webhooks given by URL, are
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
