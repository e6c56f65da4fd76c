// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

// bonded returns lines that make bond7, as ip takes it, of two ports in the order in which they come.
func bonded(bond, first, second string) string {
	return "ip link add bond7 " + bond + "\nip link set eth1 down\nip link set eth2 down\n" +
		"ip link set " + first + " master bond7\nip link set " + second + " master bond7"
}

// bondExamples are nodes with bonds, or with what bonds take.
func bondExamples() map[string]example {
	return map[string]example{
		"a bond that sends through its second port": {
			made: bonded("type bond mode active-backup miimon 100 peer_notify_delay 200", "eth1", "eth2") + `
				ip link set bond7 up
				ip link set bond7 type bond active_slave eth2
				ip addr add 192.0.2.9/24 dev bond7`,
			cleared: `ip link del bond7`,
			policy:  `interfaces: [{name: bond7, state: absent}]`,
		},
		"a bond that sends through its second port, of a mode in which all do": {
			made: bonded("type bond mode active-backup miimon 100", "eth1", "eth2") + `
				ip link set bond7 up
				ip link set bond7 type bond active_slave eth2
				ip addr add 192.0.2.9/24 dev bond7`,
			cleared: `ip link del bond7`,
			policy:  `interfaces: [{name: bond7, type: bond, state: up, link-aggregation: {mode: 802.3ad}}]`,
		},
		"NICs that a bond takes, with settings of their own": {
			made: `
				ip link set eth1 up
				ip link set eth2 up
				ip link set eth1 mtu 1450 promisc on alias first
				ip link set eth2 addrgenmode none
				write 2 /proc/sys/net/ipv6/conf/eth1/accept_ra
				write 0 /proc/sys/net/ipv6/conf/eth2/accept_ra
				write 1 /proc/sys/net/ipv6/conf/eth2/forwarding
				ip addr add 192.0.2.5/24 dev eth1
				ip addr add 2001:db8:5::1/64 dev eth1 nodad
				ip route add 10.1.0.0/16 via 192.0.2.1 dev eth1 mtu 1400`,
			cleared: "ip addr flush dev eth1\nip link set eth1 mtu 1500 promisc off\nip link set eth2 addrgenmode eui64" +
				asItCame("eth1") + asItCame("eth2"),
			policy: `
interfaces: [{name: bond7, type: bond, state: up, mtu: 9000, link-aggregation: {mode: active-backup, port: [eth1, eth2]}}]`,
		},
		"a bond with a MAC of its own, of another mode": {
			made: bonded("address 02:00:00:00:00:b7 type bond mode balance-xor miimon 100", "eth1", "eth2") + `
				ip link set bond7 up
				ip addr add 192.0.2.9/24 dev bond7
				ip route add 10.1.0.0/16 via 192.0.2.1 dev bond7`,
			cleared: `ip link del bond7`,
			policy:  `interfaces: [{name: bond7, type: bond, state: up, link-aggregation: {mode: active-backup}}]`,
		},
		"a bond with a MAC of its own that gives its ports up": {
			made: bonded("type bond mode active-backup miimon 100", "eth1", "eth2") + `
				ip link set bond7 address 02:00:00:00:00:b7 up
				ip addr add 192.0.2.9/24 dev bond7`,
			cleared: `ip link del bond7`,
			policy:  `interfaces: [{name: bond7, type: bond, state: up, link-aggregation: {port: []}}]`,
		},
		"a bond whose MAC is that of its second port, which is active": {
			made: bonded("type bond mode active-backup miimon 100 fail_over_mac active", "eth1", "eth2") + `
				ip link set bond7 type bond active_slave eth2
				ip link set bond7 up
				ip addr add 192.0.2.9/24 dev bond7`,
			cleared: `ip link del bond7`,
			policy:  `interfaces: [{name: bond7, state: absent}]`,
		},
		"a bond whose MAC is that of its first port, which is active": {
			made: bonded("type bond mode active-backup miimon 100 fail_over_mac active", "eth1", "eth2") + `
				ip link set bond7 type bond active_slave eth1
				ip link set bond7 up`,
			cleared: `ip link del bond7`,
			policy:  `interfaces: [{name: bond7, state: absent}]`,
		},
		"a bond whose MAC is that of its primary": {
			made: bonded("type bond mode active-backup miimon 100 fail_over_mac active", "eth2", "eth1") + `
				ip link set bond7 type bond primary eth1
				ip link set bond7 up
				ip addr add 192.0.2.9/24 dev bond7`,
			cleared: `ip link del bond7`,
			policy:  `interfaces: [{name: bond7, type: bond, state: up, link-aggregation: {mode: active-backup, options: {fail_over_mac: none}}}]`,
		},
		"a bond whose MAC is that of the second NIC, which came first": {
			made: bonded("type bond mode balance-rr miimon 100", "eth2", "eth1") + `
				ip link set bond7 up
				ip addr add 192.0.2.9/24 dev bond7`,
			cleared: `ip link del bond7`,
			policy:  `interfaces: [{name: bond7, state: absent}]`,
		},
		"a bond whose MAC is that of the first NIC, which came first": {
			made: bonded("type bond mode balance-xor miimon 100", "eth1", "eth2") + `
				ip link set bond7 up
				ip addr add 192.0.2.9/24 dev bond7`,
			cleared: `ip link del bond7`,
			policy:  `interfaces: [{name: bond7, type: bond, state: up, link-aggregation: {mode: active-backup}}]`,
		},
		"ports of a bond that carry VLANs of their own": {
			made: bonded("type bond mode active-backup miimon 100", "eth1", "eth2") + `
				ip link set bond7 up
				ip link add eth2.5 link eth2 type vlan id 5
				ip link set eth2.5 up
				ip addr add 192.0.2.9/24 dev eth2.5
				ip route add 10.1.0.0/16 via 192.0.2.1 dev eth2.5`,
			cleared: "ip link del eth2.5\nip link del bond7",
			policy:  `interfaces: [{name: bond7, type: bond, state: up, link-aggregation: {port: [eth1]}}]`,
		},
		"links without a permanent MAC that a bond takes": {
			made: `
				ip link add d1 address 02:00:00:00:00:d1 type dummy
				ip link add d2 address 02:00:00:00:00:d2 type dummy
				ip link set d1 up
				ip link set d2 up`,
			cleared: "ip link del d1\nip link del d2",
			policy:  `interfaces: [{name: bond7, type: bond, state: up, link-aggregation: {mode: balance-rr, port: [d1, d2]}}]`,
		},
	}
}
