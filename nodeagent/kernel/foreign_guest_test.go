// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/bridgehead-dev/bridgehead/e2e/hosts"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

// plug gives a bridge a tap and one end of a cable into another namespace, as a VM and a pod would.
func plug(tb testing.TB, bridge, namespace string) {
	tb.Helper()
	link, err := netlink.LinkByName(bridge)
	require.NoError(tb, err)
	tap := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tap0", MasterIndex: link.Attrs().Index},
		Mode: netlink.TUNTAP_MODE_TAP}
	require.NoError(tb, netlink.LinkAdd(tap))
	handle, err := netns.GetFromPath(namespace)
	require.NoError(tb, err)
	defer func() { _ = handle.Close() }()
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "vethpod", MasterIndex: link.Attrs().Index},
		PeerName: "podeth0", PeerNamespace: netlink.NsFd(handle)}
	require.NoError(tb, netlink.LinkAdd(veth))
	tb.Cleanup(func() {
		assert.NoError(tb, netlink.LinkDel(tap))
		assert.NoError(tb, netlink.LinkDel(veth))
	})
}

func TestPortsOfPodsAndVMsStay(t *testing.T) {
	k := openGuest(t)
	steps := configure(t, k, readFile(t, "testdata/story/desired.yaml"))
	t.Cleanup(func() { require.NoError(t, Undo(k, steps)) })
	plug(t, "br0", hosts.New(t).Path)
	br0, _ := read(t, k).Interface("br0")
	require.Equal(t, []string{"eth1", "tap0", "vethpod"}, br0.Ports())
	for _, name := range []string{"tap0", "vethpod"} {
		i, _ := read(t, k).Interface(name)
		assert.Equal(t, netstate.StateIgnore, i.State, name)
		assert.True(t, i.Foreign(), name)
		assert.Nil(t, i.Veth, name)
	}
	tests := map[string]struct {
		ports []netstate.BridgePort
		after []string
	}{
		"an empty list detaches our port only": {[]netstate.BridgePort{}, []string{"tap0", "vethpod"}},
		"a list replaces our port only": {[]netstate.BridgePort{{Name: "eth2"}},
			[]string{"eth2", "tap0", "vethpod"}},
		"no list changes nothing about the port": {nil, []string{"eth1", "tap0", "vethpod"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := read(t, k)
			plan, err := netstate.Plan(before, netstate.State{Interfaces: []netstate.Interface{{
				Name: "br0", Type: netstate.TypeBridge, State: netstate.StateUp, Bridge: &netstate.Bridge{Port: test.ports}}}})
			require.NoError(t, err)
			require.ErrorIs(t, Apply(&failing{Node: k, after: len(plan)}, append(plan, netstate.Step{Kind: netstate.StepSet})),
				errInjected)
			assert.True(t, netstate.Equal(before, read(t, k)), "undone")
			require.NoError(t, Apply(k, plan))
			br0, _ := read(t, k).Interface("br0")
			assert.Equal(t, test.after, br0.Ports())
			require.NoError(t, Undo(k, plan))
		})
	}
}
