// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"cmp"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// headerDetail is the kind under which Details keep what stands in the fixed header of a message: scope, flags.
const headerDetail = 0

// details are attributes by kind.
type details map[uint16][]byte

// detailsOf reads attributes one after the other.
func detailsOf[T ~string | ~[]byte](attrs T) details {
	d := details{}
	for kind, value := range each([]byte(attrs)) {
		d[kind] = value
	}
	return d
}

// keep adds the attributes of some kinds.
func (d details) keep(attrs []byte, kinds ...uint16) details {
	for kind, value := range each(attrs) {
		if slices.Contains(kinds, kind) {
			d[kind] = value
		}
	}
	return d
}

// opaque writes the attributes one after the other, in the order of their kinds, so that equal ones are equal texts.
func (d details) opaque() netstate.Opaque {
	kinds := make([]uint16, 0, len(d))
	for kind := range d {
		kinds = append(kinds, kind)
	}
	slices.SortFunc(kinds, cmp.Compare[uint16])
	var a attributes
	for _, kind := range kinds {
		a.add(kind, d[kind])
	}
	return netstate.Opaque(a)
}

// addTo appends the attributes to a request, without the header's.
func (d details) addTo(a *attributes) {
	for kind, value := range each([]byte(d.opaque())) {
		if kind != headerDetail {
			a.add(kind, value)
		}
	}
}

// Numbers that the packages do not name (include/uapi/linux/if_link.h, if_addr.h, rtnetlink.h).
const (
	brVLANStatsPerPort = 45
	brMultiBoolOpt     = 46
	brFDBMaxLearned    = 49
	bondPeerNotif      = 28
	bondLACPActive     = 29
	ifaProto           = 11
	rtaTTLPropagate    = 26
	rtaNextHopID       = 30
)

// linkFlags are those of a link that people switch and no document has a key for.
const linkFlags = unix.IFF_NOARP | unix.IFF_ALLMULTI | unix.IFF_MULTICAST

// linkDetails returns what a link that was deleted is to be made with again, beyond its options: the length of its
// queue, its group, its other names and its flags.
func linkDetails(flags uint32, attrs []byte) details {
	d := details{headerDetail: encodeUint(uint64(flags&linkFlags), 4)}
	return d.keep(attrs, unix.IFLA_TXQLEN, unix.IFLA_GROUP, unix.IFLA_PROP_LIST)
}

// partDetails returns the options of a kind of link that no document has a key for.
func partDetails(kind string, data []byte) details {
	d := details{}
	switch kind {
	case "bridge":
		return d.keep(data, nl.IFLA_BR_MCAST_HASH_ELASTICITY, nl.IFLA_BR_NF_CALL_IPTABLES, nl.IFLA_BR_NF_CALL_IP6TABLES,
			nl.IFLA_BR_NF_CALL_ARPTABLES, nl.IFLA_BR_VLAN_STATS_ENABLED, nl.IFLA_BR_MCAST_STATS_ENABLED,
			nl.IFLA_BR_MCAST_IGMP_VERSION, nl.IFLA_BR_MCAST_MLD_VERSION, brVLANStatsPerPort, brMultiBoolOpt, brFDBMaxLearned)
	case "bond":
		return d.keep(data, bondPeerNotif, bondLACPActive)
	case "vlan":
		return d.keep(data, nl.IFLA_VLAN_EGRESS_QOS, nl.IFLA_VLAN_INGRESS_QOS)
	case "vxlan":
		return d.keep(data, nl.IFLA_VXLAN_TTL, nl.IFLA_VXLAN_TOS, nl.IFLA_VXLAN_AGEING, nl.IFLA_VXLAN_LIMIT,
			nl.IFLA_VXLAN_PORT_RANGE, nl.IFLA_VXLAN_PROXY, nl.IFLA_VXLAN_RSC, nl.IFLA_VXLAN_L2MISS, nl.IFLA_VXLAN_L3MISS,
			nl.IFLA_VXLAN_UDP_CSUM, nl.IFLA_VXLAN_UDP_ZERO_CSUM6_TX, nl.IFLA_VXLAN_UDP_ZERO_CSUM6_RX)
	}
	return d
}

// portDetails returns the options of the port of a bridge that no document has a key for.
func portDetails(data []byte) details {
	return details{}.keep(data, nl.IFLA_BRPORT_GUARD, nl.IFLA_BRPORT_PROTECT, nl.IFLA_BRPORT_FAST_LEAVE,
		nl.IFLA_BRPORT_LEARNING, nl.IFLA_BRPORT_UNICAST_FLOOD, nl.IFLA_BRPORT_PROXYARP, nl.IFLA_BRPORT_PROXYARP_WIFI,
		nl.IFLA_BRPORT_MULTICAST_ROUTER, brportMcastFlood, brportMcastToUnicast, brportVLANTunnel, brportBcastFlood,
		brportGroupFwdMask, brportNeighSuppress, brportIsolated, brportLocked, brportMAB)
}

const (
	brportMcastFlood     = 27
	brportMcastToUnicast = 28
	brportVLANTunnel     = 29
	brportBcastFlood     = 30
	brportGroupFwdMask   = 31
	brportNeighSuppress  = 32
	brportIsolated       = 33
	brportLocked         = 39
	brportMAB            = 40
)

// infoPart is the kind under which the details of a link keep those of its kind of link.
const infoPart = unix.IFLA_LINKINFO

// restoreDetails gives a new link what it had before, so far as the kernel takes it: what a plan counts on is not
// among it. Only what differs is written, each by itself.
func (k *Kernel) restoreDetails(name string, want netstate.Opaque) {
	if want == "" {
		return
	}
	l, err := k.getLink(0, name)
	if err != nil {
		return
	}
	wanted, have := detailsOf(want), detailsOf(l.iface.Details)
	for kind, value := range wanted {
		if kind == infoPart || slices.Equal(value, have[kind]) {
			continue
		}
		about, request := unix.IfInfomsg{Index: int32(l.index)}, unix.RTM_NEWLINK
		var a attributes
		switch kind {
		case headerDetail:
			about.Flags, about.Change = uint32(decodeUint(value)), linkFlags
		case unix.IFLA_PROP_LIST:
			request = unix.RTM_NEWLINKPROP
			a.nest(kind, value)
		default:
			a.add(kind, value)
		}
		_ = k.request(request, 0, message(about), a)
	}
	parts := detailsOf(have[infoPart])
	for kind, value := range each(wanted[infoPart]) {
		if slices.Equal(value, parts[kind]) {
			continue
		}
		var data, a attributes
		data.add(kind, value)
		a.nest(unix.IFLA_LINKINFO, linkInfo(l.kind, data))
		_ = k.request(unix.RTM_NEWLINK, 0, message(unix.IfInfomsg{Index: int32(l.index)}), a)
	}
}

// restorePortDetails does the same for a port of a bridge.
func (k *Kernel) restorePortDetails(index int, want netstate.Opaque) error {
	if want == "" {
		return nil
	}
	l, err := k.getLink(index, "")
	if err != nil {
		return err
	}
	have := detailsOf(l.bridgePort.Details)
	var changed attributes
	for kind, value := range each([]byte(want)) {
		if !slices.Equal(value, have[kind]) {
			changed.add(kind, value)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	var info, attrs attributes
	info.addString(nl.IFLA_INFO_SLAVE_KIND, "bridge")
	info.nest(nl.IFLA_INFO_SLAVE_DATA, changed)
	attrs.nest(unix.IFLA_LINKINFO, info)
	return k.request(unix.RTM_NEWLINK, 0, message(unix.IfInfomsg{Index: int32(index)}), attrs)
}
