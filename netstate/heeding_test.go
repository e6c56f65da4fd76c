// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The NIC of a node that is a container itself is a veth whose other end is elsewhere: shown as ignored, and looked
// after where a policy names it.
func TestAVethWhoseOtherEndIsElsewhereIsLookedAfterOnceItIsNamed(t *testing.T) {
	current := parse(t, `interfaces: [{name: lan1, type: veth, state: ignore, mtu: 1500, mac-address: "02:00:00:00:00:01"},
  {name: lan2, type: veth, state: ignore, mtu: 1500, mac-address: "02:00:00:00:00:02"}]`).complete()
	for n := range current.Interfaces {
		current.Interfaces[n].Ignored = StateUp
	}
	for name, test := range map[string]struct{ desired, plan string }{
		"as it is":   {`interfaces: [{name: lan1, type: ethernet, state: up}]`, ""},
		"down":       {`interfaces: [{name: lan1, state: down}]`, "~ lan1 state up → down\n"},
		"an address": {`interfaces: [{name: lan1, ipv4: {address: [{ip: 192.0.2.9, prefix-length: 24}]}}]`, "+ lan1 address 192.0.2.9/24\n"},
		"a bond": {`interfaces: [{name: bond1, type: bond, link-aggregation: {mode: balance-rr, port: [lan1, lan2]}}]`,
			"+ bond bond1 (mode balance-rr, mtu 1500)\n~ lan1 state up → down\n~ lan2 state up → down\n" +
				"~ lan1 controller none → bond1\n~ lan2 controller none → bond1\n"},
		"a vrf": {`interfaces: [{name: vrf2, type: vrf, vrf: {port: [lan1], route-table-id: 102}}]`,
			"+ vrf vrf2 (route-table-id 102)\n~ lan1 controller none → vrf2\n"},
		"a bridge": {`interfaces: [{name: br0, type: linux-bridge, bridge: {port: [{name: lan1, vlan: {}}]}}]`,
			"+ bridge br0 (stp off, mtu 1500)\n~ lan1 controller none → br0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			desired := parse(t, test.desired)
			steps, err := Plan(current, desired)
			require.NoError(t, err)
			assert.Equal(t, test.plan, Format(steps))
			after := apply(t, current, steps)
			rest, err := Plan(Own(after, desired), desired)
			require.NoError(t, err)
			assert.Empty(t, Format(rest))
			wantEqual(t, "undone", apply(t, after, Invert(steps)), current)
			wantEqual(t, "reverted", apply(t, after, PlanBack(Own(after, desired), Revert(current, desired))), current)
		})
	}
	steps, err := Plan(current, parse(t, `interfaces: [{name: br0, type: linux-bridge, bridge: {port: []}}]`))
	require.NoError(t, err)
	assert.NotContains(t, Format(steps), "lan", "it is left alone where it is not named")
}

// What a policy changed on such a NIC is undone, although the node shows it as somebody else's.
func TestAVethWhoseOtherEndIsElsewhereIsGivenBack(t *testing.T) {
	before := parse(t, `interfaces: [{name: lan1, type: veth, state: ignore, mtu: 1500}]`).complete()
	before.Interfaces[0].Ignored = StateUp
	desired := parse(t, `interfaces: [{name: lan1, type: ethernet, state: up, mtu: 1400, lldp: {enabled: true}}]`)
	steps, err := Plan(before, desired)
	require.NoError(t, err)
	now := Own(apply(t, before, steps), desired)
	now.Interfaces[0].State, now.Interfaces[0].Ignored = StateIgnore, StateUp // as it is read again
	back := PlanRemoval(now, Removal{Before: before, Desired: []State{desired}}.Wishes(now))
	assert.Equal(t, "~ lan1 lldp on → off\n~ lan1 mtu 1400 → 1500\n", Format(back))
}
