// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// carried returns the names of the links of others that the kernel would delete together with a link: those of kinds
// that no policy can make, such as the macvtap of a VM or the ipvlan of a container, on the link or on what stands on
// it. (Links of other namespaces are not seen.)
func carried(name string, links map[string]*Interface) []string {
	var names []string
	for other, link := range links {
		switch name {
		case link.Below:
			names = append(names, other)
		case link.Base():
			names = append(names, carried(other, links)...)
		}
	}
	slices.Sort(names)
	return names
}

// checkCarried refuses to delete a link with what others have on it.
func (c checker) checkCarried(now Interface, at *field.Path) field.ErrorList {
	names := carried(now.Name, c.now)
	if len(names) == 0 {
		return nil
	}
	return field.ErrorList{field.Forbidden(at, now.Name+
		" carries links that belong to somebody else, such as a VM, which would be deleted with it: "+strings.Join(names, ", "))}
}

// checkRemade refuses to make a link again with what others have on it.
func (c checker) checkRemade(d Interface, at *field.Path) field.ErrorList {
	now, target := c.now[d.Name], c.target[d.Name]
	if now == nil || target == nil || !sameType(*now, d) || sameForever(*now, *target) {
		return nil
	}
	return c.checkCarried(*now, at.Child(now.partKey()))
}

// keepCarrying returns an entry that removes a link, or makes it again, or one that does not while others have links on
// it: those that it was to lose by being removed are its addresses only.
func (f *feasibility) keepCarrying(d Interface) Interface {
	now := f.now[d.Name]
	if now == nil || len(carried(d.Name, f.now)) == 0 {
		return d
	}
	if d.State == StateAbsent && now.Type != TypeEthernet {
		return Interface{Name: d.Name, Type: now.Type, State: now.State, IPv4: &IP{Enabled: new(false)},
			IPv6: &IP{Enabled: new(false)}}
	}
	if d.wanted() && sameType(*now, d) && !sameForever(*now, overlay(*now, d)) {
		d.VLAN, d.VXLAN, d.MACVLAN, d.VRF = nil, nil, nil, nil
	}
	return d
}
