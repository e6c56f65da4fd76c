// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

func TestPortsOfPodsStayInTheBridge(t *testing.T) {
	dir, model := t.TempDir(), kernel.NewModel(bare(t))
	k := startKeeper(t, model, dir)
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)))
	node := kernel.NewModel(withPod(t, model))
	stays := func(about string) {
		t.Helper()
		current, err := node.Read()
		require.NoError(t, err)
		bridge, _ := current.Interface("br1")
		assert.Contains(t, bridge.Ports(), "veth1", about)
	}

	k = startKeeper(t, node, dir)
	stays("restored")
	removePort(t, node, "eth1")
	healed, _ := k.Heal()
	require.Len(t, healed, 1)
	stays("healed")
	later := wish(t, "p", strings.ReplaceAll(bridgeOnEth1, "eth1", "eth2"))
	require.NoError(t, k.Apply(t.Context(), later))
	stays("another port in place of the first")
	assertDone(t, later, k, "applied")
	current, err := node.Read()
	require.NoError(t, err)
	bridge, _ := current.Interface("br1")
	assert.NotContains(t, bridge.Ports(), "eth1")

	k.Node = &broken{Node: node, at: 2}
	require.ErrorIs(t, k.Apply(t.Context(), wish(t, "p", strings.ReplaceAll(bridgeOnEth1, "eth1", "eth3"))), errNoMemory)
	stays("a change that was undone")
}

// withPod returns the state of a node after the CNI plugin has plugged a pod into its bridge.
func withPod(t *testing.T, node kernel.Node) netstate.State {
	t.Helper()
	state, err := node.Read()
	require.NoError(t, err)
	veth, found := state.Interface("eth2")
	require.True(t, found)
	veth.Name, veth.Type, veth.State, veth.Controller = "veth1", netstate.TypeVeth, netstate.StateIgnore, new("br1")
	state.Interfaces = append(slices.Clone(state.Interfaces), veth)
	for n, i := range state.Interfaces {
		if i.Name == "br1" {
			bridge := *i.Bridge
			bridge.Port = append(slices.Clone(bridge.Port), netstate.BridgePort{Name: "veth1"})
			state.Interfaces[n].Bridge = &bridge
		}
	}
	return state
}

// removePort takes a port out of its bridge, as somebody would by hand.
func removePort(t *testing.T, node kernel.Node, port string) {
	t.Helper()
	before, err := node.Read()
	require.NoError(t, err)
	current := netstate.Own(before, netstate.State{Interfaces: []netstate.Interface{{Name: port}}})
	i, _ := current.Interface(port)
	steps, err := netstate.Plan(
		current, parse(t, "interfaces: [{name: "+port+", type: "+string(i.Type)+", state: up, controller: ''}]"),
	)
	require.NoError(t, err)
	require.NotEmpty(t, steps)
	require.NoError(t, kernel.Apply(node, steps))
}
