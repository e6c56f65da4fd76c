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
