// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A bridge whose MAC nobody set takes the lowest of its ports'.
func TestABridgeThatCarriesAddressesKeepsItsMAC(t *testing.T) {
	const keeps = "~ br0 keeps-mac off → on\n"
	const withAddress = `ipv4: {enabled: true, address: [{ip: 192.0.2.10, prefix-length: 24}]}`
	tests := map[string]struct {
		before, desired string
		known           bool
		plan            string
	}{
		"before a port comes or goes": {
			before:  `- {name: br0, type: linux-bridge, state: up, mtu: 1500, bridge: {port: [{name: eth2}]}, ` + withAddress + `}`,
			desired: `interfaces: [{name: br0, bridge: {port: [{name: eth1, vlan: {}}]}}]`,
			known:   true,
			plan:    keeps + "~ eth2 controller br0 → none\n~ eth1 controller none → br0\n",
		},
		"once its first ports are there": {
			before:  `- {name: br0, type: linux-bridge, state: up, mtu: 1500, bridge: {}}`,
			desired: `interfaces: [{name: br0, bridge: {port: [{name: eth1, vlan: {}}]}, ` + withAddress + `}]`,
			known:   true,
			plan:    "~ eth1 controller none → br0\n" + keeps + "+ br0 address 192.0.2.10/24\n",
		},
		"when a policy says one that it has already": {
			before: `- {name: br0, type: linux-bridge, state: up, mtu: 1500, mac-address: "02:00:00:00:00:02",
  bridge: {port: [{name: eth2}]}}`,
			desired: `interfaces: [{name: br0, mac-address: "02:00:00:00:00:02"}]`,
			known:   true,
			plan:    keeps,
		},
		"when a policy copies it from a port": {
			before: `- {name: br0, type: linux-bridge, state: up, mtu: 1500, mac-address: "02:00:00:00:00:02",
  bridge: {port: [{name: eth2}]}}`,
			desired: `interfaces: [{name: br0, copy-mac-from: eth2}]`,
			known:   true,
			plan:    keeps,
		},
		"and is left alone without addresses": {
			before:  `- {name: br0, type: linux-bridge, state: up, mtu: 1500, bridge: {port: [{name: eth2}]}}`,
			desired: `interfaces: [{name: br0, bridge: {port: [{name: eth1, vlan: {}}, {name: eth2, vlan: {}}]}}]`,
			known:   true,
			plan:    "~ eth1 controller none → br0\n",
		},
		"and is left alone where nothing tells whether it does": {
			before:  `- {name: br0, type: linux-bridge, state: up, mtu: 1500, bridge: {port: [{name: eth2}]}, ` + withAddress + `}`,
			desired: `interfaces: [{name: br0, bridge: {port: [{name: eth2, vlan: {}}]}}]`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before, desired := parse(t, twoNICs+test.before).complete(), parse(t, test.desired)
			if test.known {
				before.link("br0").KeepsMAC = new(false)
			}
			steps, err := Plan(before, desired)
			require.NoError(t, err)
			assert.Equal(t, test.plan, Format(steps))
			after := apply(t, before, steps)
			again, err := Plan(after, desired)
			require.NoError(t, err)
			assert.Empty(t, Format(again))
		})
	}
}

// A bridge that keeps its MAC is made with it again, although it is that of a port.
func TestABridgeThatKeepsItsMACIsMadeWithIt(t *testing.T) {
	before := parse(t, twoNICs+`- {name: br0, type: linux-bridge, state: up, mtu: 1500, mac-address: "02:00:00:00:00:02",
  bridge: {port: [{name: eth2}]}}`).complete()
	before.link("br0").KeepsMAC = new(true)
	desired := parse(t, `interfaces: [{name: br0, state: absent}]`)
	steps, err := Plan(before, desired)
	require.NoError(t, err)
	back := PlanBack(apply(t, before, steps), Revert(before, desired))
	require.NotEmpty(t, back)
	assert.Equal(t, "02:00:00:00:00:02", back[0].To.Link.MAC.String())
}
