// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"slices"
)

// mergeControllers works out which link is a port of which, and then fills in every port list and
// controller key.
func (m *merger) mergeControllers() {
	owner := m.currentOwners()
	m.applyPortLists(owner)
	for _, d := range m.desired.Interfaces {
		switch {
		case d.State == StateAbsent && m.target[d.Name] != nil && !m.target[d.Name].theirs():
			delete(owner, d.Name)
		case !d.wanted() || d.Controller == nil:
		case *d.Controller == "":
			delete(owner, d.Name)
		default:
			owner[d.Name] = *d.Controller
		}
	}
	m.setPorts(owner)
	m.setControllers(owner)
}

// currentOwners returns the controller of every port whose controller stays and stays of its type.
func (m *merger) currentOwners() map[string]string {
	owner := map[string]string{}
	for name, now := range m.now {
		target, stays := m.target[name]
		if !stays || target.Type != now.Type {
			continue
		}
		for _, port := range now.Ports() {
			if m.target[port] != nil {
				owner[port] = name
			}
		}
	}
	return owner
}

// applyPortLists replaces the ports of every controller whose port list is given. Foreign ports that are
// not mentioned stay; one that the desired state has an entry for is foreign no longer.
func (m *merger) applyPortLists(owner map[string]string) {
	lists := map[string]bool{}
	for _, d := range m.desired.Interfaces {
		if d.wanted() && d.Ports() != nil && m.target[d.Name] != nil {
			lists[d.Name] = true
		}
	}
	for port, controller := range owner {
		if lists[controller] && !m.target[port].Foreign() {
			delete(owner, port)
		}
	}
	for _, d := range m.desired.Interfaces {
		if !lists[d.Name] {
			continue
		}
		for _, port := range d.Ports() {
			owner[port] = d.Name
		}
	}
}

// setPorts rebuilds the port lists from owner.
func (m *merger) setPorts(owner map[string]string) {
	ports := map[string][]string{}
	for port, controller := range owner {
		ports[controller] = append(ports[controller], port)
	}
	for name, link := range m.target {
		names := ports[name]
		slices.Sort(names)
		switch {
		case link.Bridge != nil:
			link.Bridge = m.mergeBridgePorts(name, *link.Bridge, names)
		case link.Bond != nil:
			link.Bond = m.mergeBondPorts(*link.Bond, names)
			m.forgetMAC(name, names)
		case link.VRF != nil:
			vrf := *link.VRF
			vrf.Port = append([]string{}, names...)
			link.VRF = &vrf
		}
	}
}

func (m *merger) mergeBridgePorts(name string, bridge Bridge, names []string) *Bridge {
	now, wish := map[string]BridgePort{}, map[string]BridgePort{}
	if i := m.now[name]; i != nil && i.Bridge != nil {
		for _, port := range i.Bridge.Port {
			now[port.Name] = port
		}
	}
	d := m.wish[name]
	listed := d != nil && d.wanted() && d.Bridge != nil && d.Bridge.Port != nil
	if listed {
		for _, port := range d.Bridge.Port {
			wish[port.Name] = port
		}
	}
	bridge.Port = make([]BridgePort, 0, len(names))
	for _, port := range names {
		merged := now[port]
		merged.Name = port
		desired := wish[port]
		merged = overlay(merged, desired)
		if desired.VLAN != nil {
			merged.VLAN, merged.RawVLANs = desired.VLAN, desired.RawVLANs // a vlan is replaced as a whole
		}
		bridge.Port = append(bridge.Port, merged)
	}
	bridge.VLANFiltering = m.mergeFiltering(&bridge, d, listed)
	pvid := bridge.defaultPVID()
	for n, port := range bridge.Port {
		bridge.Port[n].VLAN = port.VLAN.canonical(pvid)
	}
	return &bridge
}

// mergeFiltering reports whether the bridge filters VLANs. A port list that is given decides it, by the
// ports it names; else a port the bridge has does. A wish of Revert says it outright.
func (m *merger) mergeFiltering(merged *Bridge, d *Interface, listed bool) *bool {
	switch {
	case d != nil && d.wanted() && d.Bridge != nil && d.Bridge.VLANFiltering != nil:
		return d.Bridge.VLANFiltering
	case listed:
		own := Bridge{Port: slices.DeleteFunc(slices.Clone(merged.Port), func(p BridgePort) bool {
			return !slices.ContainsFunc(d.Bridge.Port, func(q BridgePort) bool { return p.Name == q.Name })
		})}
		return new(filters(&own))
	case merged.VLANFiltering != nil:
		return merged.VLANFiltering
	}
	return new(filters(merged))
}

// setControllers fills in the controller keys, and what being a port brings with it.
func (m *merger) setControllers(owner map[string]string) {
	for name, link := range m.target {
		controller, isPort := owner[name]
		if !isPort {
			link.Controller = nil
			continue
		}
		link.Controller = &controller
		c, wish := m.target[controller], m.wish[name]
		isNew := m.now[name] == nil || m.now[name].Controller == nil || *m.now[name].Controller != controller
		asked := m.wish[controller] != nil && m.wish[controller].wanted() && slices.Contains(m.wish[controller].Ports(), name)
		if c != nil && c.givesMAC() && !m.literal && m.now[name] != nil {
			link.MAC = m.now[name].MAC
		}
		if c == nil || !isNew && !asked && wish == nil || link.State == StateIgnore {
			continue
		}
		if (wish == nil || wish.State == "") && !m.literal {
			link.State = cmp.Or(wishState(wish), StateUp)
		}
		if c.Type != TypeVRF && !m.literal {
			link.IPv4, link.IPv6 = switchedOff(link.IPv4, disabledIPv4), switchedOff(link.IPv6, disabledIPv6)
		}
	}
}

// givesMAC reports whether a bond gives its ports its MAC, so that one that a policy says has no effect.
func (i Interface) givesMAC() bool {
	return i.Bond != nil && (i.Bond.Options == nil || deref(i.Bond.Options.FailOverMAC) != "active")
}

func wishState(wish *Interface) LinkState {
	if wish == nil {
		return ""
	}
	return wish.State
}

// DefaultPortVLANs fills in what kubernetes-nmstate fills in before it applies a policy: every port
// without a vlan key, of an interface with an explicit type linux-bridge and an explicit state up,
// becomes a trunk of VLANs 2 to 4094. Plan and Merge do it themselves; it is exported for showing the
// desired state of an enactment as it was rendered.
func DefaultPortVLANs(desired State) State {
	desired.Interfaces = slices.Clone(desired.Interfaces)
	for n, i := range desired.Interfaces {
		if i.Type != TypeBridge || i.State != StateUp || i.Bridge == nil {
			continue
		}
		bridge := *i.Bridge
		bridge.Port = slices.Clone(bridge.Port)
		for p, port := range bridge.Port {
			if port.VLAN == nil {
				bridge.Port[p].VLAN = &PortVLAN{Mode: new(ModeTrunk), TrunkTags: []TrunkTag{trunkTag(2, 4094)}}
			}
		}
		desired.Interfaces[n].Bridge = &bridge
	}
	return desired
}
