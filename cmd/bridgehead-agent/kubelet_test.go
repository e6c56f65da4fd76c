// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheAPIServerIsWhereKubeletFindsIt(t *testing.T) {
	config := func(server string) string {
		return "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: b, user: c}}]\n" +
			"clusters: [{name: b, cluster: {server: '" + server + "'}}]\n"
	}
	type files map[string]string
	const (
		k3s     = "/var/lib/rancher/k3s/agent"
		rke2    = "/var/lib/rancher/rke2/agent"
		k3sNote = k3s + "/etc/k3s-agent-load-balancer.json"
	)
	for name, test := range map[string]struct {
		files files
		want  string
	}{
		"kubeadm's": {files{"/etc/kubernetes/kubelet.conf": config("https://api.example.org:6443")},
			"api.example.org:6443"},
		"OpenShift's, before it has joined": {files{"/etc/kubernetes/kubeconfig": config("https://192.0.2.9:6443")},
			"192.0.2.9:6443"},
		"k0s'": {files{"/var/lib/k0s/kubelet.conf": config("https://192.0.2.9:6443")}, "192.0.2.9:6443"},
		"k3s', by its balancer": {files{
			k3s + "/kubelet.kubeconfig": config("https://127.0.0.1:6444"),
			k3sNote:                     `{"ServerURL": "https://192.0.2.9:6443", "ServerAddresses": ["192.0.2.9:6443", "192.0.2.10:6443"]}`,
		}, "192.0.2.9:6443"},
		"k3s', past its balancer":   {files{k3s + "/kubelet.kubeconfig": config("https://192.0.2.9:6443")}, "192.0.2.9:6443"},
		"RKE2's, past its balancer": {files{rke2 + "/kubelet.kubeconfig": config("https://192.0.2.9:6443")}, "192.0.2.9:6443"},
		"RKE2's, by its balancer": {files{
			rke2 + "/kubelet.kubeconfig":                           config("https://[::1]:6443"),
			rke2 + "/etc/rke2-api-server-agent-load-balancer.json": `{"ServerURL": "https://192.0.2.9:6443"}`,
		}, "192.0.2.9:6443"},
		"a balancer without a server": {files{k3sNote: `{}`}, ""},
		"a balancer's broken note":    {files{k3sNote: `{`}, ""},
		"a proxy of the node":         {files{"/etc/kubernetes/kubelet.conf": config("https://localhost:6443")}, ""},
		"one that counts behind one that does not": {files{
			"/etc/kubernetes/kubelet.conf": "]", "/var/lib/kubelet/kubeconfig": config("https://192.0.2.9:6443"),
		}, "192.0.2.9:6443"},
		"without a port":       {files{"/var/lib/kubelet/kubeconfig": config("https://192.0.2.9")}, "192.0.2.9:443"},
		"by IPv6":              {files{"/var/lib/kubelet/kubeconfig": config("https://[2001:db8::1]:6443")}, "[2001:db8::1]:6443"},
		"no kubelet":           {nil, ""},
		"no kubeconfig":        {files{"/etc/kubernetes/kubelet.conf": "]"}, ""},
		"one without contexts": {files{"/etc/kubernetes/kubelet.conf": "apiVersion: v1\nkind: Config\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range test.files {
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o700))
				require.NoError(t, os.WriteFile(filepath.Join(root, path), []byte(text), 0o600))
			}
			assert.Equal(t, test.want, kubeletServer(root))
		})
	}
}

func TestAConnectionToTheAPIServerIsAnAnswer(t *testing.T) {
	open, err := net.Listen("tcp4", "127.0.0.2:0") // Linux connects to it from 127.0.0.1
	require.NoError(t, err)
	defer open.Close()
	own, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer own.Close()
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	silent := errors.New("no ARP reply")
	for name, test := range map[string]struct {
		server string
		gone   bool // the time for the gateways is over
		want   error
	}{
		"it accepts":                           {open.Addr().String(), false, nil},
		"it accepts once the gateways' is out": {open.Addr().String(), true, nil},
		"it does not":                          {closed.Addr().String(), false, silent},
		"it is not known":                      {"", false, silent},
		"it runs on the node itself":           {own.Addr().String(), false, silent},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			way := func(context.Context, []string, bool) map[string]error {
				if test.gone {
					cancel()
				}
				return map[string]error{"default gateway": silent, "IPv6 default gateway": nil}
			}
			answers := orAPIServer(way, test.server)(ctx, nil, true)
			assert.Equal(t, map[string]error{"default gateway": test.want, "IPv6 default gateway": nil}, answers)
		})
	}
}
