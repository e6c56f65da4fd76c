// SPDX-License-Identifier: Apache-2.0

package onnodes

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/bridgehead-dev/bridgehead/e2e/cluster"
)

// agentHasNoMoreThanItsManifestSays compares what the kernel says of the agents' processes with their DaemonSet: a
// runtime that adds something, or a manifest that asks for something it does not get, would show.
func agentHasNoMoreThanItsManifestSays(t *testing.T, c *cluster.Cluster) {
	var set appsv1.DaemonSet
	require.NoError(t, json.Unmarshal(
		[]byte(kubectl(t, c, "get", "-n", cluster.AgentNamespace, agents, "-o", "json")), &set,
	))
	bits := map[corev1.Capability]int{
		"NET_ADMIN": unix.CAP_NET_ADMIN, "NET_RAW": unix.CAP_NET_RAW, "NET_BIND_SERVICE": unix.CAP_NET_BIND_SERVICE,
	}
	var mask uint64
	for _, name := range set.Spec.Template.Spec.Containers[0].SecurityContext.Capabilities.Add {
		bit, known := bits[name]
		require.True(t, known, name)
		mask |= 1 << bit
	}
	granted := fmt.Sprintf("%016x", mask)
	for _, n := range c.Nodes {
		pid, err := n.Exec(t.Context(), "busybox", "pidof", "bridgehead-agent")
		require.NoError(t, err)
		status, err := n.Exec(t.Context(), "cat", "/proc/"+strings.TrimSpace(pid)+"/status")
		require.NoError(t, err)
		t.Log(n.Name, status)
		is := map[string]string{}
		for line := range strings.Lines(status) {
			key, value, _ := strings.Cut(line, ":")
			is[key] = strings.TrimSpace(value)
		}
		for key, want := range map[string]string{
			"CapEff": granted, "CapPrm": granted, "CapBnd": granted, "CapInh": "0000000000000000",
			"CapAmb": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2",
		} {
			assert.Equal(t, want, is[key], "%s of the agent on %s", key, n.Name)
		}
	}
}
