// SPDX-License-Identifier: Apache-2.0

package netstate

import "cmp"

// Merge returns the current state a desired state leads to: current with everything that desired says,
// and with what follows from it. It is what Plan aims at.
//
// What follows: a port goes up and, unless its controller is a vrf, loses its addresses; a link has one
// controller; VLAN filtering is on when a port has a VLAN; what stands on a link that is removed is
// removed too, and what stands on a link that shrinks or goes down follows; routes through links that
// lose their addresses are gone. Foreign ports stay where they are, except that a bridge that
// is removed cannot keep them (Check refuses that).
//
// Merge is total: an entry that cannot be carried out, for instance for a NIC that does not exist, is
// left out. Check reports those.
func Merge(current, desired State) State {
	current = current.complete().heeding(desired)
	return newMerger(current, DefaultPortVLANs(Resolve(current, desired))).merge(current)
}

// mergeBack is Merge for a wish that Revert returned: what it says is meant to the letter.
func mergeBack(current, wish State) State {
	m := newMerger(current, DefaultPortVLANs(wish))
	m.literal = true
	return m.merge(current)
}

func (m *merger) merge(current State) State {
	m.mergeLinks()
	m.mergeControllers()
	m.mergeBases()
	m.resolveMACs()
	m.keepMACs()
	target := State{
		Description: current.Description,
		Interfaces:  m.interfaces(),
		RouteRules:  mergeRules(current.RouteRules, m.desired.RouteRules),
		DNS:         mergeDNS(current.DNS, m.desired.DNS),
	}
	target.Routes = m.mergeRoutes(current.Routes, m.desired.Routes)
	return target
}

func (m *merger) mergeLinks() {
	for _, d := range m.desired.Interfaces {
		now := m.now[d.Name]
		switch {
		case d.State == StateIgnore:
		case d.State == StateAbsent:
			m.remove(d.Name)
		case now != nil && sameType(*now, d):
			merged := m.mergeLink(*now, d)
			m.target[d.Name] = &merged
		case makeable(d.Type):
			made := m.mergeLink(newLink(d.Name, d.Type), d)
			m.target[d.Name] = &made
		}
	}
	m.removeLostPeers()
	for _, d := range m.desired.Interfaces {
		if d.wanted() && d.Veth != nil && m.target[d.Name] != nil && m.target[d.Name].Type == TypeVeth {
			m.mergePeer(d.Name, d.Veth.Peer)
		}
	}
}

// removeLostPeers removes the ends of veths whose other end is replaced, or gets another peer: the kernel
// deletes both.
func (m *merger) removeLostPeers() {
	for name, now := range m.now {
		if now.Veth == nil {
			continue
		}
		target, other := m.target[name], m.target[now.Veth.Peer]
		keeps := target != nil && target.Veth != nil && target.Veth.Peer == now.Veth.Peer
		if !keeps && other != nil && other.Veth != nil && other.Veth.Peer == name {
			delete(m.target, now.Veth.Peer)
			m.removeChildren(now.Veth.Peer)
		}
	}
}

// mergePeer makes sure that the other end of a veth exists and knows it.
func (m *merger) mergePeer(name, peer string) {
	other, exists := m.target[peer]
	if !exists {
		made := newLink(peer, TypeVeth)
		other = &made
		m.target[peer] = other
	}
	if other.Type == TypeVeth {
		other.Veth = &Veth{Peer: name}
	}
}

// remove takes a link out of the target, or resets one that cannot be removed.
func (m *merger) remove(name string) {
	link, exists := m.target[name]
	switch {
	case !exists || link.theirs() || link.Type == TypeLoopback:
	case link.Type != TypeEthernet:
		delete(m.target, name)
		if link.Veth != nil {
			other := m.target[link.Veth.Peer]
			if other != nil && other.Veth != nil && other.Veth.Peer == name { // or it is another link by now
				delete(m.target, link.Veth.Peer)
			}
		}
		m.removeChildren(name)
	default:
		link.State = StateDown
		link.IPv4, link.IPv6 = switchedOff(link.IPv4, disabledIPv4), disabledIPv6()
		link.LLDP = &LLDP{Enabled: new(false)}
		if link.Description != nil {
			link.Description = new("")
		}
		if link.PermanentMAC != nil {
			link.MAC = link.PermanentMAC
		}
		if isTrue(link.AcceptAllMAC) {
			link.AcceptAllMAC = new(false)
		}
	}
}

