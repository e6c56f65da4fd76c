// SPDX-License-Identifier: Apache-2.0

package onnodes

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/bridgehead-dev/bridgehead/e2e/cluster"
)

const (
	agents = "daemonset/bridgehead-agent"
	// launcher starts the names of the story's pods.
	launcher = "in-place-of-virt-launcher-"
)

// ping sees that vma still reaches vmb.
func ping(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	eventually(t, c, " 0% packet loss", "exec", launcher+"vma", "--", "ping", "10.200.0.2", "-c", "2", "-w", "20")
}

// restarts returns how often the containers of the story's pods were started again.
func restarts(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	return kubectl(t, c, "get", "pods", launcher+"vma", launcher+"vmb", "-o", "jsonpath={.items[*].status.containerStatuses[*].restartCount}")
}

// processOf waits for a process of a name on a node that is not another one, and returns its id.
func processOf(t *testing.T, n *cluster.Node, name, other string) string {
	t.Helper()
	var pid string
	err := wait.PollUntilContextTimeout(
		t.Context(),
		500*time.Millisecond,
		within,
		true,
		func(ctx context.Context) (bool, error) {
			out, err := n.Exec(ctx, "/bin/busybox", "pidof", name)
			pid = strings.TrimSpace(out)
			return err == nil && pid != other, nil
		},
	)
	require.NoError(t, err, "no %s on %s but %s", name, n.Name, pid)
	return pid
}

func kubeletIsKilled(t *testing.T, c *cluster.Cluster) {
	n := c.Nodes[0]
	before, pid := restarts(t, c), processOf(t, n, "kubelet", "")
	require.NoError(t, n.Kill(t.Context(), "kubelet"))
	processOf(t, n, "kubelet", pid)
	require.NoError(t, c.WaitReady(t.Context(), n))
	// kubelet zeroes what it does not know of when it starts; the agent puts it back.
	for _, list := range []string{"capacity", "allocatable"} {
		eventually(t, c, "1k", "get", "node", n.Name, `-o=jsonpath={.status.`+list+`.bridge\.network\.kubevirt\.io/br0}`)
	}
	ping(t, c)
	assert.Equal(t, before, restarts(t, c), "pods ran on")
}

func containerdIsKilled(t *testing.T, c *cluster.Cluster) {
	n := c.Nodes[0]
	before, pid := restarts(t, c), processOf(t, n, "containerd", "")
	require.NoError(t, n.Kill(t.Context(), "containerd"))
	processOf(t, n, "containerd", pid)
	require.NoError(t, c.WaitReady(t.Context(), n))
	ping(t, c)
	assert.Equal(t, before, restarts(t, c), "pods ran on")
}

func nodeReboots(t *testing.T, c *cluster.Cluster) {
	n := c.Nodes[1]
	require.NoError(t, n.Reboot(t.Context()))
	require.NoError(t, c.WaitReady(t.Context(), n))
	require.NoError(t, c.WaitInstalled(t.Context()))
	eventually(t, c, "1k", "get", "node", n.Name, `-o=jsonpath={.status.allocatable.bridge\.network\.kubevirt\.io/br0}`)
	// What the API has of the node may be from before: the kernel has not.
	var links string
	err := wait.PollUntilContextTimeout(
		t.Context(), 500*time.Millisecond, within, true, func(ctx context.Context) (bool, error) {
			links, _ = n.Exec(ctx, "ip", "-br", "link", "show", "master", "br0")
			return strings.Contains(links, "eth1"), nil
		},
	)
	require.NoError(t, err, "ports of br0: %s", links)
	available(t, c, "br0-eth1")
	ping(t, c)
}

func bridgeByHand(t *testing.T, c *cluster.Cluster) {
	for _, n := range c.Nodes {
		_, err := n.Exec(t.Context(), "ip", "link", "add", "br5", "type", "bridge")
		require.NoError(t, err)
		_, err = n.Exec(t.Context(), "ip", "link", "add", "dummy5", "type", "dummy")
		require.NoError(t, err)
	}
	apply(t, c, bridgePolicy("by-hand", "br5", "dummy5"))
	available(t, c, "by-hand")
	for _, n := range c.Nodes {
		links, err := n.Exec(t.Context(), "ip", "-br", "link", "show", "master", "br5")
		require.NoError(t, err)
		assert.Contains(t, links, "dummy5")
	}
	remove(t, c, "by-hand")
}

// agentWithoutSettings takes the host's /proc/sys/net from the agents.
func agentWithoutSettings(t *testing.T, c *cluster.Cluster) {
	const patch = `{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":"100%"}},"template":{"spec":{"containers":[` +
		`{"name":"agent","volumeMounts":[{"mountPath":"/host/proc/sys/net","$patch":"delete"}]}]}}}}`
	spoil(t, c, patch, "without-settings", "read-only")
}

