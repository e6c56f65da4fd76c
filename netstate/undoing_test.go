// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whatever two policies ask for, and whatever the node was before: when the one is undone, the other holds as it did.
func TestWhatIsUndoneLeavesOtherPoliciesAsTheyAre(t *testing.T) {
	bare := loadState(t, "testdata/states/01-bare.yaml").complete()
	pairs, failures := 0, 0
	for seed := range 6000 {
		c := choices(randomBytes(90000+seed, 400))
		before := bare
		for range 2 {
			before = asRead(before)
			if steps, err := Plan(before, c.policy()); err == nil {
				before = apply(t, before, steps)
			}
		}
		before = asRead(before)
		if seed%2 == 0 {
			before = c.readable(before)
		}
		for n := range before.Interfaces {
			before.Interfaces[n].Owned = false
		}
		one, other := c.policy(), c.policy()
		steps, err := Plan(before, one)
		if err != nil {
			continue
		}
		now := asRead(apply(t, before, steps))
		if steps, err = Plan(now, other); err != nil {
			continue
		}
		now = asRead(apply(t, now, steps))
		if !holds(now, other) {
			continue
		}
		pairs++
		now = Own(Own(now, one), other)
		wishes := Removal{Before: before, Desired: []State{one}, Others: []State{other}}.Wishes(now)
		back := PlanRemoval(now, wishes)
		undone := asRead(apply(t, now, back))
		if !holds(undone, other) {
			failures++
			t.Logf("seed %d:\n%s\nundone by:\n%s", seed, marshal(t, other), Format(back))
		}
		if left := PlanRemoval(undone, wishes); len(left) > 0 {
			failures++
			t.Logf("seed %d: still to be done:\n%s after\n%s", seed, Format(left), Format(back))
		}
	}
	assert.Zero(t, failures, "of %d", pairs)
	assert.Greater(t, pairs, 700, "pairs of policies of which the second can be applied")
}

