// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/bridgehead-dev/bridgehead/nodeagent"
)

// kubeconfigs are where kubelet has its own: with kubeadm and most others, with clouds and OpenShift, where the second
// is what a node joins by, with k0s, k3s and RKE2.
func kubeconfigs() []string {
	return []string{
		"/etc/kubernetes/kubelet.conf", "/etc/kubernetes/kubelet.kubeconfig",
		"/var/lib/kubelet/kubeconfig", "/etc/kubernetes/kubeconfig",
		"/var/lib/k0s/kubelet.conf",
		"/var/lib/rancher/k3s/agent/kubelet.kubeconfig", "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
	}
}

// balancers are where k3s and RKE2 note which server they pass on to what their kubelets say to the node itself.
func balancers() []string {
	return []string{
		"/var/lib/rancher/k3s/agent/etc/k3s-agent-load-balancer.json",
		"/var/lib/rancher/rke2/agent/etc/rke2-api-server-agent-load-balancer.json",
	}
}

// kubeletServer returns where kubelet of the host below root finds the API server, as host:port; "" if that is in none
// of the usual places, or is but a proxy of the node.
func kubeletServer(root string) string {
	for _, path := range kubeconfigs() {
		if server := address(configured(filepath.Join(root, path))); server != "" {
			return server
		}
	}
	for _, path := range balancers() {
		if server := address(balanced(filepath.Join(root, path))); server != "" {
			return server
		}
	}
	return ""
}

// configured returns the URL of the API server in a kubeconfig, "" for none.
func configured(path string) string {
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return ""
	}
	current := config.Contexts[config.CurrentContext]
	if current == nil || config.Clusters[current.Cluster] == nil {
		return ""
	}
	return config.Clusters[current.Cluster].Server
}

// balanced returns the URL of the API server in a note of k3s or RKE2, "" for none.
func balanced(path string) string {
	text, err := os.ReadFile(path)
	var noted struct{ ServerURL string }
	if err != nil || json.Unmarshal(text, &noted) != nil {
		return ""
	}
	return noted.ServerURL
}

// address returns the host:port of a URL, "" for none or one of the node itself.
func address(of string) string {
	server, err := url.Parse(of)
	if err != nil {
		return ""
	}
	host := server.Hostname()
	if ip := net.ParseIP(host); host == "" || host == "localhost" || ip.IsLoopback() {
		return ""
	}
	return net.JoinHostPort(host, cmp.Or(server.Port(), "443"))
}

// apiAttempt is how long the API server may take to accept a connection.
const apiAttempt = 2 * time.Second

// orAPIServer returns a probe that takes a connection to the API server, at host:port, for an answer of all who are
// silent: a node that has it needs no gateway. That there is none means nothing, for the API server may be down; nor
// does one of the node to itself, as those that run an API server or a proxy have.
func orAPIServer(way nodeagent.WayProbe, server string) nodeagent.WayProbe {
	return func(ctx context.Context, links []string, again bool) map[string]error {
		answers := way(ctx, links, again)
		if server == "" || all(answers) {
			return answers
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiAttempt) // what is left of ctx is nothing
		defer cancel()
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", server)
		if err != nil {
			return answers
		}
		_ = conn.Close() // nothing was written
		if toItself(conn) {
			return answers
		}
		for name := range answers {
			answers[name] = nil
		}
		return answers
	}
}

// toItself reports whether both ends of a connection have the same address.
func toItself(conn net.Conn) bool {
	from, isTCP := conn.LocalAddr().(*net.TCPAddr)
	to, isTCPToo := conn.RemoteAddr().(*net.TCPAddr)
	return isTCP && isTCPToo && from.IP.Equal(to.IP)
}

// all reports whether all have answered.
func all(answers map[string]error) bool {
	for _, err := range answers {
		if err != nil {
			return false
		}
	}
	return true
}
