// SPDX-License-Identifier: Apache-2.0

package netstate

import "reflect"

// refusedTypes says, for each type nmstate knows and we do not, what to use instead.
func refusedTypes() map[string]string {
	const show = "it can only be left alone, with state: ignore"
	return map[string]string{
		"ovs-bridge":    "there is no Open vSwitch here: use type linux-bridge, with vlan filtering on its ports",
		"ovs-interface": "there is no Open vSwitch here: put the address on a linux-bridge, or on a vlan on top of it",
		"macsec":        "MACsec is not configured here: set it up outside and leave it alone with state: ignore",
		"ipsec":         "IPsec is not configured here: run a key exchange daemon of your own",
		"infiniband":    "IP over InfiniBand is not configured here: a bridge cannot have it as a port; use an ethernet NIC",
		"hsr":           "HSR and PRP are not configured here: for redundancy use type bond",
		"ipvlan":        "use type mac-vlan, or the ipvlan CNI plugin",
		"mac-vtap":      "use type mac-vlan, or let KubeVirt make the macvtap; " + show,
		"tun":           "tun and tap devices belong to the program that opened them; " + show,
		"xfrm":          "IPsec is not configured here; " + show,
		"unknown":       "its kind is not known here; " + show,
		"other":         "its kind is not known here; " + show,
		"team":          "use type bond",
	}
}

// otherKeys lists the keys of documents that have no field in the Go type t: with "" those that are
// accepted and dropped, else why they are refused and what to do instead.
func otherKeys(t reflect.Type) map[string]string {
	switch t {
	case reflect.TypeFor[State]():
		return map[string]string{
			"hostname": "the host name is not managed here: use the node's own configuration",
			"ovs-db":   "there is no Open vSwitch here: remove the key",
			"ovn":      "there are no OVN bridge mappings here: use a linux-bridge and the bridge CNI plugin",
		}
	case reflect.TypeFor[Interface]():
		return interfaceKeys()
	case reflect.TypeFor[BridgeOptions]():
		return map[string]string{"gc-timer": "", "hello-timer": ""}
	case reflect.TypeFor[SRIOV]():
		const operator = ": use the SR-IOV network operator"
		return map[string]string{"vfs": "virtual functions are not configured one by one here" + operator,
			"drivers-autoprobe": "drivers of virtual functions are not chosen here" + operator}
	case reflect.TypeFor[Ethtool]():
		return map[string]string{"pause": "flow control is not managed here: use a udev .link file",
			"fec": "forward error correction is not managed here: use the NIC's driver"}
	case reflect.TypeFor[Address]():
		return map[string]string{"valid-life-time": "", "preferred-life-time": "",
			"mptcp-flags": "MPTCP is not configured here: remove the key"}
	case reflect.TypeFor[Route]():
		return map[string]string{"vrf-name": "say table-id, with the vrf's route-table-id"}
	case reflect.TypeFor[Bond]():
		const port = "ports of a bond are listed under port"
		return map[string]string{"slaves": port, "slave": port}
	case reflect.TypeFor[Bridge]():
		const port = "ports of a bridge are listed under port"
		return map[string]string{"slaves": port, "slave": port}
	case reflect.TypeFor[BondOptions]():
		return map[string]string{"balance-slb": "use mode balance-xor with xmit_hash_policy: vlan+srcmac"}
	}
	return nil
}

func interfaceKeys() map[string]string {
	const ovs = "there is no Open vSwitch here: use type linux-bridge"
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
		"802.1x":      "802.1X is not run here: authenticate the port outside",
		"mptcp":       "MPTCP is not configured here: remove the key",
		"dispatch":    "scripts are not run here: remove the key",
		"alt-names":   "alternative names are not managed here: use a udev .link file",
		"pci-address": "name the interface, or find it by identifier: mac-address",
		"master":      "the bridge, bond or vrf that the interface is a port of is its controller",
	}
}
