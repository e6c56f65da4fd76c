// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Names are new names of links, by old ones. Those that stay are not among them.
type Names map[string]string

// Of returns a state in the new names.
func (n Names) Of(s State) State {
	if len(n) == 0 {
		return s
	}
	return s.renamed(n)
}

// FindsByMAC reports whether an entry finds its link by the MAC.
func (s State) FindsByMAC() bool { return slices.ContainsFunc(s.Interfaces, Interface.byMAC) }

// NamesNow returns what the links are called now for which entries of a desired state ask with identifier: mac-address,
// by the names that they had when it was resolved: a NIC can have another one after a boot. While there is none it is
// called by the MAC, which no link can be called, so that no other is taken for it: Plan refuses that, and what only
// looks for names finds none. Entries that go by names stay as they are.
func NamesNow(now, desired State) Names {
	names := Names{}
	for _, d := range desired.Interfaces {
		if !d.byMAC() {
			continue
		}
		if located := d.locate(now); located != d.Name {
			names[d.Name] = located
		}
	}
	return names
}

// NamesSince returns what the links of an earlier state are called now for which desired states ask with identifier:
// mac-address, by the names that they had in it. A link whose name is one of those now has its own of now.
func NamesSince(before, now State, desired []State) Names {
	names, taken := Names{}, map[string]bool{}
	for _, wish := range desired {
		for _, d := range wish.Interfaces {
			if found := d.sought(before); len(found) == 1 {
				names[found[0]] = d.locate(now)
				taken[names[found[0]]] = true
			}
		}
	}
	for _, link := range before.Interfaces {
		if _, located := names[link.Name]; taken[link.Name] && !located {
			link.Identifier, link.MAC = new(IdentifierMAC), cmp.Or(link.PermanentMAC, link.MAC, &MAC{})
			names[link.Name] = link.locate(now)
		}
	}
	maps.DeleteFunc(names, func(from, to string) bool { return from == to })
	return names
}

// locate returns the name of the one link that an entry with identifier: mac-address is about, or else the MAC. Where
// two links have the MAC it is the one that is called as the entry is.
func (i Interface) locate(now State) string {
	found := i.sought(now)
	if len(found) == 1 {
		return found[0]
	}
	if slices.Contains(found, i.Name) {
		return i.Name
	}
	return i.MAC.String()
}

// checkLocated refuses entries whose NIC is not there.
func checkLocated(desired State) field.ErrorList {
	var errs field.ErrorList
	for n, d := range desired.Interfaces {
		if d.byMAC() && d.Name == d.MAC.String() {
			errs = append(errs, field.NotFound(desired.pathOf(nil, n).Child("mac-address"), d.Name))
		}
	}
	return errs
}
