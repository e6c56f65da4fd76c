// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink/nl"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// Attributes that the nl package does not name (include/uapi/linux/if_link.h).
const (
	bondMissedMax = 30
	bondPortPrio  = 9
)

// bondMode returns the attribute of a bond's mode.
func bondMode() []option[netstate.Bond] {
	return []option[netstate.Bond]{
		choice(nl.IFLA_BOND_MODE, 1, func(b *netstate.Bond) **string { return &b.Mode },
			"balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"),
	}
}

// bondOptions returns the attributes of a bond (IFLA_BOND_*, drivers/net/bonding/bond_netlink.c) but for the
// mode, the list of ARP targets and the primary port.
func bondOptions() []option[netstate.BondOptions] {
	type o = netstate.BondOptions
	return []option[o]{
		number(nl.IFLA_BOND_MIIMON, 4, 1, func(b *o) **int { return &b.Miimon }),
		number(nl.IFLA_BOND_UPDELAY, 4, 1, func(b *o) **int { return &b.UpDelay }),
		number(nl.IFLA_BOND_DOWNDELAY, 4, 1, func(b *o) **int { return &b.DownDelay }),
		flag(nl.IFLA_BOND_USE_CARRIER, 1, func(b *o) **bool { return &b.UseCarrier }),
		number(nl.IFLA_BOND_ARP_INTERVAL, 4, 1, func(b *o) **int { return &b.ARPInterval }),
		choice(nl.IFLA_BOND_ARP_VALIDATE, 4, func(b *o) **string { return &b.ARPValidate },
			"none", "active", "backup", "all", "filter", "filter_active", "filter_backup"),
		choice(nl.IFLA_BOND_ARP_ALL_TARGETS, 4, func(b *o) **string { return &b.ARPAllTargets }, "any", "all"),
		choice(nl.IFLA_BOND_PRIMARY_RESELECT, 1, func(b *o) **string { return &b.PrimaryReselect }, "always", "better",
			"failure"),
		choice(nl.IFLA_BOND_FAIL_OVER_MAC, 1, func(b *o) **string { return &b.FailOverMAC }, "none", "active", "follow"),
		choice(nl.IFLA_BOND_XMIT_HASH_POLICY, 1, func(b *o) **string { return &b.XmitHashPolicy },
			"layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac"),
		number(nl.IFLA_BOND_RESEND_IGMP, 4, 1, func(b *o) **int { return &b.ResendIGMP }),
		number(nl.IFLA_BOND_NUM_PEER_NOTIF, 1, 1, func(b *o) **int { return &b.NumGratARP }),
		number(nl.IFLA_BOND_NUM_PEER_NOTIF, 1, 1, func(b *o) **int { return &b.NumUnsolNA }),
		choice(nl.IFLA_BOND_ALL_SLAVES_ACTIVE, 1, func(b *o) **string { return &b.AllSlavesActive }, "dropped", "delivered"),
		number(nl.IFLA_BOND_MIN_LINKS, 4, 1, func(b *o) **int { return &b.MinLinks }),
		number(nl.IFLA_BOND_LP_INTERVAL, 4, 1, func(b *o) **int { return &b.LPInterval }),
		number(nl.IFLA_BOND_PACKETS_PER_SLAVE, 4, 1, func(b *o) **int { return &b.PacketsPerSlave }),
		choice(nl.IFLA_BOND_AD_LACP_RATE, 1, func(b *o) **string { return &b.LACPRate }, "slow", "fast"),
		choice(nl.IFLA_BOND_AD_SELECT, 1, func(b *o) **string { return &b.ADSelect }, "stable", "bandwidth", "count"),
		number(nl.IFLA_BOND_AD_ACTOR_SYS_PRIO, 2, 1, func(b *o) **int { return &b.ADActorSysPrio }),
		number(nl.IFLA_BOND_AD_USER_PORT_KEY, 2, 1, func(b *o) **int { return &b.ADUserPortKey }),
		hardware(nl.IFLA_BOND_AD_ACTOR_SYSTEM, func(b *o) **netstate.MAC { return &b.ADActorSystem }),
		flag(nl.IFLA_BOND_TLB_DYNAMIC_LB, 1, func(b *o) **bool { return &b.TLBDynamicLB }),
		number(bondMissedMax, 1, 1, func(b *o) **int { return &b.ARPMissedMax }),
	}
}

// bondPortOptions returns the attributes of a bond's port (IFLA_BOND_SLAVE_*).
func bondPortOptions() []option[netstate.BondPort] {
	type p = netstate.BondPort
	return []option[p]{
		number(nl.IFLA_BOND_SLAVE_QUEUE_ID, 2, 1, func(b *p) **int { return &b.QueueID }),
		{
			attr: bondPortPrio,
			encode: func(b *p) ([]byte, bool) {
				if b.Priority == nil {
					return nil, false
				}
				return encodeUint(uint64(uint32(int32(*b.Priority))), 4), true
			},
			decode: func(b *p, value []byte) { b.Priority = new(int(int32(decodeUint(value)))) },
		},
	}
}

