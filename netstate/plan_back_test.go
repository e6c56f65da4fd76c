// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

const twoNICs = `
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01"}
- {name: eth2, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:02"}
`

// What no policy may say, a node can be all the same, and can be again. The agent's tests of removals and undos take
// the same examples.
func TestWhatAPolicyMayNotSayIsUndone(t *testing.T) {
	type example struct {
		before, policy State
		change         func(*State) // of before, to what a document cannot say
	}
	text, err := os.ReadFile("testdata/unsayable.yaml")
	require.NoError(t, err)
	var documents map[string]struct{ Before, Policy map[string]any }
	require.NoError(t, yaml.UnmarshalStrict(text, &documents))
	tests := map[string]example{
		"ports with IPv6 and addresses of their own": {
			before: parse(t, `
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01", controller: bond0, ipv6: {enabled: true, autoconf: true}}
- {name: eth2, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:02", controller: bond0, ipv6: {enabled: true, autoconf: false},
   ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}
- {name: bond0, type: bond, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01",
   link-aggregation: {mode: active-backup, options: {miimon: 100}, port: [eth1, eth2]}}`),
			policy: parse(t, `interfaces: [{name: bond0, state: absent}, {name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth2}]}}]`),
		},
		"a bridge that filters VLANs without a port that has one": {
			before: parse(t, twoNICs+`- {name: br0, type: linux-bridge, state: up, mtu: 1500, bridge: {port: [{name: eth1}]}}`),
			policy: parse(t, `interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth2, vlan: {}}]}}]`),
			change: func(s *State) { s.link("br0").Bridge.VLANFiltering = new(true) },
		},
		"a down port of a bond that gets another one": {
			before: parse(t, twoNICs+`- {name: eth3, type: ethernet, state: up}
- {name: bond0, type: bond, state: up, mtu: 1500, link-aggregation: {mode: balance-rr, port: [eth1, eth2]}}`),
			policy: parse(t, `interfaces: [{name: bond0, link-aggregation: {port: [eth1, eth3]}}]`),
			change: func(s *State) { s.link("eth1").State = StateDown },
		},
	}
	for name, document := range documents {
		tests[name] = example{before: parse(t, asYAML(t, document.Before)), policy: parse(t, asYAML(t, document.Policy))}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := test.before.complete()
			if test.change != nil {
				test.change(&before)
			}
			steps, err := Plan(before, test.policy)
			require.NoError(t, err)
			require.NotEmpty(t, steps)
			after := apply(t, before, steps)
			back := PlanBack(Own(after, test.policy), Revert(before, test.policy))
			wantEqual(t, Format(steps)+"undone by\n"+Format(back), apply(t, after, back), before)
		})
	}
}

// An address that a DHCP client had and a policy kept for ever has an end again: the client may get another one.
func TestALeasedAddressThatAPolicyKeptIsLeasedAgain(t *testing.T) {
	before := parse(t, twoNICs).complete()
	before.link("eth1").IPv4 = &IP{Enabled: new(true), DHCP: new(true), Address: []Address{{
		IP: netip.MustParseAddr("192.0.2.7"), PrefixLength: 24, ValidLifeTime: 3600, PreferredLifeTime: 1800,
	}}}
	desired := parse(t, `interfaces: [{name: eth1, ipv4: {enabled: true, dhcp: false}}]`)
	steps, err := Plan(before, desired)
	require.NoError(t, err)
	after := apply(t, before, steps)
	require.False(t, after.link("eth1").IPv4.Address[0].Dynamic())
	back := apply(t, after, PlanBack(Own(after, desired), Revert(before, desired)))
	assert.Equal(t, before.link("eth1").IPv4.Address, back.link("eth1").IPv4.Address)
}

// asYAML returns a part of a file of examples as a document of its own.
func asYAML(t *testing.T, part map[string]any) string {
	t.Helper()
	text, err := yaml.Marshal(part)
	require.NoError(t, err)
	return string(text)
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
			back: "~ eth2 controller br0 → none\n~ eth1 controller br0 → none\n- vlan eth1.5\n",
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

// A node that forwards and accepts no router advertisements did so before the policy that said autoconf, and does again
// when that is undone.
func TestTheWayBackPutsAcceptRABackToTheLetter(t *testing.T) {
	before := State{Interfaces: []Interface{{Name: "eth1", Type: TypeEthernet, State: StateUp,
		IPv6: &IP{Enabled: new(true), Autoconf: new(true), Forwarding: new(true), AcceptRA: new(1)}}}}.complete()
	desired := State{Interfaces: []Interface{{Name: "eth1", IPv6: &IP{Enabled: new(true), Autoconf: new(true)}}}}
	steps, err := Plan(before, desired)
	require.NoError(t, err)
	assert.Equal(t, "~ eth1 ipv6 accept-ra 1 → 2\n", Format(steps))
	after := apply(t, before, steps)
	assert.Equal(t, "~ eth1 ipv6 accept-ra 2 → 1\n", Format(PlanBack(after, Revert(before, desired))))
	assert.Equal(t, "~ eth1 ipv6 accept-ra 2 → 1\n",
		Format(PlanRemoval(after, Removal{Before: before, Desired: []State{desired}}.Wishes(after))))
}

// A link-local address that somebody made by hand is put back; one in a policy, copied from what a node shows, is none
// of its business.
func TestALinkLocalAddressMadeByHandStaysAndComesBack(t *testing.T) {
	before := parse(t, twoNICs).complete()
	before.link("eth1").IPv6 = &IP{Enabled: new(true), DHCP: new(false), Autoconf: new(true),
		Address: []Address{{IP: netip.MustParseAddr("fe80::1"), PrefixLength: 64}}}
	for _, policy := range []string{
		`interfaces: [{name: eth1, ipv6: {enabled: true, autoconf: false, allow-extra-address: false, address: []}}]`,
		`interfaces: [{name: eth2, ipv6: {enabled: true, address: [{ip: "fe80::2", prefix-length: 64}]}}]`,
	} {
		steps, err := Plan(before, parse(t, policy))
		require.NoError(t, err)
		assert.NotContains(t, Format(steps), "fe80", policy)
	}
	desired := parse(t, `interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}]`)
	steps, err := Plan(before, desired)
	require.NoError(t, err)
	after := apply(t, before, steps)
	require.Empty(t, after.link("eth1").IPv6.Address)
	back := apply(t, after, PlanBack(Own(after, desired), Revert(before, desired)))
	assert.Equal(t, before.link("eth1").IPv6.Address, back.link("eth1").IPv6.Address)
}

// NetworkManager has the kernel make no addresses, and makes them itself for as long as it manages the link.
func TestAutoconfMakesAddressesAlsoOfALinkThatMadeNone(t *testing.T) {
	before := parse(t, twoNICs).complete()
	before.link("eth1").IPv6 = &IP{Enabled: new(true), DHCP: new(false), Autoconf: new(false), AddrGenMode: new("none")}
	plan := func(policy string) string {
		steps, err := Plan(before, parse(t, policy))
		require.NoError(t, err)
		return Format(steps)
	}
	assert.Contains(t, plan(`interfaces: [{name: eth1, ipv6: {enabled: true, autoconf: true}}]`), "none → eui64")
	assert.NotContains(t, plan(`interfaces: [{name: eth1, ipv6: {enabled: true, autoconf: true, addr-gen-mode: none}}]`), "eui64")
	assert.NotContains(t, plan(`interfaces: [{name: eth1, mtu: 1400}]`), "eui64")
}
