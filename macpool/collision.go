// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Collision is an address that several objects have, not on purpose: admission was passed by, or the pool tolerates
// it, or those who shared it on purpose are both at work with it.
type Collision struct {
	MAC MAC
	// Holders are at least two, in an order that stays the same when one of them renews its hold.
	Holders []Holder
}

// String returns who have the address, for administrators.
func (c Collision) String() string {
	var names []string
	for _, h := range c.Holders {
		names = append(names, h.Object.String())
	}
	return fmt.Sprintf("%s is the address of %s", c.MAC, strings.Join(names, " and of "))
}

// A Condition is how an object stands now. The zero Condition is of one that is not there, or does not run.
type Condition struct {
	// Sharing says with whom the object shares its addresses.
	Sharing Sharing
	// Running is true while its interfaces are on the network, Migrating while a live migration is under way.
	Running, Migrating bool
}

// Collisions returns the addresses in these blocks that several holders have, by address. Two may have one on purpose,
// as long as they do not both run without a live migration; a third may not. has reports whether an object is there and
// has an address: one that holds it without may never have been created, or is gone.
func Collisions(blocks []*Block, has func(MAC, Object) bool, now func(Object) Condition) []Collision {
	var found []Collision
	for _, b := range blocks {
		if b.counts.several == 0 {
			continue
		}
		for m, e := range b.Entries() {
			if len(e.Holds) < 2 {
				continue
			}
			holds := slices.DeleteFunc(slices.Clone(e.Holds), func(h Hold) bool {
				return !has(m, h.Object) || slices.ContainsFunc(e.Holds, func(of Hold) bool { return h.isInstanceOf(of.Object) })
			})
			if len(holds) < 2 || len(holds) == 2 && inTurn(holds[0], holds[1], now) {
				continue
			}
			c := Collision{MAC: m}
			for _, h := range holds {
				c.Holders = append(c.Holders, h.Holder)
			}
			slices.SortFunc(c.Holders, func(a, b Holder) int {
				return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
			})
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b Collision) int { return a.MAC.Compare(b.MAC) })
	return found
}

// inTurn reports whether two objects share an address and are not at work with it at once.
func inTurn(a, b Hold, now func(Object) Condition) bool {
	first, second := now(a.Object), now(b.Object)
	if first.Running && second.Running && !first.Migrating && !second.Migrating {
		return false
	}
	return joins(a, first, b, second) || joins(b, second, a, first)
}

// joins reports whether a newcomer has an address with another on purpose: that was consented to at admission, it waits
// for the other's live migration, or both name one another.
func joins(newcomer Hold, n Condition, other Hold, o Condition) bool {
	mutual := n.Sharing.With == other.Object && o.Sharing.With == newcomer.Object
	return newcomer.Shared || n.Sharing.Anyone || mutual
}
