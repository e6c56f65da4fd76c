// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A link has an IPv6 address that a server lent and one made of what a router said.
func TestWhatBecomesOfAnIPv6Lease(t *testing.T) {
	current := State{Interfaces: []Interface{{Name: "eth0", Type: TypeEthernet, State: StateUp, IPv6: &IP{
		Enabled: new(true), DHCP: new(true), Autoconf: new(true), Address: []Address{
			{IP: netip.MustParseAddr("2001:db8::7"), PrefixLength: 128, ValidLifeTime: 60, PreferredLifeTime: 60},
			{IP: netip.MustParseAddr("2001:db8:5::9"), PrefixLength: 64, ValidLifeTime: 60, PreferredLifeTime: 60},
		}}}}}.complete()
	for name, c := range map[string]struct {
		ipv6 string
		plan []string
		left map[string]bool // whether the addresses have an end
	}{
		"nothing where it is asked for again": {
			"{enabled: true, dhcp: true, autoconf: true}", nil,
			map[string]bool{"2001:db8::7/128": true, "2001:db8:5::9/64": true},
		},
		"it is static when nobody renews it, and routers go on teaching": {
			"{enabled: true, dhcp: false, autoconf: true}", []string{
				"~ eth0 ipv6 dhcp on → off", "~ eth0 address 2001:db8::7/128 leased → static",
			}, map[string]bool{"2001:db8::7/128": false, "2001:db8:5::9/64": true},
		},
		"it stays when nobody listens to routers any more": {
			"{enabled: true, dhcp: true, autoconf: false}", []string{
				"- eth0 address 2001:db8:5::9/64", "~ eth0 ipv6 autoconf on → off",
			}, map[string]bool{"2001:db8::7/128": true},
		},
		"it goes for a static address": {
			`{enabled: true, dhcp: false, autoconf: false, address: [{ip: "2001:db8::9", prefix-length: 64}]}`, []string{
				"~ eth0 ipv6 dhcp on → off", "- eth0 address 2001:db8:5::9/64", "- eth0 address 2001:db8::7/128",
				"~ eth0 ipv6 autoconf on → off", "+ eth0 address 2001:db8::9/64",
			}, map[string]bool{"2001:db8::9/64": false},
		},
		"it goes with IPv6": {"{enabled: false}", []string{
			"~ eth0 ipv6 dhcp on → off", "- eth0 address 2001:db8:5::9/64", "- eth0 address 2001:db8::7/128",
			"~ eth0 ipv6 on → off",
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			steps, err := Plan(current, parse(t, "interfaces: [{name: eth0, ipv6: "+c.ipv6+"}]"))
			require.NoError(t, err)
			var lines []string
			if text := strings.TrimSpace(Format(steps)); text != "" {
				lines = strings.Split(text, "\n")
			}
			assert.Equal(t, c.plan, lines)
			after := current
			for _, step := range steps {
				after, err = after.Apply(step)
				require.NoError(t, err)
			}
			link, _ := after.Interface("eth0")
			var left map[string]bool
			for _, a := range link.IPv6.Address {
				if left == nil {
					left = map[string]bool{}
				}
				left[a.Prefix().String()] = a.Dynamic()
			}
			assert.Equal(t, c.left, left)
			for _, step := range Invert(steps) {
				after, err = after.Apply(step)
				require.NoError(t, err)
			}
			assert.True(t, Equal(current, after))
		})
	}
}
