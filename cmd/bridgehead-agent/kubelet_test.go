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
	for name, test := range map[string]struct{ path, text, want string }{
		"kubeadm's":            {"/etc/kubernetes/kubelet.conf", config("https://api.example.org:6443"), "api.example.org:6443"},
		"without a port":       {"/var/lib/kubelet/kubeconfig", config("https://192.0.2.9"), "192.0.2.9:443"},
		"by IPv6":              {"/var/lib/kubelet/kubeconfig", config("https://[2001:db8::1]:6443"), "[2001:db8::1]:6443"},
		"no kubelet":           {"/etc/hostname", "node", ""},
		"no kubeconfig":        {"/etc/kubernetes/kubelet.conf", "]", ""},
		"one without contexts": {"/etc/kubernetes/kubelet.conf", "apiVersion: v1\nkind: Config\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, test.path)), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(root, test.path), []byte(test.text), 0o600))
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
