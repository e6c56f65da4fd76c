// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An entry with state absent is about configured routes. Who taught the others would do it again.
func TestALearntRouteIsNotRemoved(t *testing.T) {
	const protoStatic, protoBoot, protoRA, protoDHCP, protoKeepalived = 4, 3, 9, 16, 18
	tests := map[string]struct {
		protocol int
		goes     bool
	}{
		"one somebody made with ip": {protoBoot, true},
		"a static one":              {protoStatic, true},
		"one of a lease":            {protoDHCP, false},
		"one of a router":           {protoRA, false},
		"one of keepalived":         {protoKeepalived, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			current := parse(t, `interfaces: [{name: eth0, type: ethernet, state: up, mtu: 1500,
  ipv4: {enabled: true, address: [{ip: 192.0.2.10, prefix-length: 24}]}}]
routes: {running: [{destination: 0.0.0.0/0, next-hop-interface: eth0, next-hop-address: 192.0.2.1}]}`).complete()
			current.Routes.Running[0].Protocol = test.protocol
			if current.Routes.Running[0].configured() {
				current.Routes.Config = current.Routes.Running
			}
			steps, err := Plan(current, parse(t, `routes: {config: [{state: absent, next-hop-interface: eth0}]}`))
			require.NoError(t, err)
			assert.Equal(t, test.goes, len(steps) > 0, Format(steps))
		})
	}
}

// A router teaches a port of a VRF for the table of that; once the port is free, for the main table.
func TestARouteThatWasLearntForAVRFGoesWithIt(t *testing.T) {
	const protoRA = 9
	current := parse(t, `interfaces:
- {name: eth0, type: ethernet, state: up, mtu: 1500, controller: vrf102, ipv6: {enabled: true, autoconf: true,
  address: [{ip: 2001:db8::10, prefix-length: 64}]}}
- {name: vrf102, type: vrf, state: up, vrf: {port: [eth0], route-table-id: 102}}
routes: {running: [
  {destination: "::/0", next-hop-interface: eth0, next-hop-address: "fe80::1", table-id: 102},
  {destination: "2001:db8:9::/48", next-hop-interface: eth0, next-hop-address: "fe80::1", table-id: 254}]}`).complete()
	for n := range current.Routes.Running {
		current.Routes.Running[n].Protocol = protoRA
	}
	for _, wish := range []string{
		`{name: vrf102, type: vrf, state: absent}`,
		`{name: vrf102, type: vrf, vrf: {route-table-id: 103}}`,
	} {
		left := Merge(current, parse(t, `interfaces: [`+wish+`]`)).Routes.Running
		require.Len(t, left, 1, "what was learnt for another table is the router's")
		assert.Equal(t, 254, *left[0].TableID)
	}
	kept := Merge(current, parse(t, `interfaces: [{name: eth0, mtu: 1400}]`)).Routes.Running
	assert.Len(t, kept, 2, "it stays in the VRF")
}

