// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// What a policy does not name is to the letter as it was after the policy succeeded, whatever of it a document could
// not say.
func TestWhatAPolicyDoesNotNameIsLeftToTheLetter(t *testing.T) {
	const addresses = `
		ip link set eth1 up
		ip addr add 192.0.2.5/24 brd + dev eth1 label eth1:web
		ip addr add 192.0.2.6/24 dev eth1 noprefixroute
		ip addr add 198.18.0.1/24 dev eth1 metric 50
		ip addr add 10.9.9.1 peer 10.9.9.2/32 dev eth1
		ip addr add 2001:db8::5/64 dev eth1 nodad noprefixroute
		ip addr add 2001:db8:5::1/64 dev eth1 nodad metric 60
		ip route add default via 172.31.1.1 dev eth1 onlink metric 500
		ip route add 10.1.0.0/16 via 192.0.2.1 dev eth1 mtu 1400 advmss 1300 initcwnd 20
		ip route add 10.2.0.0/16 via 192.0.2.2 dev eth1 realm 5
		ip route add 10.3.0.0/16 nexthop via 192.0.2.1 dev eth1 weight 2 nexthop via 192.0.2.2 dev eth1 weight 3
		ip route add 10.4.0.0/16 via inet6 fe80::1 dev eth1
		ip -6 route add 2001:db8:1::/48 via 2001:db8:5::2 dev eth1 pref high mtu 1400
		ip rule add from 192.0.2.0/24 oif eth1 table 9 priority 77`
	const bridge = `
		ip link set eth1 up
		ip link add br7 txqueuelen 77 type bridge vlan_filtering 1 mcast_igmp_version 3
		ip link set eth1 master br7
		ip link set br7 up
		ip link set eth1 type bridge_slave isolated on guard on learning off flood off
		bridge vlan add dev br7 vid 10 self
		bridge vlan add dev eth1 vid 20 untagged
		bridge fdb add 02:00:00:00:00:77 dev eth1 master static vlan 20
		ip addr add 192.0.2.9/24 dev br7`
	tests := map[string]struct {
		made, cleared, policy string
		// named is what the policy changes in the lines that ip and bridge show.
		named string
	}{
		"of a NIC that gets another MTU and a description": {
			made: addresses, cleared: "ip rule del priority 77\nip addr flush dev eth1",
			policy: `interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1480, description: uplink}]`,
			named:  `mtu 1[45][80]0|(?m)^ +alias uplink\n`,
		},
		"of a NIC that gets an address": {
			made: addresses, cleared: "ip rule del priority 77\nip addr flush dev eth1",
			policy: `interfaces: [{name: eth1, ipv4: {enabled: true, dhcp: false, address: [{ip: 203.0.113.7, prefix-length: 24}]}}]`,
			named:  `(?m)^.*203\.0\.113\..*\n( +valid_lft.*\n)?`,
		},
		"of a NIC that gets a VLAN": {
			made: addresses, cleared: "ip rule del priority 77\nip addr flush dev eth1",
			policy: `interfaces: [{name: eth1.9, type: vlan, state: up, vlan: {base-iface: eth1, id: 9}}]`,
			named:  `(?m)^(eth1\.9/|.*dev eth1\.9|eth1\.9@|eth1\.9:).*\n( .*\n)*`,
		},
		"of a bridge that gets an option": {
			made: bridge, cleared: `ip link del br7`,
			policy: `interfaces: [{name: br7, type: linux-bridge, state: up, bridge: {options: {mac-ageing-time: 60}}}]`,
			named:  `ageing_time \d+`,
		},
		"of a bond that gets an option": {
			made: bonded("type bond mode active-backup miimon 100 peer_notify_delay 200", "eth1", "eth2") + `
				ip link set bond7 up
				ip link set bond7 type bond active_slave eth2
				ip addr add 192.0.2.9/24 dev bond7`,
			cleared: `ip link del bond7`,
			policy:  `interfaces: [{name: bond7, type: bond, state: up, link-aggregation: {options: {resend_igmp: 3}}}]`,
			named:   `resend_igmp \d`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			k := made(t, test.made, test.cleared)
			policy, errs := netstate.Parse([]byte(test.policy))
			require.Empty(t, errs)
			before := unnamed(listing(t), test.named)
			require.NotEmpty(t, configure(t, k, policy))
			awaitLinks(t)
			after := unnamed(listing(t), test.named)
			for line := range before {
				assert.Equal(t, before[line], after[line], line)
			}
		})
	}
}

// unnamed is a listing without what a policy names.
func unnamed(all map[string][]string, named string) map[string]string {
	rest := map[string]string{}
	for line, shown := range all {
		rest[line] = regexp.MustCompile(named).ReplaceAllString(strings.Join(shown, "\n")+"\n", "")
	}
	return rest
}
