// SPDX-License-Identifier: Apache-2.0

package netstate

import "k8s.io/apimachinery/pkg/util/validation/field"

type checker struct {
	now, wish, target map[string]*Interface
	// alike are the links of the target by where they are: those that can be in each other's way are at one position.
	alike map[position][]*Interface
}

// A position is the base that a link stands on, and the number by which it is told from others there.
type position struct {
	base string
	id   int
}

// newChecker returns what checks a desired state between the current and the target.
func newChecker(current, desired, target State) checker {
	c := checker{
		now: current.index(), wish: desired.index(), target: target.index(), alike: map[position][]*Interface{},
	}
	for _, i := range c.target {
		c.alike[i.position()] = append(c.alike[i.position()], i)
	}
	return c
}

// position returns where a VLAN, a VXLAN, or a link that stands on the frames of its base is.
func (i Interface) position() position {
	switch {
	case i.VLAN != nil:
		return position{i.Base(), number(i.VLAN.ID)}
	case i.VXLAN != nil:
		return position{"", number(i.VXLAN.ID)}
	}
	return position{base: i.standsAsMACVLAN()}
}

func missing(at *field.Path, name string) field.ErrorList {
	return field.ErrorList{field.NotFound(at, name)}
}

// firstOther is the first link by name at a position, other than one, that is so; "" if there is none.
func (c checker) firstOther(at position, but string, is func(*Interface) bool) string {
	first := ""
	for _, other := range c.alike[at] {
		if (first == "" || other.Name < first) && other.Name != but && is(other) {
			first = other.Name
		}
	}
	return first
}
