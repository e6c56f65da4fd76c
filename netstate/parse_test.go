// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseErrors(t *testing.T) {
	tests := map[string]struct {
		state string
		want  []string
	}{
		"an unknown key is named with its path and what was meant": {
			`interfaces: [{name: br0, type: linux-bridge, bridge: {options: {stp: {forwad-delay: 4}}}}]`,
			[]string{"interfaces[0].bridge.options.stp.forwad-delay: Invalid value: unknown key: did you mean forward-delay?"},
		},
		"a key that resembles nothing lists what is known": {
			`routes: {zzzzzz: []}`,
			[]string{"routes.zzzzzz: Invalid value: unknown key: known keys: config, running"},
		},
		"all problems are listed at once": {
			`{interfaces: [{name: a, mtu: x, foo: 1}, {name: b, ipv4: {enabled: maybe}}], bar: 1}`,
			[]string{
				"interfaces[0].mtu: Invalid value: \"x\": not a whole number",
				"interfaces[0].foo: Invalid value: unknown key: known keys: ",
				"interfaces[1].ipv4.enabled: Invalid value: \"maybe\": not true or false",
				"bar: Invalid value: unknown key",
			},
		},
		"a type of another system is refused with what to use instead": {
			`interfaces: [{name: ovs0, type: ovs-bridge}, {name: i0, type: ipvlan}]`,
			[]string{
				"interfaces[0].type: Forbidden: ovs-bridge: Open vSwitch is not supported: use type linux-bridge",
				"interfaces[1].type: Forbidden: ipvlan: use type mac-vlan",
			},
		},
		"an absent interface that is to be found by its MAC is refused": {
			`interfaces: [{name: eth2, state: absent, identifier: mac-address, mac-address: "02:00:00:00:00:01"}]`,
			[]string{"interfaces[0].identifier: Forbidden: state: absent finds its interface by name: "},
		},
		"an unknown type is refused with what was meant": {
			`interfaces: [{name: a, type: linuxbridge}]`,
			[]string{`interfaces[0].type: Invalid value: "linuxbridge": did you mean linux-bridge?`},
		},
		"OVN mappings and the host name are refused at the top": {
			`{ovn: {bridge-mappings: []}, hostname: {}, ovs-db: {}}`,
			[]string{"ovn: Forbidden: ", "hostname: Forbidden: ", "ovs-db: Forbidden: "},
		},
		"virtual functions one by one are refused": {
			`interfaces: [{name: a, ethernet: {sr-iov: {total-vfs: 2, vfs: []}}}]`,
			[]string{"interfaces[0].ethernet.sr-iov.vfs: Forbidden: "},
		},
		"a key of the other IP version is refused": {
			`interfaces: [{name: a, ipv4: {autoconf: true}, ipv6: {dhcp-client-id: x}}]`,
			[]string{"interfaces[0].ipv4.autoconf: Forbidden: ", "interfaces[0].ipv6.dhcp-client-id: Forbidden: "},
		},
		"a key twice, once by its alias, is refused": {
			`interfaces: [{name: a, bridge: {port: [], ports: []}}]`,
			[]string{"interfaces[0].bridge.ports: Duplicate value: "},
		},
		"a list is not a map": {
			`interfaces: {name: a}`,
			[]string{"interfaces: Invalid value: must be a list, not a map"},
		},
		"what is written in the form of others is refused with the form it has here": {
			`
interfaces:
- eth0
- name: a
  lldp: true
  ipv4: {address: [{ip: 192.0.2.1/24, netmask: 255.255.255.0}], gateway: 192.0.2.9, nameservers: [192.0.2.53]}
  ipv6: off
  vlan: 7
  bridge: {options: {stp: false}, port: [eth1, {name: eth2, vlan: 9}, {name: eth3, vlan: {trunk-tags: [10]}}]}
routes: {config: [{destination: default}, x]}`,
			[]string{
				"interfaces[0]: Invalid value: must be a map: write {name: eth0}",
				"interfaces[1].lldp: Invalid value: must be a map: write {enabled: true}",
				"interfaces[1].ipv4.address[0].ip: Invalid value: \"192.0.2.1/24\": an address has no length: write 192.0.2.1, and the length " +
					"beside it where there is a key for it (prefix-length: 24)",
				"interfaces[1].ipv4.address[0].netmask: Forbidden: write the length of the network under prefix-length",
				"interfaces[1].ipv4.gateway: Forbidden: a gateway is a route: ",
				"interfaces[1].ipv4.nameservers: Forbidden: name servers are those of the node: write them under dns-resolver",
				"interfaces[1].ipv6: Invalid value: must be a map: write {enabled: false}",
				"interfaces[1].vlan: Invalid value: must be a map: write {id: 7}",
				"interfaces[1].bridge.options.stp: Invalid value: must be a map: write {enabled: false}",
				"interfaces[1].bridge.port[0]: Invalid value: must be a map: write {name: eth1}",
				"interfaces[1].bridge.port[1].vlan: Invalid value: must be a map: write {mode: access, tag: 9}",
				"interfaces[1].bridge.port[2].vlan.trunk-tags[0]: Invalid value: must be a map: write {id: 10}",
				"routes.config[0].destination: Invalid value: \"default\": has two meanings: write 0.0.0.0/0 or ::/0",
				"routes.config[1]: Invalid value: must be a map, not a single value",
			},
		},
		"a network with a zone": {
			`routes: {config: [{destination: "fe80::%a/64", next-hop-interface: a},
  {destination: "fe80::1%a", next-hop-interface: a}]}`,
			[]string{
				`routes.config[0].destination: Invalid value: "fe80::%a/64": a network has no zone`,
				`routes.config[1].destination: Invalid value: "fe80::1%a": a network has no zone`,
			},
		},
		"two names of the forward mask that disagree are refused": {
			`interfaces: [{name: a, bridge: {options: {group-forward-mask: 8, group-fwd-mask: 16}}}]`,
			[]string{"interfaces[0].bridge.options.group-fwd-mask: Invalid value: "},
		},
		"not a document":         {`{`, []string{"document: Invalid value: not YAML"}},
		"more than one document": {"---\n{}\n---\n{}\n", []string{"document: Invalid value: more than one document"}},
		"a bomb of aliases is refused": {
			"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]",
			[]string{"too large once its aliases are expanded"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, errs := Parse([]byte(test.state))
			require.Len(t, errs, len(test.want))
			for n, want := range test.want {
				assert.ErrorContains(t, errs[n], want)
			}
		})
	}
}

