// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const twoNICs = `
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01"}
- {name: eth2, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:02"}
`

// What no policy may say, a node can be all the same, and can be again.
func TestWhatAPolicyMayNotSayIsUndone(t *testing.T) {
	tests := map[string]struct {
		before, desired string
		change          func(*State) // of before, to what a document cannot say
	}{
		"a bond that takes the MAC of its active port": {
			before: twoNICs + `
- {name: bond0, type: bond, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01",
   link-aggregation: {mode: active-backup, options: {fail_over_mac: active, miimon: 100}, port: [eth1, eth2]}}`,
			desired: `interfaces: [{name: bond0, state: absent}]`,
		},
		"a VLAN of id 0": {
			before:  twoNICs + `- {name: eth1.0, type: vlan, state: up, mtu: 1500, vlan: {base-iface: eth1, id: 0}}`,
			desired: `interfaces: [{name: eth1.0, state: absent}]`,
		},
		"an IPv4 route by way of an IPv6 gateway": {
			before: `
interfaces:
- {name: eth1, type: ethernet, state: up, ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}
routes:
  running: [{destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: "fe80::1"}]
  config: [{destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: "fe80::1"}]`,
			desired: `interfaces: [{name: eth1, state: down}]`,
		},
		"a bridge that filters VLANs without a port that has one": {
			before: twoNICs + `- {name: br0, type: linux-bridge, state: up, mtu: 1500, bridge: {port: [{name: eth1}]}}`,
			desired: `interfaces: [{name: br0, type: linux-bridge, state: up,
  bridge: {port: [{name: eth2, vlan: {}}]}}]`,
			change: func(s *State) { s.link("br0").Bridge.VLANFiltering = new(true) },
		},
		"a priority beside a spanning tree that is off": {
			before: twoNICs + `- {name: br0, type: linux-bridge, state: up, mtu: 1500,
   bridge: {options: {stp: {enabled: false, priority: 7}}}}`,
			desired: `interfaces: [{name: br0, bridge: {options: {stp: {enabled: true, priority: 9}}}}]`,
		},
		"a rule that has the fields of another and more": {
			before:  twoNICs + `route-rules: {config: [{ip-from: 192.0.2.0/24, priority: 100, route-table: 5, fwmark: 7}]}`,
			desired: `route-rules: {config: [{ip-from: 192.0.2.0/24, priority: 100, route-table: 5}]}`,
		},
		"a down port of a bond that gets another one": {
			before: twoNICs + `- {name: eth3, type: ethernet, state: up}
- {name: bond0, type: bond, state: up, mtu: 1500, link-aggregation: {mode: balance-rr, port: [eth1, eth2]}}`,
			desired: `interfaces: [{name: bond0, link-aggregation: {port: [eth1, eth3]}}]`,
			change:  func(s *State) { s.link("eth1").State = StateDown },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before, desired := parse(t, test.before).complete(), parse(t, test.desired)
			if test.change != nil {
				test.change(&before)
			}
			steps, err := Plan(before, desired)
			require.NoError(t, err)
			require.NotEmpty(t, steps)
			after := apply(t, before, steps)
			back := PlanBack(Own(after, desired), Revert(before, desired))
			wantEqual(t, Format(steps)+"undone by\n"+Format(back), apply(t, after, back), before)
		})
	}
}

// What somebody else did meanwhile is not in the way: what cannot be undone any more is left out.
func TestTheWayBackGoesAsFarAsTheNodeLets(t *testing.T) {
	bridge := `interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth1}, {name: eth2}]}},
  {name: eth1.5, type: vlan, state: up, vlan: {base-iface: eth1, id: 5}}]`
	tests := map[string]struct {
		before, desired string
		meanwhile       func(State) State
		back            string
	}{
		"a NIC that is gone": {
			before: twoNICs, desired: bridge, meanwhile: func(s State) State { return withoutLink(s, "eth1") },
			back: "~ eth2 controller br0 → none\n- bridge br0\n",
		},
		"the base of a VLAN that is to be made again": {
			before:    twoNICs + `- {name: eth1.5, type: vlan, state: up, mtu: 1500, vlan: {base-iface: eth1, id: 5}}`,
			desired:   `interfaces: [{name: eth1.5, state: absent}, {name: eth2, mtu: 1400}]`,
			meanwhile: func(s State) State { return withoutLink(s, "eth1") },
			back:      "~ eth2 mtu 1400 → 1500\n",
		},
		"a route through a link that is gone": {
			before: `
interfaces:
- {name: eth1, type: ethernet, state: up, ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}
- {name: eth2, type: ethernet, state: up, mtu: 1500}
routes:
  config: [{destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.254}]`,
			desired: `
interfaces: [{name: eth2, mtu: 1400}]
routes: {config: [{state: absent, next-hop-interface: eth1}]}`,
			meanwhile: func(s State) State { return withoutLink(s, "eth1") },
			back:      "~ eth2 mtu 1400 → 1500\n",
		},
		"a pod's port in the new bridge": {
			before: twoNICs, desired: bridge,
			meanwhile: func(s State) State {
				s.Interfaces = append(s.Interfaces, Interface{Name: "vethpod", Type: TypeVeth, State: StateIgnore,
					IPv4: disabledIPv4(), IPv6: disabledIPv6(), Controller: new("br0")})
				s.link("br0").addPort("vethpod", Attachment{})
				return s
			},
			back: "~ eth1 controller br0 → none\n~ eth2 controller br0 → none\n- vlan eth1.5\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before, desired := parse(t, test.before).complete(), parse(t, test.desired)
			steps, err := Plan(before, desired)
			require.NoError(t, err)
			now := Own(test.meanwhile(apply(t, before, steps)), desired)
			back := PlanBack(now, Revert(before, desired))
			assert.Equal(t, test.back, Format(back))
			apply(t, now, back)
		})
	}
}
