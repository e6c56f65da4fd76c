// SPDX-License-Identifier: Apache-2.0

package systems_test

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/systems"
	"github.com/bridgehead-dev/bridgehead/e2e/systems/layout"
)

// asNode makes the system of options a node of a control plane; see joinBy.
func asNode(o systems.Options, plane *controlplane.ControlPlane) systems.Options {
	o.Kubelet = true
	o.Services = append(slices.Clone(o.Services), "kubelet.service")
	files := map[string]string{"/etc/kubernetes/ca.crt": string(plane.CA())}
	maps.Copy(files, o.Files)
	o.Files = files
	return o
}

// apiPort returns the port of the API server on the machine.
func apiPort(t *testing.T, plane *controlplane.ControlPlane) string {
	t.Helper()
	server, err := url.Parse(plane.Config.Host)
	require.NoError(t, err)
	return server.Port()
}

// joinBy has kubelet, at the next boot, reach the API server at the address that a boot makes it reach.
func joinBy(t *testing.T, s *systems.System, plane *controlplane.ControlPlane, b boot) {
	t.Helper()
	direct := layout.UplinkHost + ":" + apiPort(t, plane)
	require.NoError(t, s.SetLAN(t.Context(), layout.LAN{Lease: 3600, API: direct}))
	access, err := plane.UserConfig("system:node:"+systems.NodeName, "system:nodes")
	require.NoError(t, err)
	access.ServerName, access.Host = "kubernetes", "https://"+b.api
	if b.api == layout.UplinkHost {
		access.Host = "https://" + direct
	}
	text, err := controlplane.Kubeconfig(access)
	require.NoError(t, err)
	do(t, s, "mkdir -p /etc/kubernetes")
	require.NoError(t, s.Write(t.Context(), systems.KubeletAccess, text))
	require.NoError(t, s.Write(t.Context(), systems.KubeletAddress, "NODE_IP="+b.address+"\n"))
}

// nodeReady waits until the Node is Ready in this boot, and returns when that was, in seconds since the kernel started.
func nodeReady(t *testing.T, s *systems.System, plane *controlplane.ControlPlane) float64 {
	t.Helper()
	client, err := kubernetes.NewForConfig(plane.Config)
	require.NoError(t, err)
	id := strings.TrimSpace(do(t, s, "cat /proc/sys/kernel/random/boot_id"))
	var last error
	ready := func() bool {
		node, err := client.CoreV1().Nodes().Get(t.Context(), systems.NodeName, metav1.GetOptions{})
		last = err
		if err == nil {
			last = readiness(node, id)
		}
		return last == nil
	}
	if !assert.Eventually(t, ready, patience, time.Second/2) {
		require.NoError(t, last, do(t, s, "journalctl --no-pager -u kubelet -u containerd -n 60"))
	}
	return uptime(t, s)
}

// readiness is why a Node is not Ready in a boot; nil if it is.
func readiness(node *corev1.Node, boot string) error {
	if node.Status.NodeInfo.BootID != boot {
		return errors.New("its kubelet has not reported since it booted")
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return errors.New("it is not Ready")
}