func TestParseAccepts(t *testing.T) {
	tests := map[string]struct{ state, same string }{
		"numbers and booleans in strings": {
			`interfaces: [{name: a, mtu: "1400", accept-all-mac-addresses: "yes", link-aggregation: {options: {miimon: '140'}}}]`,
			`interfaces: [{name: a, mtu: 1400, accept-all-mac-addresses: true, link-aggregation: {options: {miimon: 140}}}]`,
		},
		"ports for port": {
			`interfaces: [{name: a, bridge: {ports: [{name: b}]}}, {name: c, link-aggregation: {ports: [d]}}, {name: e, vrf: {ports: [f]}}]`,
			`interfaces: [{name: a, bridge: {port: [{name: b}]}}, {name: c, link-aggregation: {port: [d]}}, {name: e, vrf: {port: [f]}}]`,
		},
		"names that look like numbers": {
			`interfaces: [{name: 0}, {name: 1.0}, {name: 60e2}, {name: 0x1f}, {name: true}]`,
			`interfaces: [{name: "0"}, {name: "1.0"}, {name: "60e2"}, {name: "0x1f"}, {name: "true"}]`,
		},
		"names that look like numbers in JSON": {
			`{"interfaces": [{"name": 60e2}, {"name": 1.0}]}`,
			`interfaces: [{name: "60e2"}, {name: "1.0"}]`,
		},
		"anything beside absent": {
			`interfaces: [{name: a, type: linux-bridge, state: absent, mtu: x, whatever: [1], ipv4: 7}]`,
			`interfaces: [{name: a, type: linux-bridge, state: absent}]`,
		},
		"numbers for the words the kernel counts": {
			`interfaces: [{name: a, bridge: {options: {multicast-router: 1}}, link-aggregation: {mode: 4, options: {lacp_rate: "1"}}}]`,
			`interfaces: [{name: a, bridge: {options: {multicast-router: auto}}, link-aggregation: {mode: 802.3ad, options: {lacp_rate: fast}}}]`,
		},
		"MACs in any case, and nulls": {
			`interfaces: [{name: a, mac-address: 52:55:00:d1:56:0a, mtu: null, ipv4: ~}]`,
			`interfaces: [{name: a, mac-address: 52:55:00:D1:56:0A}]`,
		},
		"destinations with host bits, hosts and no gateway": {
			`routes: {config: [{destination: 192.0.2.7/24, next-hop-interface: a, next-hop-address: ""}, {destination: 192.0.2.7, next-hop-interface: a, next-hop-address: 0.0.0.0}]}`,
			`routes: {config: [{destination: 192.0.2.0/24, next-hop-interface: a}, {destination: 192.0.2.7/32, next-hop-interface: a}]}`,
		},
		"addresses that expire are somebody else's": {
			`interfaces: [{name: a, ipv4: {address: [{ip: 192.0.2.1, prefix-length: 24, valid-life-time: 300sec}, {ip: 192.0.2.2, prefix-length: 24, valid-life-time: forever}]}}]`,
			`interfaces: [{name: a, ipv4: {address: [{ip: 192.0.2.2, prefix-length: 24}]}}]`,
		},
		"a foreign type that is ignored": {
			`interfaces: [{name: a, type: OVS-bridge, state: IGNORE}]`,
			`interfaces: [{name: a, type: ovs-bridge, state: ignore}]`,
		},
		"nothing": {``, `{}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			wantSameText(t, name, parse(t, test.state), parse(t, test.same))
		})
	}
}

// The current state that the story shows for br0 must come out of Marshal as it went into Parse.
func TestTheStorysCurrentStateIsReproduced(t *testing.T) {
	text, err := os.ReadFile("testdata/story-br0.yaml")
	require.NoError(t, err)
	shown, err := Marshal(parse(t, string(text)))
	require.NoError(t, err)
	// group-fwd-mask is the second name of an option that the story shows under its first only.
	got := regexp.MustCompile(` +group-fwd-mask: 0\n`).ReplaceAllString(string(shown), "")
	assert.Equal(t, string(text), got)
}

func TestAStepSurvivesItsJournal(t *testing.T) {
	states := loadStates(t)
	for _, to := range states {
		steps, err := Plan(states["01-bare"], leading(states["01-bare"], to))
		require.NoError(t, err)
		for _, step := range slices.Concat(steps, Invert(steps)) {
			text, err := json.Marshal(step)
			require.NoError(t, err)
			var back Step
			require.NoError(t, json.Unmarshal(text, &back))
			again, err := json.Marshal(back)
			require.NoError(t, err)
			require.Equal(t, string(text), string(again))
			require.Equal(t, step.String(), back.String())
		}
	}
	route := Step{Kind: StepRoute, To: Value{Route: &Route{Protocol: 16}}}
	bridge := Step{Kind: StepSet, To: Value{Link: &Interface{Bridge: &Bridge{VLANFiltering: new(false)}}}}
	lease := Step{Kind: StepAddress, From: Value{Address: &Address{ValidLifeTime: 60, PreferredLifeTime: 30}}}
	for _, step := range []Step{route, bridge, lease} {
		text, _ := json.Marshal(step)
		assert.Contains(t, string(text), internalKey, "what nmstate has no key for")
	}
}

func TestTheJSONOfAStateHasNmstatesKeysOnly(t *testing.T) {
	for name, state := range loadStates(t) {
		text, err := json.Marshal(state)
		require.NoError(t, err)
		assert.NotContains(t, string(text), internalKey, name)
	}
}

// An empty key would match every route or rule; who means that leaves it out.
func TestAnEmptyKeyIsNoWildcard(t *testing.T) {
	for name, entry := range map[string]string{
		"the destination of a route":    `routes: {config: [{state: absent, destination: "", next-hop-interface: eth0}]}`,
		"one that a template left":      `routes: {config: [{state: absent, destination: null, metric: 7}]}`,
		"the link of a route":           `routes: {config: [{state: absent, next-hop-interface: ""}]}`,
		"the gateway of a route":        `routes: {config: [{state: absent, next-hop-address: "", metric: 7}]}`,
		"the source of a rule":          `route-rules: {config: [{state: absent, ip-from: "", ip-to: 192.0.2.0/24}]}`,
		"the destination of a rule":     `route-rules: {config: [{state: absent, ip-to: ""}]}`,
		"the table of a rule":           `route-rules: {config: [{state: absent, route-table: ~}]}`,
		"the link that a rule is about": `route-rules: {config: [{state: absent, iif: ""}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, errs := Parse([]byte(entry))
			require.Len(t, errs, 1)
			assert.Contains(t, errs[0].Error(), "leave the key out")
		})
	}
}