// agentWithoutCapability takes CAP_NET_ADMIN from the agents.
func agentWithoutCapability(t *testing.T, c *cluster.Cluster) {
	const patch = `{"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":"100%"}},"template":{"spec":{"containers":[` +
		`{"name":"agent","securityContext":{"capabilities":{"add":["NET_RAW","NET_BIND_SERVICE"]}}}]}}}}`
	spoil(t, c, patch, "without-capability", "CAP_NET_ADMIN")
}

// spoil patches the agents and applies a policy that they then cannot serve: log and status say why. With the manifests
// applied again, the policy is served without anybody touching it.
func spoil(t *testing.T, c *cluster.Cluster, patch, policy, reason string) {
	kubectl(t, c, "patch", "-n", cluster.AgentNamespace, agents, "--type=strategic", "-p", patch)
	eventually(
		t, c, reason, "logs", "-n", cluster.AgentNamespace, "-l", "app.kubernetes.io/name=bridgehead-agent", "--tail=-1",
	)
	apply(t, c, dummyPolicy(policy))
	eventually(t, c, reason, "get", "nnce", "-l", "nmstate.io/policy="+policy, "-o", "yaml")
	for _, n := range c.Nodes {
		_, err := n.Exec(t.Context(), "ip", "link", "show", "dummy7")
		require.Error(t, err, "nothing is half done")
	}
	require.NoError(t, c.Reinstall(t.Context()))
	available(t, c, policy)
	remove(t, c, policy)
	// The policy is gone before what it made: the next agent might not be able to take that away.
	for _, n := range c.Nodes {
		require.Eventually(t, func() bool {
			_, err := n.Exec(t.Context(), "ip", "link", "show", "dummy7")
			return err != nil
		}, within, time.Second, "dummy7 goes from %s", n.Name)
	}
}

// dummyPolicy returns a policy that makes one link.
func dummyPolicy(name string) string {
	return `
apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
metadata:
  name: ` + name + `
  annotations: {bridgehead.dev/on-delete: revert}
spec:
  maxUnavailable: 100%
  desiredState:
    interfaces:
    - {name: dummy7, type: dummy, state: up}
`
}

// imageIsAbsent updates to an image that nobody has, and then to one that is there and must be pulled all the same,
// which nobody can.
func imageIsAbsent(t *testing.T, c *cluster.Cluster) {
	kubectl(t, c, "set", "image", "-n", cluster.Namespace, "deployment/bridgehead", "bridgehead=localhost/absent:1")
	failed := []string{"get", "events", "-n", cluster.Namespace, "--field-selector=reason=Failed"}
	eventually(t, c, `image "localhost/absent:1"`, failed...)
	createVM(t, c, "with-an-image-that-is-absent")
	kubectl(t, c, "patch", "-n", cluster.Namespace, "deployment/bridgehead", "--type=strategic", "-p",
		`{"spec":{"template":{"spec":{"containers":[{"name":"bridgehead","image":"`+cluster.Bridgehead+`","imagePullPolicy":"Always"}]}}}}`)
	eventually(t, c, `image "`+cluster.Bridgehead+`"`, failed...)
	createVM(t, c, "with-an-image-that-cannot-be-pulled")
	require.NoError(t, c.Reinstall(t.Context()))
}

// createVM creates a VM that is given addresses.
func createVM(t *testing.T, c *cluster.Cluster, name string) {
	t.Helper()
	out, err := c.KubectlInput(t.Context(), newVM(name), "create", "-f", "-", "-o", "yaml")
	require.NoError(t, err)
	assert.Contains(t, out, "macAddress: ")
}

// noEndpoints takes all replicas away.
func noEndpoints(t *testing.T, c *cluster.Cluster) {
	kubectl(t, c, "scale", "-n", cluster.Namespace, "deployment/bridgehead", "--replicas=0")
	kubectl(
		t, c, "wait", "-n", cluster.Namespace, "pods", "-l", "app.kubernetes.io/name=bridgehead", "--for=delete",
		"--timeout="+within.String(),
	)
	_, err := c.KubectlInput(t.Context(), newVM("while-nobody-answers"), "create", "-f", "-")
	require.ErrorContains(t, err, "failed calling webhook")
	require.ErrorContains(t, err, "bridgehead-webhook.bridgehead-system.svc")
	require.NoError(t, c.Reinstall(t.Context()))
	eventually(t, c, "macAddress: ", "create", "--dry-run=server", "-o", "yaml", "-f", vmFile(t, "once-somebody-answers"))
}
