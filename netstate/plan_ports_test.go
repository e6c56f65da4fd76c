// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whose MAC a bond has leaves last and comes back first: the kernel makes the bond's link-local address of the MAC that
// it has when the first port comes.
func TestThePortThatGivesABondItsMACLeavesLastAndComesFirst(t *testing.T) {
	const bond = `
- {name: bond7, type: bond, state: up, mtu: 1500, mac-address: `
	tests := map[string]struct {
		// bond is what follows "mac-address: ", and active the port that the kernel chose.
		bond, active, policy string
		left, back           []string
	}{
		"the active one, with fail_over_mac active": {
			bond: `"02:00:00:00:00:01", link-aggregation: {mode: active-backup, ` +
				`options: {fail_over_mac: active}, port: [eth1, eth2]}}`,
			active: "eth1", policy: `interfaces: [{name: bond7, state: absent}]`,
			left: []string{"eth2", "eth1"}, back: []string{"eth1", "eth2"},
		},
		"the primary, with fail_over_mac active and none active": {
			bond: `"02:00:00:00:00:02", link-aggregation: {mode: active-backup, ` +
				`options: {fail_over_mac: active, primary: eth2}, port: [eth1, eth2]}}`,
			policy: `interfaces: [{name: bond7, state: absent}]`,
			left:   []string{"eth1", "eth2"}, back: []string{"eth2", "eth1"},
		},
		"the one whose own MAC it is, while the mode changes": {
			bond:   `"02:00:00:00:00:02", link-aggregation: {mode: balance-xor, port: [eth1, eth2]}}`,
			policy: `interfaces: [{name: bond7, link-aggregation: {mode: balance-rr}}]`,
			left:   []string{"eth1", "eth2"}, back: []string{"eth2", "eth1"},
		},
		"nobody, where the MAC is none of theirs": {
			bond:   `"02:00:00:00:00:77", link-aggregation: {mode: balance-xor, port: [eth1, eth2]}}`,
			policy: `interfaces: [{name: bond7, state: absent}]`,
			left:   []string{"eth1", "eth2"}, back: []string{"eth2", "eth1"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := parse(t, twoNICs+bond+test.bond).complete()
			for _, port := range []string{"eth1", "eth2"} {
				link := before.link(port)
				link.Controller, link.PermanentMAC = new("bond7"), link.MAC
			}
			before.link("bond7").Bond.Active = test.active
			steps, err := Plan(before, parse(t, test.policy))
			require.NoError(t, err)
			assert.Equal(t, test.left, moved(steps, false), Format(steps))
			assert.Equal(t, test.back, moved(Invert(steps), true), Format(steps))
		})
	}
}

func TestABondThatTakesTheMACOfItsActivePortIsGivenNone(t *testing.T) {
	before := parse(t, twoNICs+`
- {name: bond7, type: bond, state: up, mtu: 1500,
   link-aggregation: {mode: active-backup, options: {fail_over_mac: active}, port: [eth1]}}`).complete()
	for _, key := range []string{`mac-address: "02:00:00:00:00:77"`, `copy-mac-from: eth2`} {
		_, err := Plan(before, parse(t, `interfaces: [{name: bond7, `+key+`}]`))
		assert.ErrorContains(t, err, "takes the MAC of its active port", key)
	}
	_, err := Plan(before, parse(t, `interfaces: [{name: bond7, mac-address: "02:00:00:00:00:77",
  link-aggregation: {mode: active-backup, options: {fail_over_mac: none}}}]`))
	assert.NoError(t, err)
}

func TestABondThatTookTheMACOfItsActivePortGetsItsOwnBack(t *testing.T) {
	before := parse(t, twoNICs+`
- {name: bond7, type: bond, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01",
   link-aggregation: {mode: active-backup, options: {fail_over_mac: none}, port: [eth1, eth2]}}`).complete()
	desired := parse(t, `interfaces: [{name: bond7, link-aggregation: {options: {fail_over_mac: active}}}]`)
	steps, err := Plan(before, desired)
	require.NoError(t, err)
	after := apply(t, before, steps)
	other := MAC{2, 0, 0, 0, 0, 2}
	after.link("bond7").MAC, after.link("bond7").Bond.Active = &other, "eth2"
	reverted := apply(t, after, PlanBack(after, Revert(before, desired)))
	assert.Equal(t, "02:00:00:00:00:01", reverted.link("bond7").MAC.String())
}

// The kernel refuses to make a port the active one where the mode knows none (bond_option_active_slave_set).
func TestAPortIsTheActiveOneInModesThatHaveOneOnly(t *testing.T) {
	before := parse(t, twoNICs+`
- {name: bond7, type: bond, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01",
   link-aggregation: {mode: active-backup, port: [eth1, eth2]}}`).complete()
	before.link("bond7").Bond.Active = "eth2"
	for _, mode := range []string{"balance-rr", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"} {
		desired := parse(t, `interfaces: [{name: bond7, link-aggregation: {mode: `+mode+`}}]`)
		steps, err := Plan(before, desired)
		require.NoError(t, err)
		after := apply(t, before, steps)
		wantEqual(t, "undone", apply(t, after, Invert(steps)), before)
		reverted := apply(t, after, PlanBack(after, Revert(before, desired)))
		assert.Equal(t, "eth2", reverted.link("bond7").Bond.Active, mode)
	}
}

// moved returns the links that steps attach, or detach, in their order.
func moved(steps []Step, attached bool) []string {
	var ports []string
	for _, s := range steps {
		if s.Kind == StepPort && (s.From.Port == nil) == attached {
			ports = append(ports, s.Link)
		}
	}
	return ports
}
