// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"slices"
)

// A merger works out the interfaces of a target state. The interfaces in target are its own and may be
// changed, but not what they point to.
type merger struct {
	desired State
	literal bool // no key of the wish is passed over: it says what was
	now     map[string]*Interface
	wish    map[string]*Interface
	target  map[string]*Interface
}

func newMerger(current, desired State) *merger {
	m := &merger{desired: desired, now: current.index(), wish: desired.index(),
		target: make(map[string]*Interface, len(current.Interfaces))}
	copies := slices.Clone(current.Interfaces)
	for n := range copies {
		m.target[copies[n].Name] = &copies[n]
	}
	return m
}

// interfaces returns the merged interfaces, sorted by name.
func (m *merger) interfaces() []Interface {
	merged := make([]Interface, 0, len(m.target))
	for _, i := range m.target {
		merged = append(merged, *i)
	}
	slices.SortFunc(merged, func(a, b Interface) int { return cmp.Compare(a.Name, b.Name) })
	return merged
}
