// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

// An example is a node that is made by hand, and cleared at last, and a policy for it.
type example struct{ made, cleared, policy string }

// nicExamples are nodes with NICs that become ports, or go down.
func nicExamples() map[string]example {
	return map[string]example{
		"addresses and routes of a NIC that becomes a port": {
			made: `
				ip link set eth1 up
				ip addr add 192.0.2.5/24 brd + dev eth1 label eth1:web
				ip addr add 192.0.2.6/24 dev eth1 noprefixroute
				ip addr add 198.18.0.1/24 dev eth1 metric 50
				ip addr add 10.9.9.1 peer 10.9.9.2/32 dev eth1
				ip addr add 10.9.8.1/24 dev eth1 scope link
				ip addr add 2001:db8::5/64 dev eth1 nodad noprefixroute
				ip addr add 2001:db8:5::1/64 dev eth1 nodad metric 60
				ip addr add fe80::77/64 dev eth1 nodad
				ip route add default via 172.31.1.1 dev eth1 onlink metric 500
				ip route add 10.1.0.0/16 via 192.0.2.1 dev eth1 mtu 1400 advmss 1300 initcwnd 20
				ip route add 10.2.0.0/16 via 192.0.2.1 dev eth1 tos 0x10
				ip route add 10.2.0.0/16 via 192.0.2.2 dev eth1 realm 5
				ip route append 10.2.0.0/16 via 192.0.2.3 dev eth1
				ip route add 10.3.0.0/16 nexthop via 192.0.2.1 dev eth1 weight 2 nexthop via 192.0.2.2 dev eth1 weight 3
				ip route add 10.4.0.0/16 via inet6 fe80::1 dev eth1
				ip route add 10.5.0.0/16 via 192.0.2.1 dev eth1 proto bgp src 192.0.2.5
				ip route add 10.6.0.0/16 dev eth1 proto 77 scope host
				ip route add local 10.7.0.0/16 dev eth1 proto static
				ip route add throw 10.8.0.0/16 table 9
				ip -6 route add 2001:db8:1::/48 via 2001:db8:5::2 dev eth1 pref high mtu 1400
				ip -6 route add 2001:db8:2::/48 via 2001:db8:5::2 dev eth1 expires 6000
				ip -6 route add default via fe80::1 dev eth1 proto ra metric 1024 expires 1800
				ip rule add from 192.0.2.0/24 oif eth1 table 9 priority 77
				ip rule add not from 192.0.2.0/24 tos 0x10 table 9 priority 78`,
			cleared: `
				ip rule del priority 77
				ip rule del priority 78
				ip route flush table 9
				ip addr flush dev eth1`,
			policy: `
interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]},
  ipv4: {enabled: true, address: [{ip: 192.0.2.5, prefix-length: 24}]}}]`,
		},
		"a NIC of a host with IPv6 only that becomes a port": {
			made: `
				ip link set eth1 up
				ip token set ::77 dev eth1
				ip addr add 2001:db8:5::77/64 dev eth1
				ip addr add fe80::77/64 dev eth1
				ip -6 route add default via fe80::1 dev eth1 metric 50
				ip -6 route add 2001:db8:7::/48 nexthop via fe80::2 dev eth1 weight 3 nexthop via fe80::3 dev eth1
				ip -6 route add unreachable 2001:db8:8::/48 metric 9
				ip -6 route add 2001:db8:9::/48 dev eth1 table 55
				ip -6 rule add from 2001:db8:5::/64 table 55 priority 55`,
			cleared: "ip -6 rule del priority 55\nip -6 addr flush dev eth1\n" +
				"ip -6 route flush root 2001:db8:8::/48\nip token set :: dev eth1",
			policy: `
interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}, ipv4: {enabled: false},
  ipv6: {enabled: true, autoconf: false, address: [{ip: "2001:db8:5::77", prefix-length: 64}]}}]
routes: {config: [{destination: "::/0", next-hop-address: "fe80::1", next-hop-interface: br0, metric: 50}]}`,
		},
		"routes of all kinds of a NIC that goes down": {
			made: `
				ip link set eth1 up
				ip addr add 192.0.2.5/24 dev eth1
				ip route add default via 192.0.2.1 dev eth1 metric 10
				ip route add default via 192.0.2.2 dev eth1 metric 100
				ip route add unreachable default metric 4278198272
				ip route add blackhole 10.1.0.0/16
				ip route add prohibit 10.2.0.0/16 metric 7
				ip route add 10.3.0.0/16 via 203.0.113.1 dev eth1 onlink table 200
				ip route add 10.4.0.0/16 dev eth1 scope link src 192.0.2.5 metric 9
				ip route add 10.5.0.0/16 via 192.0.2.1 dev eth1 quickack 1 rto_min 200ms congctl cubic
				ip route add multicast 239.0.0.0/8 dev eth1
				ip rule add fwmark 0x1/0xff lookup 200 suppress_prefixlength 0 priority 90
				ip rule add iif eth1 ipproto 6 dport 80-90 lookup 200 priority 91
				ip rule add to 10.3.0.0/16 prohibit priority 92`,
			cleared: "ip rule del priority 90\nip rule del priority 91\nip rule del priority 92\n" +
				"ip addr flush dev eth1\nip route del unreachable default metric 4278198272\n" +
				"ip route del blackhole 10.1.0.0/16\nip route del prohibit 10.2.0.0/16\nip route flush table 200",
			policy: `interfaces: [{name: eth1, type: ethernet, state: down}]`,
		},
		"a NIC that a VRF takes": {
			made: `
				ip link set eth1 up
				ip addr add 192.0.2.5/24 dev eth1
				ip addr add 2001:db8:5::1/64 dev eth1 nodad
				ip addr add fe80::77/64 dev eth1 nodad
				ip route add 10.1.0.0/16 via 192.0.2.1 dev eth1 mtu 1400
				ip -6 route add 2001:db8:1::/48 via 2001:db8:5::2 dev eth1`,
			cleared: `ip addr flush dev eth1`,
			policy:  `interfaces: [{name: vrf7, type: vrf, state: up, vrf: {route-table-id: 77, port: [eth1]}}]`,
		},
		"a NIC that gets a token together with IPv6": {
			made:    "ip link set eth1 up\nwrite 2 " + conf + "eth1/accept_ra\nwrite 1 " + conf + "eth1/disable_ipv6",
			cleared: asItCame("eth1"),
			policy:  `interfaces: [{name: eth1, ipv6: {enabled: true, dhcp: false, autoconf: true, token: "::5"}}]`,
		},
		"a NIC without IPv6 that loses its token": {
			made:    "ip link set eth1 up\nip token set ::77 dev eth1\nwrite 1 " + conf + "eth1/disable_ipv6",
			cleared: asItCame("eth1") + "\nip token set :: dev eth1",
			policy:  `interfaces: [{name: eth1, state: absent}]`,
		},
		"NICs that listen to no router and get a token, get another, or lose it": {
			made: `
				ip link set eth1 up
				ip link set eth2 up
				ip token set ::77 dev eth1
				ip token set ::77 dev eth2
				write 0 ` + conf + `eth0/accept_ra
				write 0 ` + conf + `eth1/accept_ra
				write 0 ` + conf + `eth2/accept_ra`,
			cleared: asItCame("eth0") + asItCame("eth1") + asItCame("eth2") + "\nip token set :: dev eth1\nip token set :: dev eth2",
			policy: `
interfaces:
- {name: eth0, ipv6: {enabled: true, dhcp: false, autoconf: true, token: "::5"}}
- {name: eth1, ipv6: {enabled: true, dhcp: false, autoconf: false, token: "::5"}}
- {name: eth2, ipv6: {enabled: true, dhcp: false, autoconf: true, token: ""}}`,
		},
		"a NIC that carries what is told from it by MAC and by tag": {
			made: `
				ip link set eth1 up
				ip link set eth1 mtu 1450
				ip addr add 192.0.2.5/24 dev eth1`,
			cleared: "ip addr flush dev eth1\nip link set eth1 mtu 1500",
			policy: `
interfaces:
- {name: mac7, type: mac-vlan, state: up, mac-vlan: {base-iface: eth1, mode: passthru, promiscuous: true}}
- {name: eth2, type: ethernet, state: up, mtu: 1600}
- {name: eth2.7, type: vlan, state: up, mtu: 1600, vlan: {base-iface: eth2, id: 7}}`,
		},
	}
}
