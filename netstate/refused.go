// SPDX-License-Identifier: Apache-2.0

package netstate

import "reflect"

// refusedTypes says, for each type nmstate knows and we do not, what to use instead.
func refusedTypes() map[string]string {
	const show = "it can only be left alone, with state: ignore"
	return map[string]string{
		"ovs-bridge":    "Open vSwitch is not supported: use type linux-bridge, with vlan filtering on its ports",
		"ovs-interface": "Open vSwitch is not supported: put the address on a linux-bridge, or on a vlan on top of it",
		"macsec":        "MACsec is not supported: set it up outside and leave it alone with state: ignore",
		"ipsec":         "IPsec is not supported: run a key exchange daemon of your own",
		"infiniband":    "IP over InfiniBand is not supported: a bridge cannot have it as a port; use an ethernet NIC",
		"hsr":           "HSR and PRP are not supported: for redundancy use type bond",
		"ipvlan":        "use type mac-vlan, or the ipvlan CNI plugin",
		"mac-vtap":      "use type mac-vlan, or let KubeVirt make the macvtap; " + show,
		"tun":           "tun and tap devices belong to the program that opened them; " + show,
		"xfrm":          "IPsec is not supported; " + show,
		"unknown":       "this kind of interface is not supported; " + show,
		"other":         "this kind of interface is not supported; " + show,
		"team":          "use type bond",
	}
}

// otherKeys lists the keys of documents that have no field in the Go type t: with "" those that are
// accepted and dropped, else why they are refused and what to do instead.
func otherKeys(t reflect.Type) map[string]string {
	switch t {
	case reflect.TypeFor[State]():
		return map[string]string{
			"hostname": "host names are not supported: use the node's own configuration",
			"ovs-db":   "Open vSwitch is not supported: remove the key",
			"ovn":      "OVN bridge mappings are not supported: use a linux-bridge and the bridge CNI plugin",
		}
	case reflect.TypeFor[Interface]():
		return interfaceKeys()
	case reflect.TypeFor[BridgeOptions]():
		return map[string]string{"gc-timer": "", "hello-timer": ""}
	case reflect.TypeFor[SRIOV]():
		const operator = ": use the SR-IOV network operator"
		return map[string]string{"vfs": "configuring single virtual functions is not supported" + operator,
			"drivers-autoprobe": "choosing drivers of virtual functions is not supported" + operator}
	case reflect.TypeFor[Ethtool]():
		return map[string]string{"pause": "flow control is not supported: use a udev .link file",
			"fec": "forward error correction is not supported: use the NIC's driver"}
	case reflect.TypeFor[Address]():
		return map[string]string{"valid-life-time": "", "preferred-life-time": "",
			"mptcp-flags": "MPTCP is not supported: remove the key",
			"netmask":     "write the length of the network under prefix-length: 24 for 255.255.255.0"}
	case reflect.TypeFor[IP]():
		return ipKeys()
	case reflect.TypeFor[Route]():
		return map[string]string{"vrf-name": "use table-id, with the vrf's route-table-id"}
	case reflect.TypeFor[Bond]():
		const port = "ports of a bond are listed under port"
		return map[string]string{"slaves": port, "slave": port}
	case reflect.TypeFor[Bridge]():
		const port = "ports of a bridge are listed under port"
		return map[string]string{"slaves": port, "slave": port}
	case reflect.TypeFor[VRF]():
		const port = "ports of a vrf are listed under port"
		return map[string]string{"slaves": port, "slave": port}
	case reflect.TypeFor[BondOptions]():
		return map[string]string{"balance-slb": "use mode balance-xor with xmit_hash_policy: vlan+srcmac"}
	}
	return nil
}

// ipKeys are what other configurations have beside the address, and documents have elsewhere.
func ipKeys() map[string]string {
	const (
		route = "a gateway is a route: write one to 0.0.0.0/0 or ::/0 under routes.config, with next-hop-address"
		dns   = "name servers are those of the node: write them under dns-resolver.config.server"
	)
	return map[string]string{
		"gateway": route, "gateway4": route, "gateway6": route, "next-hop-address": route,
		"routes": "routes are written under routes.config, beside interfaces",
		"dns":    dns, "nameserver": dns, "nameservers": dns, "server": dns,
		"dhcp4": "write dhcp: true under ipv4", "dhcp6": "write dhcp: true under ipv6",
	}
}

func interfaceKeys() map[string]string {
	const (
		ovs   = "Open vSwitch is not supported: use type linux-bridge"
		ports = "ports are listed under bridge.port, link-aggregation.port or vrf.port"
		dot1X = "802.1X is not supported: authenticate the port by other means"
	)
	return map[string]string{
		"driver":      "",
		"ovs-bridge":  ovs,
		"ovs-db":      ovs,
		"bond":        "the options of a bond go under link-aggregation",
		"macvlan":     "did you mean mac-vlan?",
		"mac-vtap":    refusedTypes()["mac-vtap"],
		"macsec":      refusedTypes()["macsec"],
		"libreswan":   refusedTypes()["ipsec"],
		"infiniband":  refusedTypes()["infiniband"],
		"hsr":         refusedTypes()["hsr"],
		"ipvlan":      refusedTypes()["ipvlan"],
		"tun":         refusedTypes()["tun"],
		"xfrm":        refusedTypes()["xfrm"],
		"802.1x":      dot1X,
		"ieee-802-1x": dot1X,
		"team":        refusedTypes()["team"],
		"mptcp":       "MPTCP is not supported: remove the key",
		"dispatch":    "dispatch scripts are not supported: remove the key",
		"alt-names":   "alternative names are not supported: use a udev .link file",
		"pci-address": "name the interface, or find it by identifier: mac-address",
		"slaves":      ports,
		"slave":       ports,
		"ports":       ports,
		"port":        ports,
		"master":      "the bridge, bond or vrf that the interface is a port of is its controller",
	}
}
