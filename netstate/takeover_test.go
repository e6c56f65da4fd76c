// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// managedNode returns a node whose two NICs have a manager each: eth0 with a lease, eth1 with a static address and a
// route.
func managedNode(m Manager) State {
	leased := Address{IP: netip.MustParseAddr("192.0.2.7"), PrefixLength: 24, ValidLifeTime: 600, PreferredLifeTime: 600}
	static := Address{IP: netip.MustParseAddr("198.51.100.7"), PrefixLength: 24}
	nic := func(name string, a Address) Interface {
		return Interface{Name: name, Type: TypeEthernet, State: StateUp, Manager: m, MTU: new(1500),
			IPv4: &IP{Enabled: new(true), DHCP: new(a.Dynamic()), Address: []Address{a}}}
	}
	state := State{Interfaces: []Interface{nic("eth0", leased), nic("eth1", static)}}
	state.Routes.Config = []Route{{Destination: netip.MustParsePrefix("203.0.113.0/24"), NextHopInterface: "eth1",
		NextHopAddress: netip.MustParseAddr("198.51.100.1")}}
	return state
}

func TestPlansTakeLinksOver(t *testing.T) {
	bridge := "interfaces: [{name: br1, type: linux-bridge, state: up, bridge: {port: [{name: eth0}]}}]"
	tests := map[string]struct {
		manager Manager
		desired string
		plan    string
	}{
		"NetworkManager lets go before anything else is done": {NetworkManager, bridge,
			"~ eth0 taken over from NetworkManager\n- eth0 address 192.0.2.7/24\n+ bridge br1 (stp off, vlan-filtering on, mtu 1500)\n" +
				"~ eth0 controller none → br1 (trunk 2-4094)\n"},
		"networkd reads its files when all is done": {Networkd, bridge,
			"- eth0 address 192.0.2.7/24\n+ bridge br1 (stp off, vlan-filtering on, mtu 1500)\n~ eth0 controller none → br1 (trunk 2-4094)\n" +
				"~ eth0 taken over from systemd-networkd\n"},
		"a link that is named and is as it should be is taken over too": {NetworkManager, "interfaces: [{name: eth1, mtu: 1500}]",
			"~ eth1 taken over from NetworkManager\n"},
		"a link that is to be ignored is not": {NetworkManager, "interfaces: [{name: eth1, state: ignore}]", ""},
		"a program that cannot be told is told nothing": {"ifupdown", "interfaces: [{name: eth1, mtu: 1400}]",
			"~ eth1 mtu 1500 → 1400\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			desired, errs := Parse([]byte(test.desired))
			require.Empty(t, errs)
			steps, err := Plan(managedNode(test.manager), desired)
			require.NoError(t, err)
			assert.Equal(t, test.plan, Format(steps))
			after := managedNode(test.manager).complete()
			for _, step := range append(steps, Invert(steps)...) {
				after, err = after.Apply(step)
				require.NoError(t, err)
			}
			assert.Equal(t, managedNode(test.manager).complete().Interfaces, after.Interfaces, "undone")
		})
	}
}

func TestAddressesAreInherited(t *testing.T) {
	tests := map[string]struct{ desired, want string }{
		"a lease goes on as one of ours": {"interfaces: [{name: eth0, mtu: 1400}]",
			"interfaces: [{name: eth0, mtu: 1400, ipv4: {enabled: true, dhcp: true}}]"},
		"static addresses and routes are ours to restore": {"interfaces: [{name: eth1, mtu: 1400}]",
			"interfaces: [{name: eth1, mtu: 1400, ipv4: {enabled: true, dhcp: false, address: [{ip: 198.51.100.7, prefix-length: 24}]}}]\n" +
				"routes: {config: [{destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 198.51.100.1}]}"},
		"what a policy says itself counts": {"interfaces: [{name: eth0, ipv4: {enabled: false}}]",
			"interfaces: [{name: eth0, ipv4: {enabled: false}}]"},
		"a port has no addresses": {"interfaces: [{name: br1, type: linux-bridge, bridge: {port: [{name: eth0}]}}, {name: eth0}]",
			"interfaces: [{name: br1, type: linux-bridge, bridge: {port: [{name: eth0}]}}, {name: eth0}]"},
		"a link that is to be down has none": {"interfaces: [{name: eth0, state: down}]", "interfaces: [{name: eth0, state: down}]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			desired, errs := Parse([]byte(test.desired))
			require.Empty(t, errs)
			want, errs := Parse([]byte(test.want))
			require.Empty(t, errs)
			found := Inherit(managedNode(NetworkManager), desired)
			assert.Equal(t, want, WithInherited(desired, found))
			assert.Empty(t, Inherit(managedNode(""), desired).Interfaces, "nobody manages them")
			assert.Equal(t, WithInherited(desired, found), WithInherited(WithInherited(desired, found), found), "twice is once")
		})
	}
}

func TestManagersThatCannotBeToldAreNamed(t *testing.T) {
	const overEth0 = "interfaces: [{name: br1, type: linux-bridge, state: up, bridge: {port: [{name: eth0}]}}]"
	tests := map[string]struct {
		manager Manager
		desired string
		want    []string
	}{
		"a port": {Ifupdown, overEth0, []string{
			"eth0 is managed by ifupdown, which cannot be told to leave it alone: take it out of the configuration of ifupdown",
		}},
		"a link that is not named": {Wicked, "interfaces: [{name: dummy0, type: dummy, state: up}]", nil},
		"a manager that yields":    {Networkd, overEth0, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			current := managedNode(test.manager)
			desired, problems := Parse([]byte(test.desired))
			require.Empty(t, problems)
			assert.Subset(t, Unyielding(current, desired), test.want)
			steps, err := Plan(current, desired)
			require.NoError(t, err)
			if len(test.want) == 0 {
				assert.NotContains(t, Explain(current, steps), "cannot be told")
				assert.Empty(t, Unyielding(current, desired))
				return
			}
			assert.Contains(t, Explain(current, steps), "! "+test.want[0]+"\n", "in the plan of a dry run")
		})
	}
}

func TestProfilesOfKubernetesNMStateAreNamed(t *testing.T) {
	current := managedNode(NetworkManager)
	for n := range current.Interfaces {
		if current.Interfaces[n].Name == "eth1" {
			current.Interfaces[n].Legacy, current.Interfaces[n].ProfileName = true, new("eth1")
		}
	}
	desired, problems := Parse([]byte("interfaces: [{name: eth1, mtu: 1400}]"))
	require.Empty(t, problems)
	steps, err := Plan(current, desired)
	require.NoError(t, err)
	assert.Contains(t, Explain(current, steps),
		"! the profile eth1 of eth1, which kubernetes-nmstate left, stays on disk and has no effect (annotation "+
			"bridgehead.dev/nmstate-profiles: remove deletes it)\n")
}
