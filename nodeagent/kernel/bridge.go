// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"github.com/vishvananda/netlink/nl"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// centiseconds is the scale of times that documents give in seconds and the kernel in USER_HZ.
const centiseconds = 100

// bridgeOptions returns the attributes of a bridge (IFLA_BR_*, net/bridge/br_netlink.c). The STP part must
// not be nil.
func bridgeOptions() []option[netstate.BridgeOptions] {
	type o = netstate.BridgeOptions
	return []option[o]{
		number(nl.IFLA_BR_FORWARD_DELAY, 4, centiseconds, func(b *o) **int { return &b.STP.ForwardDelay }),
		number(nl.IFLA_BR_HELLO_TIME, 4, centiseconds, func(b *o) **int { return &b.STP.HelloTime }),
		number(nl.IFLA_BR_MAX_AGE, 4, centiseconds, func(b *o) **int { return &b.STP.MaxAge }),
		number(nl.IFLA_BR_AGEING_TIME, 4, centiseconds, func(b *o) **int { return &b.MACAgeingTime }),
		flag(nl.IFLA_BR_STP_STATE, 4, func(b *o) **bool { return &b.STP.Enabled }),
		number(nl.IFLA_BR_PRIORITY, 2, 1, func(b *o) **int { return &b.STP.Priority }),
		tagProtocol(nl.IFLA_BR_VLAN_PROTOCOL, func(b *o) **string { return &b.VLANProtocol }),
		number(nl.IFLA_BR_GROUP_FWD_MASK, 2, 1, func(b *o) **int { return &b.GroupForwardMask }),
		hardware(nl.IFLA_BR_GROUP_ADDR, func(b *o) **netstate.MAC { return &b.GroupAddr }),
		choice(nl.IFLA_BR_MCAST_ROUTER, 1, func(b *o) **string { return &b.MulticastRouter }, "disabled", "auto", "enabled"),
		flag(nl.IFLA_BR_MCAST_SNOOPING, 1, func(b *o) **bool { return &b.MulticastSnooping }),
		flag(nl.IFLA_BR_MCAST_QUERY_USE_IFADDR, 1, func(b *o) **bool { return &b.MulticastQueryUseIfaddr }),
		flag(nl.IFLA_BR_MCAST_QUERIER, 1, func(b *o) **bool { return &b.MulticastQuerier }),
		number(nl.IFLA_BR_MCAST_HASH_MAX, 4, 1, func(b *o) **int { return &b.HashMax }),
		number(nl.IFLA_BR_MCAST_LAST_MEMBER_CNT, 4, 1, func(b *o) **int { return &b.MulticastLastMemberCount }),
		number(nl.IFLA_BR_MCAST_STARTUP_QUERY_CNT, 4, 1, func(b *o) **int { return &b.MulticastStartupQueryCount }),
		number(nl.IFLA_BR_MCAST_LAST_MEMBER_INTVL, 8, 1, func(b *o) **int { return &b.MulticastLastMemberInterval }),
		number(nl.IFLA_BR_MCAST_MEMBERSHIP_INTVL, 8, 1, func(b *o) **int { return &b.MulticastMembershipInterval }),
		number(nl.IFLA_BR_MCAST_QUERIER_INTVL, 8, 1, func(b *o) **int { return &b.MulticastQuerierInterval }),
		number(nl.IFLA_BR_MCAST_QUERY_INTVL, 8, 1, func(b *o) **int { return &b.MulticastQueryInterval }),
		number(nl.IFLA_BR_MCAST_QUERY_RESPONSE_INTVL, 8, 1, func(b *o) **int { return &b.MulticastQueryResponseInterval }),
		number(nl.IFLA_BR_MCAST_STARTUP_QUERY_INTVL, 8, 1, func(b *o) **int { return &b.MulticastStartupQueryInterval }),
		number(nl.IFLA_BR_VLAN_DEFAULT_PVID, 2, 1, func(b *o) **int { return &b.VLANDefaultPVID }),
	}
}

// bridgeFiltering returns the attribute of the filtering switch, which is not among a document's options.
func bridgeFiltering() []option[netstate.Bridge] {
	return []option[netstate.Bridge]{
		flag(nl.IFLA_BR_VLAN_FILTERING, 1, func(b *netstate.Bridge) **bool { return &b.VLANFiltering }),
	}
}

// bridgePortOptions returns the attributes of a bridge port (IFLA_BRPORT_*).
func bridgePortOptions() []option[netstate.BridgePort] {
	type p = netstate.BridgePort
	return []option[p]{
		number(nl.IFLA_BRPORT_PRIORITY, 2, 1, func(b *p) **int { return &b.STPPriority }),
		number(nl.IFLA_BRPORT_COST, 4, 1, func(b *p) **int { return &b.STPPathCost }),
		flag(nl.IFLA_BRPORT_MODE, 1, func(b *p) **bool { return &b.STPHairpinMode }),
	}
}

// encodeBridge returns the IFLA_INFO_DATA of a bridge. Filtering comes last: with it off, the kernel takes
// more of the rest.
func encodeBridge(b *netstate.Bridge) attributes {
	var a attributes
	if b.Options != nil {
		options := *b.Options
		if options.STP == nil {
			options.STP = &netstate.STP{}
		}
		encodeOptions(&a, bridgeOptions(), &options)
	}
	encodeOptions(&a, bridgeFiltering(), b)
	return a
}

// decodeBridge reads the IFLA_INFO_DATA of a bridge.
func decodeBridge(attrs []byte) *netstate.Bridge {
	b := &netstate.Bridge{Options: &netstate.BridgeOptions{STP: &netstate.STP{}}, Port: []netstate.BridgePort{}}
	decodeOptions(bridgeOptions(), attrs, b.Options)
	decodeOptions(bridgeFiltering(), attrs, b)
	return b
}
