// SPDX-License-Identifier: Apache-2.0

package netstate

import "slices"

// inheritsMAC reports whether the kernel would give the link its MAC again by itself: a bridge the
// lowest of its ports, a VLAN that of its base.
func inheritsMAC(link Interface, links map[string]*Interface) bool {
	if link.MAC == nil {
		return false
	}
	if link.VLAN != nil {
		base := links[link.Base()]
		return base != nil && base.MAC != nil && *base.MAC == *link.MAC
	}
	if link.Bridge == nil || isTrue(link.KeepsMAC) {
		return false
	}
	var lowest *MAC
	for _, name := range link.Ports() {
		port := links[name]
		if port == nil || port.MAC == nil {
			continue
		}
		if lowest == nil || slices.Compare(port.MAC[:], lowest[:]) < 0 {
			lowest = port.MAC
		}
	}
	return lowest != nil && *lowest == *link.MAC
}

// autoMTU returns the MTU the kernel gives a bridge whose MTU nobody set: the least of its ports'.
func autoMTU(bridge Interface, links map[string]*Interface) int {
	mtu := 0
	for _, name := range bridge.Ports() {
		if port := links[name]; port != nil && port.MTU != nil && (mtu == 0 || *port.MTU < mtu) {
			mtu = *port.MTU
		}
	}
	if mtu == 0 {
		return 1500
	}
	return mtu
}

// settable returns the keys of a link that StepSet changes without further thought.
func settable(i Interface) Interface {
	kept := Interface{Description: i.Description, MAC: i.MAC, AcceptAllMAC: i.AcceptAllMAC, MACVLAN: i.MACVLAN,
		IPv4: ipv4Settings(i.IPv4)}
	if i.Bridge != nil {
		kept.Bridge = &Bridge{Options: i.Bridge.Options}
	}
	if i.Bond != nil {
		kept.Bond = settableBond(i.Bond)
		if kept.Bond.Options != nil {
			options := *kept.Bond.Options
			options.Primary = nil
			kept.Bond.Options = &options
		}
	}
	if i.VLAN != nil {
		kept.VLAN = &VLAN{ReorderHeaders: i.VLAN.ReorderHeaders, LooseBinding: i.VLAN.LooseBinding,
			RegistrationProtocol: i.VLAN.RegistrationProtocol}
	}
	if i.VXLAN != nil {
		kept.VXLAN = &VXLAN{Learning: i.VXLAN.Learning}
	}
	return kept
}

func settableBond(b *Bond) *Bond { return &Bond{Mode: b.Mode, Options: b.Options} }

// ipv4Settings returns the keys of an IPv4 configuration that are switches of the link.
func ipv4Settings(ip *IP) *IP {
	if ip == nil || ip.Forwarding == nil {
		return nil
	}
	return &IP{Forwarding: ip.Forwarding}
}

// ipv6Settings returns the keys of an IPv6 configuration that are switches of the link.
func ipv6Settings(ip *IP) *IP {
	switch {
	case ip == nil:
		return nil
	case !isTrue(ip.Enabled):
		return &IP{Enabled: new(false), Autoconf: new(false), Token: new(deref(ip.Token))}
	}
	return &IP{Enabled: ip.Enabled, Autoconf: ip.Autoconf, AddrGenMode: ip.AddrGenMode, Token: new(deref(ip.Token)),
		AcceptRA: ip.AcceptRA, AutoconfSwitch: ip.AutoconfSwitch, Forwarding: ip.Forwarding}
}

// configured returns the keys of a link that a desired state says in the same way, without ports,
// controller and IP.
func configured(i Interface) Interface {
	kept := settable(i)
	kept.Ethtool, kept.Ethernet = i.Ethtool.withoutLimits(), settableVFs(i.Ethernet)
	kept.MTU, kept.VLAN, kept.VXLAN = i.MTU, i.VLAN, i.VXLAN
	if i.Bond != nil {
		kept.Bond = settableBond(i.Bond)
	}
	if i.VRF != nil {
		kept.VRF = &VRF{RouteTableID: i.VRF.RouteTableID}
	}
	return kept
}

// wishBond returns the mode of a bond and the options that count in it.
func wishBond(b *Bond) *Bond {
	wish := settableBond(b)
	if wish.Options != nil && wish.Mode != nil {
		wish.Options = applicable(*wish.Options, nil, *wish.Mode)
	}
	return wish
}

// settableVFs returns the number of virtual functions as the only key.
func settableVFs(e *Ethernet) *Ethernet {
	if e == nil || e.SRIOV == nil || e.SRIOV.TotalVFs == nil {
		return nil
	}
	return &Ethernet{SRIOV: &SRIOV{TotalVFs: e.SRIOV.TotalVFs}}
}
