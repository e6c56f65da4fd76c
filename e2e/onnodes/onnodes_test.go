// SPDX-License-Identifier: Apache-2.0

package onnodes

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/bridgehead-dev/bridgehead/e2e/cluster"
	"github.com/bridgehead-dev/bridgehead/e2e/stories/story"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// within is how long what follows from something may take, on nodes without an accelerator and a busy machine.
const within = 10 * time.Minute

// A scene is a part of the sequence.
type scene struct {
	name string
	play func(t *testing.T, c *cluster.Cluster)
}

func TestTwoNodes(t *testing.T) {
	c := cluster.StartForTest(t, cluster.Options{Nodes: 2})
	for _, s := range []scene{
		{"what the README says works", readmeWorks},
		{"the story is so", storyIsSo},
		{"the agent has no more than its manifest says", agentHasNoMoreThanItsManifestSays},
		{"metrics are for those who may get them", metricsAreScraped},
		{"what was told survives a kubelet that is killed", kubeletIsKilled},
		{"what was told survives a containerd that is killed", containerdIsKilled},
		{"a bridge that was made by hand is taken over", bridgeByHand},
		{"an agent without the host's settings says so, and goes on when it has them", agentWithoutSettings},
		{"an agent that may not change links says so, and goes on when it may", agentWithoutCapability},
		{"a release whose image does not exist changes nothing", imageIsAbsent},
		{"a webhook without endpoints is named in the refusal", noEndpoints},
		{"what was told survives a reboot", nodeReboots},
		{"NetworkPolicies let in who has business there and keep out everybody else", networkPoliciesAreKept},
	} {
		if !t.Run(s.name, func(t *testing.T) { s.play(t, c) }) {
			return // what follows builds on it
		}
	}
}

// A cluster is installed before it has a node, and its only node has no IPv6.
func TestOneNodeThatComesLater(t *testing.T) {
	c := cluster.StartForTest(t, cluster.Options{
		Nodes: 1, Empty: true, Manifests: "manifests/single-node", KernelArgs: "ipv6.disable=1",
	})
	require.NoError(t, c.ApplyManifests(t.Context()))
	eventually(t, c, "no nodes available", "get", "pods", "-n", cluster.Namespace,
		`-o=jsonpath={.items[*].status.conditions[?(@.type=="PodScheduled")].message}`)
	apply(t, c, bridgePolicy("single", "br0", "eth1"))
	// Nobody is there to refuse it.
	unknown := []string{"run", "early", "--image=none", "--annotations=k8s.v1.cni.cncf.io/networks=no-such-network"}
	kubectl(t, c, unknown...)
	kubectl(t, c, "delete", "pod", "early", "--now")

	require.NoError(t, c.Boot(t.Context()))
	require.NoError(t, c.WaitInstalled(t.Context()))
	available(t, c, "single")
	_, err := c.Kubectl(t.Context(), unknown...)
	require.ErrorContains(t, err, "no-such-network")
}

func storyIsSo(t *testing.T, c *cluster.Cluster) {
	require.NoError(t, story.Tell(t.Context(), c, t.Output()))
	// It ends with the policy deleted and the bridge left behind; what follows wants both.
	root, err := suite.Root()
	require.NoError(t, err)
	kubectl(t, c, "apply", "-f", filepath.Join(root, "e2e/stories/testdata/10-policy-br0-eth1.yaml"))
	available(t, c, "br0-eth1")
}

// readmeWorks runs every command of the README, but for those of make: what they run is tested by itself.
func readmeWorks(t *testing.T, c *cluster.Cluster) {
	root, err := suite.Root()
	require.NoError(t, err)
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	commands := cluster.Commands(string(readme))
	require.NotEmpty(t, commands)
	for _, command := range commands {
		if target, found := strings.CutPrefix(command, "make "); found {
			require.True(t, hasTarget(t, root, target), "the Makefile has no target %s", target)
			continue
		}
		if strings.HasPrefix(command, "kubectl apply --server-side -k manifests") {
			// The same manifests, with the name of the image that is on the nodes.
			require.NoError(t, c.Install(t.Context()))
			continue
		}
		t.Log("$ " + command)
		kubectl := c.KubectlCommand(t.Context())
		script := "export PATH=" + filepath.Dir(kubectl.Path) + ":$PATH; " + command
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
		cmd.Dir, cmd.Env = root, kubectl.Env
		out, err := cmd.CombinedOutput()
		t.Log(string(out))
		require.NoError(t, err, command)
	}
}

func hasTarget(t *testing.T, root, target string) bool {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), target+":") {
			return true
		}
	}
	return false
}

// apply applies a manifest.
func apply(t *testing.T, c *cluster.Cluster, manifest string) {
	t.Helper()
	_, err := c.KubectlInput(t.Context(), manifest, "apply", "-f", "-")
	require.NoError(t, err)
}

// kubectl runs kubectl, which must succeed.
func kubectl(t *testing.T, c *cluster.Cluster, args ...string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), args...)
	require.NoError(t, err)
	return out
}

// eventually waits until kubectl prints something that has a part in it.
func eventually(t *testing.T, c *cluster.Cluster, part string, args ...string) {
	t.Helper()
	var last string
	err := wait.PollUntilContextTimeout(t.Context(), time.Second, within, true, func(ctx context.Context) (bool, error) {
		out, err := c.Kubectl(ctx, args...)
		if err != nil {
			out += err.Error()
		}
		select {
		case <-ctx.Done(): // what it printed before says more
		default:
			last = out
		}
		return strings.Contains(last, part), nil
	})
	require.NoError(t, err, "kubectl %s prints no %q but\n%s", strings.Join(args, " "), part, last)
}

// available waits until a policy is available on every node.
func available(t *testing.T, c *cluster.Cluster, policy string) {
	t.Helper()
	_, err := c.Kubectl(t.Context(), "wait", "nncp", policy, "--for=condition=Available", "--timeout="+within.String())
	if err != nil {
		t.Log(c.Kubectl(t.Context(), "get", "nncp,nnce", "-o", "yaml"))
	}
	require.NoError(t, err)
}

// remove deletes a policy and waits until it is undone.
func remove(t *testing.T, c *cluster.Cluster, policy string) {
	t.Helper()
	kubectl(t, c, "delete", "nncp", policy)
	kubectl(t, c, "wait", "nnce", "--for=delete", "-l", "nmstate.io/policy="+policy, "--timeout="+within.String())
}

// bridgePolicy returns a policy that wants a bridge on a port, undone when it is deleted.
func bridgePolicy(name, bridge, port string) string {
	return `
apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
metadata:
  name: ` + name + `
  # A busy machine answers late.
  annotations: {bridgehead.dev/on-delete: revert, bridgehead.dev/probe-deadline: 120s}
spec:
  maxUnavailable: 100%
  desiredState:
    interfaces:
    - name: ` + bridge + `
      type: linux-bridge
      state: up
      bridge:
        options: {stp: {enabled: false}}
        port: [{name: ` + port + `}]
`
}
