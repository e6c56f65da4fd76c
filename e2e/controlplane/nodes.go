// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"errors"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane/tunnel"
)

// RouteThrough leads the API server into a cluster with a network of its own: a connection to the address of a node
// goes through the HTTP CONNECT proxy of that node, and one to a Service or a pod through that of any node. proxies are
// their addresses on this machine ("127.0.0.1:6000") by the addresses of the nodes. What Route says counts no more.
func (c *ControlPlane) RouteThrough(proxies map[string]string) { c.proxy.setProxies(proxies) }

// nodes are the ways into the cluster. The zero nodes has none.
type nodes struct {
	mu      sync.Mutex
	proxies map[string]string
}

// throughTimeout bounds a dial through a node, which may be slow: the guest has no accelerator.
const throughTimeout = 10 * time.Second

func (n *nodes) setProxies(proxies map[string]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.proxies = maps.Clone(proxies)
}

// candidates returns the proxies to ask for an address: that of the node which has it, else all, in random order.
func (n *nodes) candidates(ip string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if proxy, ok := n.proxies[ip]; ok {
		return []string{proxy}
	}
	var all []string
	for _, proxy := range n.proxies { // Go ranges over maps in random order
		all = append(all, proxy)
	}
	return all
}

// dialThrough connects to a target ("10.96.0.1:443") by the first proxy that can.
func dialThrough(ctx context.Context, proxies []string, target string) (net.Conn, error) {
	var failed []error
	for _, proxy := range proxies {
		ctx, cancel := context.WithTimeout(ctx, throughTimeout)
		conn, err := tunnel.Dial(ctx, proxy, target)
		cancel()
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}
