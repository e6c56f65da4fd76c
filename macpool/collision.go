// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"fmt"
	"slices"
	"strings"
)

// A Collision is an address that several objects have, not on purpose: admission was passed by, or the pool tolerates
// it.
type Collision struct {
	MAC MAC
	// Holders are at least two.
	Holders []Holder
}

// String says who have the address, for administrators.
func (c Collision) String() string {
	var names []string
	for _, h := range c.Holders {
		names = append(names, h.Object.String())
	}
	return fmt.Sprintf("%s is the address of %s", c.MAC, strings.Join(names, " and of "))
}

// Collisions are the addresses in these blocks that have several holders, by address. sharing says with whom an object
// shares its addresses on purpose.
func Collisions(blocks []*Block, sharing func(Object) Sharing) []Collision {
	var found []Collision
	for _, b := range blocks {
		for m, e := range b.Entries() {
			holds := slices.DeleteFunc(slices.Clone(e.Holds), func(h Hold) bool { return h.Shared })
			if len(holds) < 2 {
				continue
			}
			holds = slices.DeleteFunc(holds, func(h Hold) bool {
				others := slices.DeleteFunc(slices.Clone(e.Holds), func(other Hold) bool { return other.Object == h.Object })
				return sharing(h.Object).allows(others)
			})
			if len(holds) < 2 {
				continue
			}
			c := Collision{MAC: m}
			for _, h := range holds {
				c.Holders = append(c.Holders, h.Holder)
			}
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b Collision) int { return a.MAC.Compare(b.MAC) })
	return found
}