// What others name, stand on or have changed since stays when a policy is undone.
func TestWhatIsOthersStaysWhenAPolicyIsUndone(t *testing.T) {
	const nics = twoNICs + `- {name: eth3, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:03"}
`
	const bond = `interfaces: [{name: bond0, type: bond, state: up,
  link-aggregation: {mode: active-backup, port: [eth1, eth2]},
  ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}]`
	const bondVLAN = `interfaces: [{name: bond0.10, type: vlan, state: up, vlan: {base-iface: bond0, id: 10},
  ipv4: {enabled: true, dhcp: false, address: [{ip: 203.0.113.9, prefix-length: 24}]}}]`
	const bridge = `interfaces: [{name: br1, type: linux-bridge, state: up, bridge: {port: [{name: eth1, vlan: {}}]},
  ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}]`
	const route = `routes: {config: [{destination: 198.51.100.0/24, next-hop-address: 192.0.2.254, next-hop-interface: br1}]}`
	const veth = `interfaces: [{name: v0, type: veth, state: up, veth: {peer: v1}}]`
	const withBridge = `
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01", controller: br0}
- {name: eth2, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:02"}
- {name: eth3, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:03"}
- {name: br0, type: linux-bridge, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01", bridge: {port: [{name: eth1, vlan: {}}]}}
`
	const onePortMore = `interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth1, vlan: {}}, {name: eth2, vlan: {}}]}}]`
	const withBond = `
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01", controller: bond0}
- {name: eth2, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:02"}
- {name: bond0, type: bond, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01", link-aggregation: {mode: active-backup, port: [eth1]}}
`
	tests := map[string]struct {
		before, policy string
		other          string // another policy
		people         string // what people have asked for since
		back           string // what undoes the policy
	}{
		"the bond under another policy's VLAN":    {nics, bond, bondVLAN, "", "- bond0 address 192.0.2.1/24\n"},
		"the bond under a VLAN of people":         {nics, bond, "", bondVLAN, "- bond0 address 192.0.2.1/24\n"},
		"the bridge another policy plugs into":    {nics, bridge, `interfaces: [{name: eth2, controller: br1}]`, "", "- br1 address 192.0.2.1/24\n"},
		"the bridge another policy's route takes": {nics, bridge, route, "", ""},
		"the NIC under another policy's VLAN, that was down and smaller": {
			`interfaces: [{name: eth1, type: ethernet, state: down, mtu: 1500, mac-address: "02:00:00:00:00:01"}]`,
			`interfaces: [{name: eth1, type: ethernet, state: up, mtu: 9000, description: uplink}]`,
			`interfaces: [{name: eth1.5, type: vlan, state: up, mtu: 9000, vlan: {base-iface: eth1, id: 5}}]`, "",
			"~ eth1 description uplink → none\n",
		},
		"the veth that another policy names as well": {nics, veth, veth, "", ""},
		"the port of people's bridge of which another policy sets the MTU": {
			withBridge, onePortMore, `interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1500}]`, "",
			"~ eth2 controller br0 → none\n",
		},
		"the port of people's bond of which another policy sets the MTU": {
			withBond, `interfaces: [{name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, port: [eth1, eth2]}}]`,
			`interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1500}]`, "", "~ eth2 controller bond0 → none\n~ eth2 state down → up\n",
		},
		"a port that another policy plugs into people's bridge": {
			withBridge, onePortMore, `interfaces: [{name: eth3, controller: br0}]`, "", "~ eth2 controller br0 → none\n",
		},
		"a port that people plugged into their bridge": {
			withBridge, onePortMore, "", `interfaces: [{name: eth3, controller: br0}]`, "~ eth2 controller br0 → none\n",
		},
		"a port that people pulled out of their bridge": {
			withBridge, onePortMore, "", `interfaces: [{name: eth1, controller: ""}]`, "~ eth2 controller br0 → none\n",
		},
		"a port that people plugged into our bridge": {
			nics, bridge, "", `interfaces: [{name: eth3, controller: br1}]`,
			"- br1 address 192.0.2.1/24\n~ eth1 controller br1 → none\n",
		},
		"a bridge that people removed": {
			withBridge, onePortMore, "", `interfaces: [{name: br0, state: absent}, {name: eth1, type: ethernet, state: up,
  ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}}]`, "",
		},
		"a dummy that people removed": {
			nics + `- {name: dummy0, type: dummy, state: up, mtu: 1500}`, `interfaces: [{name: dummy0, type: dummy, state: up, mtu: 1400}]`,
			"", `interfaces: [{name: dummy0, state: absent}]`, "",
		},
		"a dummy that people made again": {
			nics + `- {name: dummy0, type: dummy, state: up, mtu: 1500}`, `interfaces: [{name: dummy0, state: absent}]`,
			"", `interfaces: [{name: dummy0, type: dummy, state: up, mtu: 1300}]`, "",
		},
		"an MTU that people have set since": {
			nics, `interfaces: [{name: eth1, mtu: 9000, description: uplink}]`, "", `interfaces: [{name: eth1, mtu: 1400}]`,
			"~ eth1 description uplink → none\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before, policy := parse(t, test.before).complete(), parse(t, test.policy)
			removal := Removal{Before: before, Desired: []State{policy}}
			now := before
			for n, text := range []string{test.policy, test.other, test.people} {
				desired := parse(t, "interfaces: []")
				if text != "" {
					desired = parse(t, text)
				}
				steps, err := Plan(now, desired)
				require.NoError(t, err)
				now = apply(t, now, steps)
				for i := range now.Interfaces {
					now.Interfaces[i].Owned = false
				}
				if n == 1 && text != "" {
					removal.Others = []State{desired}
				}
			}
			now = Own(now, policy)
			for _, other := range removal.Others {
				now = Own(now, other)
			}
			wishes := removal.Wishes(now)
			back := PlanRemoval(now, wishes)
			assert.Equal(t, test.back, Format(back))
			assert.Empty(t, Format(PlanRemoval(apply(t, now, back), wishes)), "still to be done")
		})
	}
}
