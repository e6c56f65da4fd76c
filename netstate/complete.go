// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"slices"
)

// complete returns a current state with the keys that follow from others filled in, for states that were
// parsed from a document or written by hand: controller keys and port lists that agree and are sorted,
// VLAN filtering, an IP configuration on every link.
func (s State) complete() State {
	owner := map[string]string{}
	for _, i := range s.Interfaces {
		for _, port := range i.Ports() {
			owner[port] = i.Name
		}
	}
	interfaces := make([]Interface, len(s.Interfaces))
	for n, i := range s.Interfaces {
		interfaces[n] = i.complete(owner[i.Name])
	}
	s.Interfaces = interfaces
	return s
}

func (i Interface) complete(controller string) Interface {
	if controller != "" {
		i.Controller = &controller
	} else if i.Controller != nil && *i.Controller == "" {
		i.Controller = nil
	}
	if i.State == "" {
		i.State = StateUp
	}
	i.IPv4 = i.IPv4.complete(disabledIPv4)
	i.IPv6 = i.IPv6.complete(disabledIPv6)
	i.IPv4.Enabled = new(len(i.IPv4.Address) > 0 || isTrue(i.IPv4.DHCP))
	switch {
	case i.Type == TypeBridge:
		i.Bridge = i.Bridge.complete()
	case i.Type == TypeBond && i.Bond == nil:
		i.Bond = &Bond{}
	case i.Type == TypeVRF && i.VRF == nil:
		i.VRF = &VRF{}
	}
	i.VLAN, i.VXLAN, i.MACVLAN = i.VLAN.complete(), i.VXLAN.complete(), i.MACVLAN.complete()
	return i
}

// complete returns a copy with the kernel's defaults for what is not known.
func (v *VLAN) complete() *VLAN {
	if v == nil {
		return nil
	}
	return overlayPart(&VLAN{Protocol: new("802.1q"), ReorderHeaders: new(true), LooseBinding: new(false),
		RegistrationProtocol: new("none")}, v)
}

// complete returns a copy with the kernel's defaults for what is not known.
func (v *VXLAN) complete() *VXLAN {
	if v == nil {
		return nil
	}
	return overlayPart(&VXLAN{BaseIface: new(""), DestinationPort: new(4789), Learning: new(true)}, v)
}

// complete returns a copy with the kernel's defaults for what is not known.
func (m *MACVLAN) complete() *MACVLAN {
	if m == nil {
		return nil
	}
	return overlayPart(&MACVLAN{Promiscuous: new(true)}, m)
}

func (b *Bridge) complete() *Bridge {
	if b == nil {
		b = &Bridge{}
	}
	completed := *b
	if b.VLANFiltering == nil {
		completed.VLANFiltering = new(filters(b))
	}
	byName := func(p, q BridgePort) int { return cmp.Compare(p.Name, q.Name) }
	if !slices.IsSortedFunc(b.Port, byName) {
		completed.Port = slices.SortedFunc(slices.Values(b.Port), byName)
	}
	return &completed
}

// complete returns a copy in which what is not known is off.
func (ip *IP) complete(off func() *IP) *IP {
	if ip == nil || !isTrue(ip.Enabled) && len(ip.Address) == 0 && !isTrue(ip.DHCP) {
		return switchedOff(ip, off)
	}
	completed := overlay(*off(), *ip)
	completed.Token = tokenOf(ip.Token)
	return &completed
}