// ownMAC returns the MAC that the port of a bond had before it became one, and gets back when it leaves. It stands for
// the permanent one where a driver knows none, as that of a veth.
func ownMAC(slaveInfo []byte) *netstate.MAC {
	for attr, value := range each(slaveInfo) {
		if attr == nl.IFLA_BOND_SLAVE_PERM_HWADDR {
			return hardwareAddress(value)
		}
	}
	return nil
}

// encodeBond returns the IFLA_INFO_DATA of a bond. index finds the primary port; a name it does not know is
// given to the kernel as none.
func encodeBond(b *netstate.Bond, index func(name string) uint32) attributes {
	var a attributes
	encodeOptions(&a, bondMode(), b)
	if b.Options == nil {
		return a
	}
	encodeOptions(&a, bondOptions(), b.Options)
	if b.Options.ARPIPTarget != nil {
		a.nest(nl.IFLA_BOND_ARP_IP_TARGET, encodeTargets(*b.Options.ARPIPTarget))
	}
	if b.Options.Primary != nil {
		a.addUint32(nl.IFLA_BOND_PRIMARY, index(*b.Options.Primary))
	}
	return a
}

// encodeTargets returns the list of ARP targets.
func encodeTargets(list string) attributes {
	var a attributes
	n := uint16(0)
	for text := range strings.SplitSeq(list, ",") {
		if addr, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil && addr.Is4() {
			a.add(n, addr.AsSlice())
			n++
		}
	}
	return a
}

// decodeBond reads the IFLA_INFO_DATA of a bond, and the indexes of its primary and its active port (0 for none).
func decodeBond(attrs []byte) (bond *netstate.Bond, primary, active int) {
	b := &netstate.Bond{Options: &netstate.BondOptions{ARPIPTarget: new(""), Primary: new("")}, Port: []string{}}
	decodeOptions(bondMode(), attrs, b)
	decodeOptions(bondOptions(), attrs, b.Options)
	for attr, value := range each(attrs) {
		switch attr {
		case nl.IFLA_BOND_PRIMARY:
			primary = int(decodeUint(value))
		case nl.IFLA_BOND_ACTIVE_SLAVE:
			active = int(decodeUint(value))
		case nl.IFLA_BOND_ARP_IP_TARGET:
			b.Options.ARPIPTarget = new(decodeTargets(value))
		}
	}
	return b, primary, active
}

// decodeTargets reads the list of ARP targets.
func decodeTargets(attrs []byte) string {
	var targets []string
	for _, value := range each(attrs) {
		if len(value) == 4 && binary.BigEndian.Uint32(value) != 0 {
			targets = append(targets, netip.AddrFrom4([4]byte(value)).String())
		}
	}
	return strings.Join(targets, ",")
}

// notDefault returns the options of a new bond without those that have the kernel's default, many of
// which the kernel refuses in modes they do not belong to.
func notDefault(options *netstate.BondOptions) *netstate.BondOptions {
	if options == nil {
		return nil
	}
	o := *options
	drop(&o.Miimon, 0)
	drop(&o.UpDelay, 0)
	drop(&o.DownDelay, 0)
	drop(&o.UseCarrier, true)
	drop(&o.ARPInterval, 0)
	drop(&o.ARPIPTarget, "")
	drop(&o.ARPValidate, "none")
	drop(&o.ARPAllTargets, "any")
	drop(&o.ARPMissedMax, 2)
	drop(&o.PrimaryReselect, "always")
	drop(&o.Primary, "")
	drop(&o.FailOverMAC, "none")
	drop(&o.XmitHashPolicy, "layer2")
	drop(&o.ResendIGMP, 1)
	drop(&o.NumGratARP, 1)
	drop(&o.NumUnsolNA, 1)
	drop(&o.AllSlavesActive, "dropped")
	drop(&o.MinLinks, 0)
	drop(&o.LPInterval, 1)
	drop(&o.PacketsPerSlave, 1)
	drop(&o.LACPRate, "slow")
	drop(&o.ADSelect, "stable")
	drop(&o.ADActorSysPrio, 65535)
	drop(&o.ADUserPortKey, 0)
	drop(&o.ADActorSystem, netstate.MAC{})
	drop(&o.TLBDynamicLB, true)
	return &o
}

// drop unsets a key that has a value.
func drop[T comparable](key **T, value T) {
	if *key != nil && **key == value {
		*key = nil
	}
}
