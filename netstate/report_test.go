// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const workloads = `
interfaces:
- {name: br0, type: linux-bridge, bridge: {port: [{name: eth1}, {name: tap0}, {name: vethpod}]}}
- {name: br1, type: linux-bridge, bridge: {port: [{name: tap1}]}}
- {name: br2, type: linux-bridge, bridge: {port: []}}
- {name: eth1, type: ethernet, controller: br0}
- {name: tap0, type: tun, state: ignore, controller: br0}
- {name: tap1, type: tun, state: ignore, controller: br1}
- {name: vethpod, type: veth, state: ignore, controller: br0}
- {name: vethours, type: veth, state: up, veth: {peer: vethours1}}
- {name: vethours1, type: veth, state: up, veth: {peer: vethours}}
routes:
  running:
  - {destination: 10.244.1.5/32, next-hop-interface: vethpod}
  - {destination: 10.0.0.0/8, next-hop-interface: eth1}
`

func TestReportedLeavesOutTheVethsOfPodsAndTheirRoutes(t *testing.T) {
	state := parse(t, workloads)
	reported := state.Reported()
	var names []string
	for _, i := range reported.Interfaces {
		names = append(names, i.Name)
	}
	want := []string{"br0", "br1", "br2", "eth1", "tap0", "tap1", "vethours", "vethours1"}
	assert.Equal(t, want, names)
	require.Len(t, reported.Routes.Running, 1)
	assert.Equal(t, "eth1", reported.Routes.Running[0].NextHopInterface)
	assert.Len(t, state.Interfaces, 9, "the state itself stays as it is")
	assert.Len(t, state.Routes.Running, 2, "the state itself stays as it is")
}

func TestUplinksAreThePortsThatAreNotForeign(t *testing.T) {
	state := parse(t, workloads)
	assert.Equal(t, map[string][]string{"br0": {"eth1"}}, state.Uplinks())
	state = Own(state, parse(t, `interfaces: [{name: br1, type: linux-bridge, bridge: {port: [{name: tap1}]}}]`))
	assert.Equal(t, map[string][]string{"br0": {"eth1"}, "br1": {"tap1"}}, state.Uplinks())
}

// What is an uplink is decided here, for the capacity that the agent reports and for the warnings of the webhooks.
func TestWhichPortsAreUplinks(t *testing.T) {
	const unnamed = "interfaces: []"
	named := func(entry string) string { return "interfaces: [" + entry + "]" }
	for name, c := range map[string]struct {
		port, policy string
		want         bool
	}{
		"a NIC":                                {"type: ethernet, state: up", unnamed, true},
		"a NIC that is down":                   {"type: ethernet, state: down", unnamed, true},
		"a NIC that a policy wants left alone": {"type: ethernet, state: up", named("{name: p, state: ignore}"), true},
		"a bond":                               {"type: bond, state: up", unnamed, true},
		"a VLAN":                               {"type: vlan, state: up", unnamed, true},
		"a VXLAN":                              {"type: vxlan, state: up", unnamed, true},
		"a dummy":                              {"type: dummy, state: up", unnamed, true},
		"a mac-vlan":                           {"type: mac-vlan, state: up", unnamed, true},
		"a link of a kind that is not known":   {"type: unknown, state: ignore", unnamed, false},
		"a mac-vtap":                           {"type: mac-vtap, state: ignore", unnamed, false},
		"a VM's tap":                           {"type: tun, state: ignore", unnamed, false},
		"a tap that a policy wants left alone": {"type: tun, state: ignore", named("{name: p, state: ignore}"), false},
		"a tap in the port list of a policy":   {"type: tun, state: ignore", named("{name: br0, bridge: {port: [{name: p}]}}"), true},
		"a pod's veth":                         {"type: veth, state: ignore", unnamed, false},
		"a veth with both ends here, made by hand": {"type: veth, state: up, veth: {peer: q}", unnamed, false},
		"a veth that a policy wants left alone":    {"type: veth, state: ignore", named("{name: p, type: veth, state: ignore}"), false},
		"a port list that a policy leaves alone": {"type: veth, state: ignore",
			named("{name: br0, state: ignore, bridge: {port: [{name: p}]}}"), false},
		"a veth that a policy names":     {"type: veth, state: ignore", named("{name: p, type: ethernet, state: up}"), true},
		"a veth in a policy's port list": {"type: veth, state: ignore", named("{name: br0, bridge: {port: [{name: p}]}}"), true},
		"the other end of a policy's veth": {"type: veth, state: up, veth: {peer: q}",
			named("{name: q, type: veth, state: up, veth: {peer: p}}"), true},
	} {
		t.Run(name, func(t *testing.T) {
			current := parse(t, "interfaces: [{name: br0, type: linux-bridge, bridge: {port: [{name: p}]}}, "+
				"{name: p, controller: br0, "+c.port+"}]")
			uplinks := Own(current, parse(t, c.policy)).Uplinks()["br0"]
			assert.Equal(t, c.want, len(uplinks) == 1, "%v", uplinks)
		})
	}
	gone := parse(t, "interfaces: [{name: br0, type: linux-bridge, bridge: {port: [{name: p}]}}]")
	assert.Empty(t, gone.Uplinks(), "a port that is gone is none")
}

func TestWhichBridgesAreDeclared(t *testing.T) {
	for entry, want := range map[string]bool{
		"type: linux-bridge, state: up":             true,
		"type: linux-bridge":                        true,
		"type: linux-bridge, state: down":           true,
		"bridge: {port: [{name: eth1}]}":            true,
		"type: linux-bridge, state: absent":         false,
		"type: linux-bridge, state: ignore":         false,
		"state: up":                                 false,
		"type: bond, link-aggregation: {port: [a]}": false,
	} {
		declared := parse(t, "interfaces: [{name: br0, "+entry+"}]").DeclaredBridges()
		assert.Equal(t, want, len(declared) == 1, entry)
	}
}