// removeChildren removes what stands on a link that is removed: the kernel would do it anyway.
func (m *merger) removeChildren(base string) {
	for name, link := range m.target {
		if link.Base() == base {
			m.remove(name)
		}
	}
}

// mergeLink returns now with everything desired says, except for ports and controllers.
func (m *merger) mergeLink(now, desired Interface) Interface {
	merged := now
	merged.State = cmp.Or(desired.State, StateUp)
	merged.Owned = true
	if desired.Description != nil {
		merged.Description = desired.Description
	}
	if desired.MAC != nil && !desired.byMAC() {
		merged.MAC = desired.MAC
	}
	if desired.MTU != nil {
		merged.MTU = desired.MTU
	}
	if desired.Details != "" {
		merged.Details = desired.Details
	}
	if desired.KeepsMAC != nil {
		merged.KeepsMAC = desired.KeepsMAC
	}
	if desired.AcceptAllMAC != nil {
		merged.AcceptAllMAC = desired.AcceptAllMAC
	}
	merged.LLDP = mergeLLDP(now.LLDP, desired.LLDP)
	merged.IPv4 = mergeIPv4(now.IPv4, m.wishIPv4(desired.IPv4))
	merged.IPv6 = mergeIPv6(now.IPv6, desired.IPv6, m.literal)
	if vfs := settableVFs(desired.Ethernet); vfs != nil && settableVFs(now.Ethernet) != nil {
		merged.Ethernet = overlayPart(now.Ethernet, vfs)
	}
	if now.Ethtool != nil {
		merged.Ethtool = overlayPart(now.Ethtool, desired.Ethtool.withoutLimits())
	}
	merged.Bridge = mergeBridge(now.Bridge, desired.Bridge, m.literal)
	merged.Bond = mergeBond(now.Bond, desired.Bond)
	merged.VLAN = overlayPart(now.VLAN, desired.VLAN)
	merged.VXLAN = overlayPart(now.VXLAN, desired.VXLAN)
	merged.MACVLAN = overlayPart(now.MACVLAN, desired.MACVLAN)
	if now.Type == TypeVeth {
		merged.Veth = overlayPart(now.Veth, desired.Veth)
	}
	if desired.VRF != nil {
		merged.VRF = overlayPart(now.VRF, &VRF{RouteTableID: desired.VRF.RouteTableID})
	}
	return merged
}

// newLink returns a link as we make it when the policy says nothing more.
func newLink(name string, t LinkType) Interface {
	link := Interface{Name: name, Type: t, State: StateUp, IPv4: disabledIPv4(), IPv6: disabledIPv6()}
	switch t {
	case TypeBridge:
		link.Bridge = &Bridge{Options: &BridgeOptions{STP: &STP{Enabled: new(false)}}, VLANFiltering: new(false)}
	case TypeVLAN:
		link.VLAN = new(VLAN).complete()
	case TypeBond:
		link.Bond, link.MTU = &Bond{}, new(1500)
	case TypeVXLAN:
		link.VXLAN = new(VXLAN).complete()
	case TypeVRF:
		link.VRF = &VRF{}
	case TypeMACVLAN:
		link.MACVLAN = new(MACVLAN).complete()
	}
	return link
}

// mergeBridge merges the options. The ports come later, from mergeControllers.
func mergeBridge(now, desired *Bridge, literal bool) *Bridge {
	if desired == nil || now == nil {
		return now
	}
	merged := *now
	if desired.OwnVLANs != nil {
		merged.OwnVLANs = desired.OwnVLANs
	}
	merged.Options = overlayPart(now.Options, desired.Options)
	if !literal {
		merged.Options = merged.Options.ticked(now.Options)
	}
	if literal || merged.Options == nil || merged.Options.STP == nil || isTrue(merged.Options.STP.Enabled) {
		return &merged
	}
	// While spanning tree is off its other options are not looked at, as in nmstate.
	options, stp := *merged.Options, STP{}
	if now.Options != nil && now.Options.STP != nil {
		stp = *now.Options.STP
	}
	stp.Enabled = merged.Options.STP.Enabled
	options.STP = &stp
	merged.Options = &options
	return &merged
}

// mergeLLDP returns now with what desired says.
func mergeLLDP(now, desired *LLDP) *LLDP {
	if desired == nil || desired.Enabled == nil {
		return now
	}
	merged := &LLDP{Enabled: desired.Enabled}
	if now != nil && *desired.Enabled {
		merged.Neighbors = now.Neighbors
	}
	return merged
}
