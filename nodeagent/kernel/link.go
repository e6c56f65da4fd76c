// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A link is one link as one RTM_NEWLINK message tells it. Other links are only known by index.
type link struct {
	index, controller, base int
	// elsewhere says that base is an index of another namespace.
	elsewhere   bool
	kind        string
	primary     int // of a bond
	active      int // of a bond
	up          bool
	iface       netstate.Interface
	portKind    string
	bridgePort  netstate.BridgePort
	static      []netstate.StaticMAC
	bondPort    netstate.BondPort
	addrGenMode uint8
	acceptRA    int // also where IPv6 is off
}

// parseLink reads one RTM_NEWLINK message.
func parseLink(msg []byte) link {
	info, attrs := header[unix.IfInfomsg](msg)
	l := link{index: int(info.Index), up: info.Flags&unix.IFF_UP != 0}
	l.iface = netstate.Interface{
		State: netstate.StateDown, Description: new(""),
		AcceptAllMAC: new(info.Flags&unix.IFF_PROMISC != 0),
		LLDP:         &netstate.LLDP{Enabled: new(false)}, WaitIP: new("any"),
		IPv4: &netstate.IP{Enabled: new(false), DHCP: new(false)},
		IPv6: &netstate.IP{Enabled: new(false), DHCP: new(false), Autoconf: new(false)},
	}
	if l.up {
		l.iface.State = netstate.StateUp
	}
	var linkInfo, slaveInfo []byte
	for attr, value := range each(attrs) {
		switch attr {
		case unix.IFLA_LINKINFO:
			linkInfo = value
		case unix.IFLA_AF_SPEC:
			l.parseFamilies(value)
		default:
			l.parseCommon(attr, value)
		}
	}
	slaveInfo = l.parseKind(info.Type, linkInfo)
	l.keepDetails(info.Flags, attrs, linkInfo)
	if l.portKind == "bridge" {
		l.bridgePort.Details = portDetails(slaveInfo).opaque()
	}
	decodeOptions(bridgePortOptionsIf(l.portKind == "bridge"), slaveInfo, &l.bridgePort)
	decodeOptions(bondPortOptionsIf(l.portKind == "bond"), slaveInfo, &l.bondPort)
	if l.portKind == "bond" && l.iface.PermanentMAC == nil {
		l.iface.PermanentMAC = ownMAC(slaveInfo)
	}
	l.bridgePort.Name, l.bondPort.Name = l.iface.Name, l.iface.Name
	return l
}

// keepDetails keeps what a link that can be made has to be given to be made again as it is.
func (l *link) keepDetails(flags uint32, attrs, linkInfo []byte) {
	if l.kind == "" || l.iface.State == netstate.StateIgnore {
		return
	}
	d := linkDetails(flags, attrs)
	for attr, data := range each(linkInfo) {
		if attr == nl.IFLA_INFO_DATA {
			d[infoPart] = []byte(partDetails(l.kind, data).opaque())
		}
	}
	l.iface.Details = d.opaque()
}

// parseCommon reads what every link has.
func (l *link) parseCommon(attr uint16, value []byte) {
	i := &l.iface
	switch attr {
	case unix.IFLA_IFNAME:
		i.Name = text(value)
	case unix.IFLA_IFALIAS:
		i.Description = new(text(value))
	case unix.IFLA_ADDRESS:
		i.MAC = hardwareAddress(value)
	case unix.IFLA_PERM_ADDRESS:
		i.PermanentMAC = hardwareAddress(value)
	case unix.IFLA_MTU:
		i.MTU = new(int(decodeUint(value)))
	case unix.IFLA_MIN_MTU:
		i.MinMTU = new(int(decodeUint(value)))
	case unix.IFLA_MAX_MTU:
		if limit := int(decodeUint(value)); limit != 0 { // 0 is no limit
			i.MaxMTU = &limit
		}
	case unix.IFLA_MASTER:
		l.controller = int(decodeUint(value))
	case unix.IFLA_LINK:
		l.base = int(decodeUint(value))
	case unix.IFLA_LINK_NETNSID:
		l.elsewhere = true
	}
}

