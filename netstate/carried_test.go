// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// onBond is a node with a VM's macvtap on a VLAN on a bond.
func onBond(t *testing.T) State {
	s := parse(t, twoNICs+`
- {name: bond0, type: bond, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01", link-aggregation: {mode: balance-rr, port: [eth1]}}
- {name: bond0.5, type: vlan, state: up, mtu: 1500, vlan: {base-iface: bond0, id: 5},
   ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}}`).complete()
	s.Interfaces = append(s.Interfaces,
		Interface{Name: "macvtap0", Type: TypeMACVTAP, State: StateIgnore, Below: "bond0.5"})
	return s.complete()
}

// The kernel deletes the macvtap of a VM, or the ipvlan of a container, with the link below: no policy may do that.
func TestWhatOthersHaveOnALinkIsNotTakenWithIt(t *testing.T) {
	current := onBond(t)
	for name, policy := range map[string]string{
		"by removing the link":          `interfaces: [{name: bond0.5, state: absent}]`,
		"by removing its base":          `interfaces: [{name: bond0, state: absent}]`,
		"by making it again":            `interfaces: [{name: bond0.5, type: vlan, state: up, vlan: {base-iface: bond0, id: 6}}]`,
		"by making its base again":      `interfaces: [{name: bond0, type: linux-bridge, state: up, bridge: {port: []}}]`,
		"by making another thing of it": `interfaces: [{name: bond0.5, type: dummy, state: up}]`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Plan(current, parse(t, policy))
			assert.ErrorContains(t, err, "would be deleted with it: macvtap0")
		})
	}
	steps, err := Plan(current, parse(t, `interfaces: [{name: bond0, link-aggregation: {port: [eth2]}}, {name: bond0.5, mtu: 1400}]`))
	require.NoError(t, err)
	assert.NotEmpty(t, steps)
}

// What a policy made and somebody built on since stays when the policy is undone, without the policy's addresses.
func TestTheWayBackLeavesWhatCarriesLinksOfOthers(t *testing.T) {
	current := Own(onBond(t), parse(t, `interfaces: [{name: bond0.5, ipv4: {address: [{ip: 192.0.2.1, prefix-length: 24}]}}]`))
	for name, test := range map[string]struct{ wish, plan string }{
		"a link that was to go": {
			`interfaces: [{name: bond0.5, state: absent}]`, "- bond0.5 address 192.0.2.1/24\n",
		},
		"the base of one": {`interfaces: [{name: bond0, state: absent}]`, ""},
		"a link that had another id": {
			`interfaces: [{name: bond0.5, type: vlan, state: up, mtu: 1400, vlan: {base-iface: bond0, id: 7}}]`,
			"~ bond0.5 mtu 1500 → 1400\n",
		},
		"a link that was another thing": {`interfaces: [{name: bond0.5, type: dummy, state: up}]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.plan, Format(PlanBack(current, parse(t, test.wish))))
		})
	}
}
