// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (i Interface) partKey() string {
	for _, part := range i.parts() {
		if part.present {
			return part.key
		}
	}
	return ""
}

// index returns the interfaces by name. They are the ones of the state: do not modify them.
func (s State) index() map[string]*Interface {
	byName := make(map[string]*Interface, len(s.Interfaces))
	for n := range s.Interfaces {
		byName[s.Interfaces[n].Name] = &s.Interfaces[n]
	}
	return byName
}

// each calls check for the interfaces that the desired state wants to exist.
func (s State) each(at *field.Path, check func(i Interface, at *field.Path) field.ErrorList) field.ErrorList {
	var errs field.ErrorList
	for n, i := range s.Interfaces {
		// Paths cost more than the checks: they are made for the few interfaces with errors only.
		if i.wanted() && len(check(i, nil)) > 0 {
			errs = append(errs, check(i, s.pathOf(at, n))...)
		}
	}
	return errs
}

// pathOf returns the path of the interface at index n.
func (s State) pathOf(at *field.Path, n int) *field.Path { return child(at, "interfaces").Index(n) }

// wanted reports whether a desired interface is to exist, up or down, and to be looked after.
func (i Interface) wanted() bool { return i.State != StateAbsent && i.State != StateIgnore }

// A linkPart is one of the parts of an Interface that go with a type.
type linkPart struct {
	key     string
	of      LinkType
	present bool
}

func (i Interface) parts() []linkPart {
	return []linkPart{
		{"ethernet", TypeEthernet, i.Ethernet != nil},
		{"bridge", TypeBridge, i.Bridge != nil},
		{"vlan", TypeVLAN, i.VLAN != nil},
		{"link-aggregation", TypeBond, i.Bond != nil},
		{"veth", TypeVeth, i.Veth != nil},
		{"vxlan", TypeVXLAN, i.VXLAN != nil},
		{"vrf", TypeVRF, i.VRF != nil},
		{"mac-vlan", TypeMACVLAN, i.MACVLAN != nil},
	}
}

// foreignPorts returns the names of the foreign ports of a controller.
func foreignPorts(controller Interface, links map[string]*Interface) []string {
	return slices.DeleteFunc(slices.Clone(controller.Ports()), func(port string) bool {
		link := links[port]
		return link == nil || !link.Foreign()
	})
}
