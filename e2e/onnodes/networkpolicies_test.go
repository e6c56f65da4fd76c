// SPDX-License-Identifier: Apache-2.0

package onnodes

import (
	"encoding/json"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/cluster"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// networkPoliciesAreKept enforces NetworkPolicies on the nodes, and the ones of the manifests with them: what has to
// reach the replicas does, also new ones, and nothing else.
func networkPoliciesAreKept(t *testing.T, c *cluster.Cluster) {
	root, err := suite.Root()
	require.NoError(t, err)
	kubectl(t, c, "apply", "-f", "testdata/enforce.yaml")
	kubectl(t, c, "rollout", "status", "-n", "kube-system", "daemonset/network-policies", "--timeout="+within.String())
	kubectl(t, c, "create", "namespace", "monitoring")
	const visitor = "visitor"
	for _, namespace := range []string{"default", "monitoring"} {
		kubectl(
			t, c, "run", visitor, "-n", namespace, "--image="+cluster.Workload, "--image-pull-policy=Never", "--command",
			"--", "/bin/sleep", "1d",
		)
		kubectl(t, c, "wait", "pod", visitor, "-n", namespace, "--for=condition=Ready", "--timeout="+within.String())
	}

	reach := func(namespace, port, want string) {
		t.Helper()
		address := strings.Fields(kubectl(
			t, c, "get", "pods", "-n", cluster.Namespace, "-l", "app.kubernetes.io/name=bridgehead",
			"-o", "jsonpath={.items[*].status.podIP}",
		))[0]
		script := "if nc -w 10 " + address + " " + port + " </dev/null >/dev/null; then echo reached; else echo kept out; fi"
		eventually(t, c, want, "exec", visitor, "-n", namespace, "--", "sh", "-c", script)
	}
	const probes, webhook, metrics = "8081", "9443", "8443"
	for _, port := range []string{probes, webhook, metrics} {
		reach("default", port, "reached")
	}

	policies := filepath.Join(root, "manifests/components/network-policies/networkpolicy.yaml")
	kubectl(t, c, "apply", "-f", policies)
	letAPIServerThrough(t, c)
	reach("default", probes, "kept out")
	reach("default", metrics, "kept out")
	reach("default", webhook, "reached")
	reach("monitoring", metrics, "reached")

	kubectl(t, c, "rollout", "restart", "-n", cluster.Namespace, "deployment/bridgehead")
	require.NoError(t, c.WaitInstalled(t.Context()))
	eventually(t, c, "macAddress: ", "create", "--dry-run=server", "-o", "yaml", "-f", vmFile(t, "behind-policies"))

	kubectl(t, c, "delete", "-f", policies)
	kubectl(t, c, "delete", "-f", "testdata/enforce.yaml")
}

// letAPIServerThrough adds the port of the API server, which is another one in each of these tests, to those that the
// NetworkPolicy has.
func letAPIServerThrough(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	at, err := url.Parse(c.Config.Host)
	require.NoError(t, err)
	patch, err := json.Marshal([]any{map[string]any{
		"op": "add", "path": "/spec/egress/0/ports/-", "value": map[string]any{"port": json.Number(at.Port())},
	}})
	require.NoError(t, err)
	kubectl(t, c, "patch", "networkpolicy", "bridgehead", "-n", cluster.Namespace, "--type=json", "-p", string(patch))
}