// Of two rules that look for the same, the kernel heeds the one that was there first, or the one of the lower priority.
func TestARuleThatAPolicySaysAgainIsReplaced(t *testing.T) {
	const said = `route-rules: {config: [{ip-from: 192.0.2.0/24, route-table: 100, priority: 1000}]}`
	bare := State{}.complete()
	now := Merge(bare, parse(t, said))
	tests := map[string]struct {
		says string
		left []string
	}{
		"with another table": {`{ip-from: 192.0.2.0/24, route-table: 200, priority: 1000}`,
			[]string{"ipv4 priority 1000 from 192.0.2.0/24 table 200"}},
		"with another priority": {`{ip-from: 192.0.2.0/24, route-table: 100, priority: 500}`,
			[]string{"ipv4 priority 500 from 192.0.2.0/24 table 100"}},
		"with an action instead": {`{ip-from: 192.0.2.0/24, action: blackhole, priority: 1000}`,
			[]string{"ipv4 priority 1000 from 192.0.2.0/24 action blackhole"}},
		"but not one for when its table has nothing": {`{ip-from: 192.0.2.0/24, route-table: 200, priority: 2000}`,
			[]string{"ipv4 priority 1000 from 192.0.2.0/24 table 100", "ipv4 priority 2000 from 192.0.2.0/24 table 200"}},
		"nor one that looks for something else": {`{ip-to: 192.0.2.0/24, route-table: 100, priority: 1000}`,
			[]string{"ipv4 priority 1000 from 192.0.2.0/24 table 100", "ipv4 priority 1000 to 192.0.2.0/24 table 100"}},
		"nor one that is said as well": {
			`{ip-from: 192.0.2.0/24, route-table: 100, priority: 1000}, {ip-from: 192.0.2.0/24, route-table: 100, priority: 500}`,
			[]string{"ipv4 priority 1000 from 192.0.2.0/24 table 100", "ipv4 priority 500 from 192.0.2.0/24 table 100"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			wish := parse(t, `route-rules: {config: [`+test.says+`]}`)
			after := Merge(Own(now, parse(t, said)), wish)
			assert.Equal(t, test.left, rulesOf(after))
			steps, err := Plan(Own(now, parse(t, said)), wish)
			require.NoError(t, err)
			for _, step := range steps {
				assert.False(t, step.From.Rule != nil && step.From.Rule.Owned, "the kernel knows no owners")
			}
			assert.True(t, Equal(now, Merge(after, Revert(Own(now, parse(t, said)), wish))), "and there is a way back")
			others := Merge(now, wish)
			assert.Contains(t, rulesOf(others), "ipv4 priority 1000 from 192.0.2.0/24 table 100", "that of others stays")
		})
	}
}

func rulesOf(s State) []string {
	var texts []string
	for _, rule := range s.RouteRules.Config {
		texts = append(texts, rule.String())
	}
	return texts
}

// Of two routes of one destination and metric the kernel uses the first, or both.
func TestARouteThatIsSaidAgainTakesThePlaceOfTheOld(t *testing.T) {
	const nics = `interfaces: [{name: eth0, type: ethernet, state: up, mtu: 1500,
  ipv4: {enabled: true, address: [{ip: 192.0.2.10, prefix-length: 24}]}}]`
	const first = "{destination: 203.0.113.0/24, next-hop-interface: eth0, next-hop-address: 192.0.2.1}"
	tests := map[string]struct {
		says string
		left []string
	}{
		"with another gateway": {"{destination: 203.0.113.0/24, next-hop-interface: eth0, next-hop-address: 192.0.2.3}",
			[]string{"203.0.113.0/24 via 192.0.2.3 through eth0"}},
		"with another metric": {
			"{destination: 203.0.113.0/24, next-hop-interface: eth0, next-hop-address: 192.0.2.1, metric: 7}",
			[]string{"203.0.113.0/24 via 192.0.2.1 through eth0 metric 7"}},
		"but not one that has a metric of its own": {
			"{destination: 203.0.113.0/24, next-hop-interface: eth0, next-hop-address: 192.0.2.3, metric: 7}",
			[]string{"203.0.113.0/24 via 192.0.2.1 through eth0", "203.0.113.0/24 via 192.0.2.3 through eth0 metric 7"}},
		"and a weight by itself is none": {
			"{destination: 203.0.113.0/24, next-hop-interface: eth0, next-hop-address: 192.0.2.1, weight: 9}",
			[]string{"203.0.113.0/24 via 192.0.2.1 through eth0"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			now := Merge(parse(t, nics).complete(), parse(t, "routes: {config: ["+first+"]}"))
			wish := parse(t, "routes: {config: ["+test.says+"]}")
			after := Merge(now, wish)
			var left []string
			for _, route := range after.Routes.Config {
				left = append(left, route.String())
			}
			assert.Equal(t, test.left, left)
			assert.True(t, Equal(now, Merge(after, Revert(now, wish))), "and there is a way back")
		})
	}
}
