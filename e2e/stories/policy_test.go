// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// nodeState is the NodeNetworkState of a node with two NICs, as its agent would report it.
const nodeState = `
apiVersion: v1
kind: Node
metadata: {name: node01, labels: {kubernetes.io/hostname: node01}}
---
apiVersion: nmstate.io/v1beta1
kind: NodeNetworkState
metadata: {name: node01}
`

const currentState = `{"status":{"currentState":{"interfaces":[
  {"name":"eth0","type":"ethernet","state":"up","mac-address":"52:54:00:00:00:00","mtu":1500,"ipv4":{"enabled":true,"dhcp":false,"address":[{"ip":"192.0.2.5","prefix-length":24}]},"ipv6":{"enabled":false}},
  {"name":"eth1","type":"ethernet","state":"down","mac-address":"52:54:00:00:00:01","mtu":1500,"ipv4":{"enabled":false},"ipv6":{"enabled":false}}]}}}`

func policyYAML(version, name, spec string) string {
	return fmt.Sprintf("apiVersion: nmstate.io/%s\nkind: NodeNetworkConfigurationPolicy\nmetadata: {name: %s}\nspec: %s\n", version, name, spec)
}

func TestPoliciesAreJudgedWhenTheyAreApplied(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 1, WithoutKubeVirt: true})
	_, err := s.KubectlInput(t.Context(), nodeState, "apply", "-f", "-")
	require.NoError(t, err)
	_, err = s.Kubectl(t.Context(), "patch", "nns", "node01", "--subresource=status", "--type=merge", "-p", currentState)
	require.NoError(t, err)

	const bridge = `{desiredState: {interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}]}}`
	for name, c := range map[string]struct {
		version, name, spec string
		refused             []string
	}{
		"a good policy": {"v1", "good", bridge, nil},
		"an unknown key": {"v1alpha1", "bad", `{desiredState: {interfaces: [{name: br0, type: linux-bridge, stat: up}]}}`,
			[]string{"spec.desiredState.interfaces[0].stat", "did you mean state?"}},
		"a name of 16 characters": {"v1beta1", "bad", `{desiredState: {interfaces: [{name: abcdefghijklmnop, type: linux-bridge, state: up}]}}`,
			[]string{"spec.desiredState.interfaces[0].name", "15"}},
		"VLAN 4095": {"v1", "bad", `{desiredState: {interfaces: [{name: v, type: vlan, state: up, vlan: {base-iface: eth1, id: 4095}}]}}`,
			[]string{"spec.desiredState.interfaces[0].vlan.id", "4094"}},
		"a policy named with 64 characters": {"v1", strings.Repeat("n", 64), bridge,
			[]string{"must be no more than 63 characters"}},
		"a label that no node can have": {"v1", "bad", `{nodeSelector: {a: "b c"}}`, []string{"nodeSelector values must be valid label values"}},
		"a megabyte":                    {"v1", "bad", `{desiredState: {description: "` + strings.Repeat("x", 1<<20) + `"}}`, []string{"Too long"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.KubectlInput(t.Context(), policyYAML(c.version, c.name, c.spec), "create", "-f", "-")
			if len(c.refused) == 0 {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			for _, fragment := range c.refused {
				assert.Contains(t, err.Error(), fragment)
			}
			_, err = s.Kubectl(t.Context(), "get", "nncp", c.name)
			assert.Error(t, err, "nothing is stored")
		})
	}
	t.Run("captures cannot be changed", func(t *testing.T) {
		capture := `{capture: {nic: 'interfaces.name=="%s"'}, desiredState: {interfaces: []}}`
		_, err := s.KubectlInput(t.Context(), policyYAML("v1", "captured", fmt.Sprintf(capture, "eth0")), "apply", "-f", "-")
		require.NoError(t, err)
		_, err = s.KubectlInput(t.Context(), policyYAML("v1", "captured", fmt.Sprintf(capture, "eth1")), "apply", "-f", "-")
		require.ErrorContains(t, err, "capture field cannot be modified")
	})
}

func TestADryRunOfAPolicyShowsThePlan(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 1, WithoutKubeVirt: true})
	_, err := s.KubectlInput(t.Context(), nodeState, "apply", "-f", "-")
	require.NoError(t, err)
	_, err = s.Kubectl(t.Context(), "patch", "nns", "node01", "--subresource=status", "--type=merge", "-p", currentState)
	require.NoError(t, err)
	spec := `{desiredState: {interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth0}]}}]}}`

	cmd := s.KubectlCommand(t.Context(), "apply", "--dry-run=server", "-o", "yaml", "-f", "-")
	cmd.Stdin = strings.NewReader(policyYAML("v1", "planned", spec))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "Warning: plan for node node01")
	assert.Contains(t, string(out), "+ bridge br0 (stp off")
	assert.Contains(t, string(out), "bridgehead.dev/plan: |")
	assert.Contains(t, string(out), "eth0 loses 192.0.2.5/24", "what it costs")
	_, err = s.Kubectl(t.Context(), "get", "nncp", "planned")
	require.Error(t, err)

	_, err = s.KubectlInput(t.Context(), policyYAML("v1", "planned", spec), "apply", "-f", "-")
	require.NoError(t, err)
	stored, err := s.Kubectl(t.Context(), "get", "nncp", "planned", "-o", "yaml")
	require.NoError(t, err)
	assert.NotContains(t, stored, "bridgehead.dev/plan")
}
