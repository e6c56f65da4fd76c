// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"net"
	"net/url"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/bridgehead-dev/bridgehead/nodeagent"
)

// kubeletServer returns where kubelet of the host below root finds the API server, as host:port; "" if its kubeconfig
// is in none of the usual places.
func kubeletServer(root string) string {
	for _, path := range []string{
		"/etc/kubernetes/kubelet.conf", "/etc/kubernetes/kubelet.kubeconfig", "/var/lib/kubelet/kubeconfig",
	} {
		config, err := clientcmd.LoadFromFile(filepath.Join(root, path))
		if err != nil {
			continue
		}
		current := config.Contexts[config.CurrentContext]
		if current == nil || config.Clusters[current.Cluster] == nil {
			continue
		}
		server, err := url.Parse(config.Clusters[current.Cluster].Server)
		if err == nil && server.Hostname() != "" {
			return net.JoinHostPort(server.Hostname(), cmp.Or(server.Port(), "443"))
		}
	}
	return ""
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