// parseKind finds the type and reads its part. It returns the options the link has as a port.
func (l *link) parseKind(hardwareType uint16, linkInfo []byte) (port []byte) {
	var data []byte
	for attr, value := range each(linkInfo) {
		switch attr {
		case nl.IFLA_INFO_KIND:
			l.kind = text(value)
		case nl.IFLA_INFO_DATA:
			data = value
		case nl.IFLA_INFO_SLAVE_KIND:
			l.portKind = text(value)
		case nl.IFLA_INFO_SLAVE_DATA:
			port = value
		}
	}
	i := &l.iface
	switch i.Type = linkType(l.kind, hardwareType); i.Type {
	case netstate.TypeBridge:
		i.Bridge = decodeBridge(data)
	case netstate.TypeBond:
		i.Bond, l.primary, l.active = decodeBond(data)
	case netstate.TypeVLAN:
		i.VLAN = decodeVLAN(data)
	case netstate.TypeVXLAN:
		i.VXLAN, l.base = decodeVXLAN(data)
	case netstate.TypeVRF:
		i.VRF = &netstate.VRF{Port: []string{}}
		decodeOptions(vrfOptions(), data, i.VRF)
	case netstate.TypeMACVLAN:
		i.MACVLAN = decodeMACVLAN(data)
	case netstate.TypeTun, netstate.TypeMACVTAP, netstate.TypeUnknown:
		i.State = netstate.StateIgnore
	case netstate.TypeVeth:
		if l.elsewhere || l.base == 0 {
			i.Ignored, i.State = i.State, netstate.StateIgnore
		}
	}
	return port
}

// linkType returns a kernel's kind in the words of documents.
func linkType(kind string, hardwareType uint16) netstate.LinkType {
	switch kind {
	case "bridge":
		return netstate.TypeBridge
	case "macvlan":
		return netstate.TypeMACVLAN
	case "macvtap":
		return netstate.TypeMACVTAP
	case "vlan", "bond", "dummy", "veth", "vxlan", "vrf", "tun":
		return netstate.LinkType(kind)
	case "":
		return physicalType(hardwareType)
	}
	return netstate.TypeUnknown
}

// physicalType returns the type of a link that no driver of virtual links made.
func physicalType(hardwareType uint16) netstate.LinkType {
	switch hardwareType {
	case unix.ARPHRD_ETHER:
		return netstate.TypeEthernet
	case unix.ARPHRD_LOOPBACK:
		return netstate.TypeLoopback
	}
	return netstate.TypeUnknown
}

// linkKind returns a type of documents in the kernel's words.
func linkKind(t netstate.LinkType) string {
	switch t {
	case netstate.TypeBridge:
		return "bridge"
	case netstate.TypeMACVLAN:
		return "macvlan"
	}
	return string(t)
}

// name fills in what a message tells by index of other links: controller, base, peer, primary port.
func (l *link) name(of func(index int) string) {
	i := &l.iface
	if l.controller != 0 {
		i.Controller = new(of(l.controller))
	}
	base := ""
	if l.base != 0 && !l.elsewhere {
		base = of(l.base)
	}
	switch {
	case i.VLAN != nil:
		i.VLAN.BaseIface = &base
	case i.VXLAN != nil:
		i.VXLAN.BaseIface = &base
	case i.MACVLAN != nil:
		i.MACVLAN.BaseIface = &base
	case i.Type == netstate.TypeVeth && i.State != netstate.StateIgnore:
		i.Veth = &netstate.Veth{Peer: base}
	case i.Type == netstate.TypeMACVTAP || i.Type == netstate.TypeUnknown:
		i.Below = base
	case i.Bond != nil && l.primary != 0:
		i.Bond.Options.Primary = new(of(l.primary))
	}
	if i.Bond != nil && l.active != 0 {
		i.Bond.Active = of(l.active)
	}
}

// bridgePortOptionsIf returns the table, or none.
func bridgePortOptionsIf(is bool) []option[netstate.BridgePort] {
	if !is {
		return nil
	}
	return bridgePortOptions()
}

// bondPortOptionsIf returns the table, or none.
func bondPortOptionsIf(is bool) []option[netstate.BondPort] {
	if !is {
		return nil
	}
	return bondPortOptions()
}

// text returns a string that ends with a zero byte.
func text(b []byte) string { return unix.ByteSliceToString(b) }
