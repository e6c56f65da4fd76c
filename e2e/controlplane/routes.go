// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane/tunnel"
)

// Route says where connections of the API server to a Service ("namespace/name", whatever its port) go:
// to these addresses ("127.0.0.1:9443") in turn, skipping those that do not accept, as if kube-proxy knew
// at once who is ready. Calling it again replaces the addresses for new connections, with none there are
// no endpoints; connections that exist live on, as they do in a cluster.
//
// The Service must exist and have a cluster IP, so apply the manifests as they are. The API server speaks
// HTTP/1.1 to webhooks and keeps connections open: calls spread over the backends only as far as they are
// concurrent.
func (c *ControlPlane) Route(service string, backends ...string) { c.proxy.set(service, backends) }

// Connections counts, for each backend address a Service was ever routed to, the connections it accepted.
func (c *ControlPlane) Connections(service string) map[string]int { return c.proxy.counts(service) }

// dialTimeout is how long one backend may take to accept; on the loopback interface it does so at once
// unless its queue is full.
const dialTimeout = 5 * time.Second

// routes are the backends of each Service. The zero routes has none.
type routes struct {
	mu       sync.Mutex
	services map[string]*route
}

// A route is where the connections to one Service go.
type route struct {
	backends []string
	next     int            // index of the backend whose turn it is
	accepted map[string]int // by backend
}

// set replaces the backends of a Service.
func (r *routes) set(service string, backends []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.services == nil {
		r.services = map[string]*route{}
	}
	if r.services[service] == nil {
		r.services[service] = &route{accepted: map[string]int{}}
	}
	r.services[service].backends = slices.Clone(backends)
	r.services[service].next = 0
}

// counts copies the numbers of connections of a Service.
func (r *routes) counts(service string) map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.services[service] == nil {
		return nil
	}
	return maps.Clone(r.services[service].accepted)
}

// turn lists the backends of a Service in the order in which this connection tries them.
func (r *routes) turn(service string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	rt := r.services[service]
	if rt == nil || len(rt.backends) == 0 {
		return nil
	}
	first := rt.next
	rt.next = (rt.next + 1) % len(rt.backends)
	return slices.Concat(rt.backends[first:], rt.backends[:first])
}

// count notes that a backend accepted a connection.
func (r *routes) count(service, backend string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.services[service].accepted[backend]++
}

// dial connects to the first backend of a Service that accepts, beginning with the one whose turn it is.
func (r *routes) dial(ctx context.Context, service string) (net.Conn, error) {
	backends := r.turn(service)
	if len(backends) == 0 {
		return nil, fmt.Errorf("service %s has no backends: call Route", service)
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	var refusals []error
	for _, backend := range backends {
		conn, err := dialer.DialContext(ctx, "tcp", backend)
		if err == nil {
			r.count(service, backend)
			return conn, nil
		}
		refusals = append(refusals, err)
	}
	return nil, fmt.Errorf("no backend of service %s accepts: %w", service, errors.Join(refusals...))
}

// tableTTL is how long the addresses of Services are believed; a load of new connections then asks the
// API server once a second and not once a connection.
const tableTTL = time.Second

// A serviceTable knows which Service has which cluster IP.
type serviceTable struct {
	client kubernetes.Interface

	mu      sync.Mutex
	read    time.Time
	service map[string]string // "namespace/name" by cluster IP
}

// lookup returns the Service that has a cluster IP, having asked the API server unless it did so just now.
func (t *serviceTable) lookup(ctx context.Context, ip string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if service, ok := t.service[ip]; ok && time.Since(t.read) < tableTTL {
		return service, nil
	}
	list, err := t.client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("list services: %w", err)
	}
	t.read, t.service = time.Now(), map[string]string{}
	for _, s := range list.Items {
		for _, clusterIP := range s.Spec.ClusterIPs {
			t.service[clusterIP] = s.Namespace + "/" + s.Name
		}
	}
	if service, ok := t.service[ip]; ok {
		return service, nil
	}
	return "", fmt.Errorf("find the service of %s: %w", ip, tunnel.ErrUnknown)
}
