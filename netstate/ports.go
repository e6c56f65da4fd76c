// SPDX-License-Identifier: Apache-2.0

package netstate

import "slices"

// Ports returns the names in the port list of a bridge, bond or vrf, in the order of that list. Nil
// means that the interface has no such list, or that a desired interface does not mention it.
func (i Interface) Ports() []string {
	switch {
	case i.Bridge != nil && i.Bridge.Port != nil:
		names := make([]string, len(i.Bridge.Port))
		for n, port := range i.Bridge.Port {
			names[n] = port.Name
		}
		return names
	case i.Bond != nil:
		return i.Bond.Port
	case i.VRF != nil:
		return i.VRF.Port
	}
	return nil
}

// WithoutPorts returns an interface whose port list lacks the ports for which drop says so.
func (i Interface) WithoutPorts(drop func(port string) bool) Interface {
	switch {
	case i.Bridge != nil && i.Bridge.Port != nil:
		bridge := *i.Bridge
		bridge.Port = slices.DeleteFunc(slices.Clone(bridge.Port), func(p BridgePort) bool { return drop(p.Name) })
		i.Bridge = &bridge
	case i.Bond != nil && i.Bond.Port != nil:
		bond := *i.Bond
		bond.Port = slices.DeleteFunc(slices.Clone(bond.Port), drop)
		i.Bond = &bond
	case i.VRF != nil && i.VRF.Port != nil:
		vrf := *i.VRF
		vrf.Port = slices.DeleteFunc(slices.Clone(vrf.Port), drop)
		i.VRF = &vrf
	}
	return i
}

// ports returns those of an interface that may be missing.
func (i *Interface) ports() []string {
	if i == nil {
		return nil
	}
	return i.Ports()
}

// withPortOf returns an interface whose port list has a port of another one as well, as it is there.
func (i Interface) withPortOf(from Interface, port string) Interface {
	switch {
	case slices.Contains(i.Ports(), port):
	case i.Bridge != nil && from.Bridge != nil:
		bridge := *i.Bridge
		n := slices.IndexFunc(from.Bridge.Port, func(p BridgePort) bool { return p.Name == port })
		added := from.Bridge.Port[n]
		if added.VLAN == nil {
			added.VLAN = &PortVLAN{} // or it would get the default of a wish
		}
		bridge.Port = append(slices.Clone(bridge.Port), added)
		i.Bridge = &bridge
	case i.Bond != nil && from.Bond != nil:
		bond := *i.Bond
		bond.Port = append(slices.Clone(bond.Port), port)
		for _, p := range from.Bond.PortsConfig {
			if p.Name == port {
				bond.PortsConfig = append(slices.Clone(bond.PortsConfig), p)
			}
		}
		i.Bond = &bond
	case i.VRF != nil:
		vrf := *i.VRF
		vrf.Port = append(slices.Clone(vrf.Port), port)
		i.VRF = &vrf
	}
	return i
}

// foreignPorts returns the names of the foreign ports of a controller.
func foreignPorts(controller Interface, links map[string]*Interface) []string {
	return slices.DeleteFunc(slices.Clone(controller.Ports()), func(port string) bool {
		link := links[port]
		return link == nil || !link.Foreign()
	})
}

func primary(bond *Interface) string {
	if bond == nil || bond.Bond == nil || bond.Bond.Options == nil {
		return ""
	}
	return deref(bond.Bond.Options.Primary)
}
