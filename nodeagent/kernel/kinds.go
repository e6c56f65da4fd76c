// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding/binary"
	"net/netip"

	"github.com/vishvananda/netlink/nl"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// The flags of a VLAN (include/uapi/linux/if_vlan.h).
const (
	vlanReorder = 1
	vlanGVRP    = 2
	vlanLoose   = 4
	vlanMVRP    = 8
)

func vlanOptions() []option[netstate.VLAN] {
	type v = netstate.VLAN
	return []option[v]{
		number(nl.IFLA_VLAN_ID, 2, 1, func(p *v) **int { return &p.ID }),
		tagProtocol(nl.IFLA_VLAN_PROTOCOL, func(p *v) **string { return &p.Protocol }),
	}
}

// encodeVLAN returns the IFLA_INFO_DATA of a VLAN: the flags that are set, and nothing about the others.
func encodeVLAN(v *netstate.VLAN) attributes {
	var a attributes
	encodeOptions(&a, vlanOptions(), v)
	flags, mask := uint32(0), uint32(0)
	set := func(key *bool, bit uint32) {
		if key == nil {
			return
		}
		mask |= bit
		if *key {
			flags |= bit
		}
	}
	set(v.ReorderHeaders, vlanReorder)
	set(v.LooseBinding, vlanLoose)
	if v.RegistrationProtocol != nil {
		set(new(*v.RegistrationProtocol == "gvrp"), vlanGVRP)
		set(new(*v.RegistrationProtocol == "mvrp"), vlanMVRP)
	}
	if mask != 0 {
		a.add(nl.IFLA_VLAN_FLAGS, append(encodeUint(uint64(flags), 4), encodeUint(uint64(mask), 4)...))
	}
	return a
}

// decodeVLAN reads the IFLA_INFO_DATA of a VLAN.
func decodeVLAN(attrs []byte) *netstate.VLAN {
	// The kernel says nothing of flags where none is set (vlan_fill_info).
	v := &netstate.VLAN{ReorderHeaders: new(false), LooseBinding: new(false), RegistrationProtocol: new("none")}
	decodeOptions(vlanOptions(), attrs, v)
	for attr, value := range each(attrs) {
		if attr != nl.IFLA_VLAN_FLAGS || len(value) < 4 {
			continue
		}
		flags := decodeUint(value[:4])
		v.ReorderHeaders, v.LooseBinding = new(flags&vlanReorder != 0), new(flags&vlanLoose != 0)
		protocol := "none"
		switch {
		case flags&vlanGVRP != 0:
			protocol = "gvrp"
		case flags&vlanMVRP != 0:
			protocol = "mvrp"
		}
		v.RegistrationProtocol = &protocol
	}
	return v
}

func vxlanOptions() []option[netstate.VXLAN] {
	type v = netstate.VXLAN
	return []option[v]{
		number(nl.IFLA_VXLAN_ID, 4, 1, func(p *v) **int { return &p.ID }),
		flag(nl.IFLA_VXLAN_LEARNING, 1, func(p *v) **bool { return &p.Learning }),
		{
			attr: nl.IFLA_VXLAN_PORT,
			encode: func(p *v) ([]byte, bool) {
				if p.DestinationPort == nil {
					return nil, false
				}
				return binary.BigEndian.AppendUint16(nil, uint16(*p.DestinationPort)), true
			},
			decode: func(p *v, value []byte) {
				if len(value) == 2 {
					p.DestinationPort = new(int(binary.BigEndian.Uint16(value)))
				}
			},
		},
	}
}

// encodeVXLAN returns the IFLA_INFO_DATA of a tunnel over the link of index base (0 for none).
func encodeVXLAN(v *netstate.VXLAN, base uint32) attributes {
	var a attributes
	encodeOptions(&a, vxlanOptions(), v)
	if base != 0 {
		a.addUint32(nl.IFLA_VXLAN_LINK, base)
	}
	ends := []struct {
		addr     netip.Addr
		v4, v6   uint16
		required bool
	}{
		{addr: v.Remote, v4: nl.IFLA_VXLAN_GROUP, v6: nl.IFLA_VXLAN_GROUP6},
		{addr: v.Local, v4: nl.IFLA_VXLAN_LOCAL, v6: nl.IFLA_VXLAN_LOCAL6},
	}
	for _, end := range ends {
		switch {
		case end.addr.Is4():
			a.add(end.v4, end.addr.AsSlice())
		case end.addr.Is6():
			a.add(end.v6, end.addr.AsSlice())
		}
	}
	return a
}

// decodeVXLAN reads the IFLA_INFO_DATA of a tunnel and the index of its base.
func decodeVXLAN(attrs []byte) (v *netstate.VXLAN, base int) {
	v = &netstate.VXLAN{}
	decodeOptions(vxlanOptions(), attrs, v)
	for attr, value := range each(attrs) {
		addr, _ := netip.AddrFromSlice(value)
		switch attr {
		case nl.IFLA_VXLAN_LINK:
			base = int(decodeUint(value))
		case nl.IFLA_VXLAN_GROUP, nl.IFLA_VXLAN_GROUP6:
			v.Remote = specified(addr)
		case nl.IFLA_VXLAN_LOCAL, nl.IFLA_VXLAN_LOCAL6:
			v.Local = specified(addr)
		}
	}
	return v, base
}

// specified returns the zero Addr for 0.0.0.0 and ::.
func specified(addr netip.Addr) netip.Addr {
	if addr.IsUnspecified() {
		return netip.Addr{}
	}
	return addr
}

func vrfOptions() []option[netstate.VRF] {
	return []option[netstate.VRF]{
		number(nl.IFLA_VRF_TABLE, 4, 1, func(v *netstate.VRF) **int { return &v.RouteTableID }),
	}
}

// macvlanNoPromisc is a flag of a macvlan (include/uapi/linux/if_link.h).
const macvlanNoPromisc = 1

// macvlanModes returns the words for the bits of IFLA_MACVLAN_MODE.
func macvlanModes() []string { return []string{"private", "vepa", "bridge", "passthru", "source"} }

// encodeMACVLAN returns the IFLA_INFO_DATA of a mac-vlan.
func encodeMACVLAN(m *netstate.MACVLAN) attributes {
	var a attributes
	for bit, mode := range macvlanModes() {
		if m.Mode != nil && *m.Mode == mode {
			a.addUint32(nl.IFLA_MACVLAN_MODE, 1<<bit)
		}
	}
	if m.Promiscuous != nil {
		flags := uint64(macvlanNoPromisc)
		if *m.Promiscuous {
			flags = 0
		}
		a.add(nl.IFLA_MACVLAN_FLAGS, encodeUint(flags, 2))
	}
	return a
}

// decodeMACVLAN reads the IFLA_INFO_DATA of a mac-vlan.
func decodeMACVLAN(attrs []byte) *netstate.MACVLAN {
	m := &netstate.MACVLAN{}
	for attr, value := range each(attrs) {
		switch attr {
		case nl.IFLA_MACVLAN_MODE:
			for bit, mode := range macvlanModes() {
				if decodeUint(value) == 1<<bit {
					m.Mode = &mode
				}
			}
		case nl.IFLA_MACVLAN_FLAGS:
			m.Promiscuous = new(decodeUint(value)&macvlanNoPromisc == 0)
		}
	}
	return m
}
