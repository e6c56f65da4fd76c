// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

// linkExamples are nodes with links that go, or are made again.
func linkExamples() map[string]example {
	return map[string]example{
		"a bridge whose ports are kept apart": {
			made: `
				ip link set eth1 up
				ip link set eth2 up
				ip link add br7 txqueuelen 77 type bridge vlan_filtering 1 mcast_igmp_version 3 nf_call_iptables 1
				ip link set eth1 master br7
				ip link set eth2 master br7
				ip link set br7 up
				ip link set eth1 type bridge_slave isolated on guard on learning off flood off
				ip link set eth2 type bridge_slave mcast_flood off neigh_suppress on
				bridge vlan add dev br7 vid 10 self
				bridge vlan add dev eth1 vid 20 untagged
				bridge vlan add dev eth2 vid 30 pvid
				bridge fdb add 02:00:00:00:00:77 dev eth1 master static vlan 20
				ip addr add 192.0.2.9/24 dev br7`,
			cleared: `ip link del br7`,
			policy:  `interfaces: [{name: br7, state: absent}]`,
		},
		"ports of a bridge that does not filter": {
			made: `
				ip link set eth1 up
				ip link add br7 type bridge
				ip link set eth1 master br7
				ip link set br7 up
				bridge vlan add dev eth1 vid 20
				bridge fdb add 02:00:00:00:00:78 dev eth1 master static`,
			cleared: `ip link del br7`,
			policy:  `interfaces: [{name: br7, type: linux-bridge, state: up, bridge: {port: [{name: eth2}]}}]`,
		},
		"links with flags and other names that go": {
			made: `
				ip link set eth1 up
				ip link add d7 address 02:00:00:00:00:d7 mtu 1400 type dummy
				ip link property add dev d7 altname a-name-too-long-for-a-link altname second7
				ip link set d7 arp off allmulticast on up
				ip addr add 192.0.2.9/24 dev d7
				ip link add mac7 link eth1 address 02:00:00:00:00:77 type macvlan mode private
				ip link set mac7 multicast off addrgenmode none up
				ip addr add fe80::7/64 dev mac7
				ip link add vx7 type vxlan id 7 local 192.0.2.9 remote 192.0.2.8 dstport 4790 ttl 9 nolearning
				ip link set vx7 addrgenmode none up`,
			cleared: "ip link del d7\nip link del mac7\nip link del vx7",
			policy:  `interfaces: [{name: d7, state: absent}, {name: mac7, state: absent}, {name: vx7, state: absent}]`,
		},
		"a pair of veths of which one is a port and one has addresses": {
			made: `
				ip link add v7 address 02:00:00:00:00:71 type veth peer name v8 address 02:00:00:00:00:81
				ip link add br7 type bridge
				ip link set br7 up
				ip link set v7 master br7
				ip link set v7 up
				ip link set v8 mtu 1400 up
				bridge link set dev v7 hairpin on learning off cost 55
				ip addr add 192.0.2.9/24 dev v8
				ip addr add 2001:db8:5::9/64 dev v8
				ip route add 10.1.0.0/16 via 192.0.2.1 dev v8 src 192.0.2.9`,
			cleared: "ip link del v7\nip link del br7",
			policy:  `interfaces: [{name: v7, state: absent}, {name: v8, state: absent}]`,
		},
		"a VLAN with maps of priorities, of another id": {
			made: `
				ip link set eth1 up
				ip link add eth1.5 link eth1 txqueuelen 99 type vlan id 5 egress-qos-map 1:2 ingress-qos-map 3:4
				ip link set eth1.5 up
				ip addr add 192.0.2.9/24 dev eth1.5 label eth1.5:a`,
			cleared: `ip link del eth1.5`,
			policy:  `interfaces: [{name: eth1.5, type: vlan, state: up, vlan: {base-iface: eth1, id: 6}}]`,
		},
		"VLANs with tokens, one that goes, one that is made again, and one whose IPv6 goes": {
			made: `
				ip link set eth1 up
				ip link add eth1.5 link eth1 type vlan id 5
				ip link add eth1.6 link eth1 type vlan id 6
				ip link add eth1.7 link eth1 type vlan id 7
				ip link set eth1.5 up
				ip link set eth1.7 up
				ip token set ::5 dev eth1.5
				ip token set ::6 dev eth1.6
				ip token set ::7 dev eth1.7
				write 0 ` + conf + `eth1.6/accept_ra`,
			cleared: "ip link del eth1.5\nip link del eth1.6\nip link del eth1.7",
			policy: `
interfaces:
- {name: eth1.5, state: absent}
- {name: eth1.6, type: vlan, state: up, vlan: {base-iface: eth1, id: 60}}
- {name: eth1.7, type: vlan, state: up, ipv6: {enabled: false}}`,
		},
		"a stack of links that all go": {
			made: bonded("type bond mode 802.3ad miimon 100 xmit_hash_policy layer3+4", "eth1", "eth2") + `
				ip link set bond7 up
				ip link add bond7.5 link bond7 type vlan id 5
				ip link set bond7.5 up
				ip link add br7 type bridge vlan_filtering 1 vlan_default_pvid 0
				ip link set bond7.5 master br7
				ip link set br7 up
				bridge vlan add dev bond7.5 vid 10-20
				bridge vlan add dev bond7.5 vid 30 pvid untagged
				bridge vlan add dev br7 vid 9 self
				ip link add br7.9 link br7 type vlan id 9
				ip link add vrf7 type vrf table 77
				ip link set vrf7 up
				ip link set br7.9 master vrf7
				ip link set br7.9 up
				ip addr add 192.0.2.9/24 dev br7.9
				ip addr add 2001:db8:5::9/64 dev br7.9
				ip route add 10.1.0.0/16 via 192.0.2.1 dev br7.9 vrf vrf7
				ip route add unreachable default metric 4278198272 table 77
				ip -6 route add 2001:db8:1::/48 via 2001:db8:5::2 dev br7.9 vrf vrf7`,
			cleared: "ip link del vrf7\nip link del br7\nip link del bond7\nip route flush table 77",
			policy: `
interfaces: [{name: vrf7, state: absent}, {name: br7.9, state: absent}, {name: br7, state: absent},
  {name: bond7.5, state: absent}, {name: bond7, state: absent}]`,
		},
		"a VRF that gets another table while routes stand in the one it has": {
			made: `
				ip link add vrf7 type vrf table 77
				ip link set vrf7 up
				ip link set eth1 up
				ip link set eth1 master vrf7
				ip addr add 192.0.2.5/24 dev eth1
				ip addr add 2001:db8:5::1/64 dev eth1 nodad
				ip route add 10.1.0.0/16 via 192.0.2.1 dev eth1 vrf vrf7 mtu 1400
				ip route add unreachable default metric 4278198272 table 77
				ip route add 10.2.0.0/16 via 192.0.2.1 dev eth1 table 9
				ip -6 route add 2001:db8:1::/48 via 2001:db8:5::2 dev eth1 vrf vrf7
				ip rule add from 192.0.2.0/24 table 77 priority 77`,
			cleared: "ip rule del priority 77\nip link del vrf7\nip addr flush dev eth1\nip route flush table 77",
			policy:  `interfaces: [{name: vrf7, type: vrf, state: up, vrf: {route-table-id: 78}}]`,
		},
		"a NIC that a VRF takes with VLANs on it": {
			made: `
				ip link set eth1 up
				ip link add eth1.5 link eth1 type vlan id 5
				ip link set eth1.5 up
				ip link add eth1.6 link eth1 type vlan id 6
				ip addr add 192.0.2.9/24 dev eth1.5
				ip addr add 2001:db8:5::9/64 dev eth1.5
				ip route add 10.1.0.0/16 via 192.0.2.1 dev eth1.5
				ip -6 route add 2001:db8:1::/48 via 2001:db8:5::2 dev eth1.5`,
			cleared: "ip link del eth1.5\nip link del eth1.6",
			policy:  `interfaces: [{name: vrf7, type: vrf, state: up, vrf: {route-table-id: 77, port: [eth1]}}]`,
		},
	}
}
