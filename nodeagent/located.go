// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"slices"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

// locate has the records name the NICs that their policies find by MAC as those are called now. It comes with every
// reading of the node and before anything looks at a record: after a boot, or once a NIC came late, a name can be
// another NIC's.
func (k *Keeper) locate(current netstate.State) {
	for key, r := range k.records {
		k.records[key] = located(r, current)
	}
}

// located is a record in the names that links have now.
func located(r journal.Record, current netstate.State) journal.Record {
	desired := append([]netstate.State{netstate.State(r.Desired)}, states(r.Earlier)...)
	if !slices.ContainsFunc(desired, netstate.State.FindsByMAC) {
		return r
	}
	before, names := netstate.State(r.Before), netstate.NamesNow(current, desired[0])
	r.Before = journal.State(netstate.NamesSince(before, current, desired).Of(before))
	r.Desired = journal.State(names.Of(desired[0]))
	r.Inherited = journal.State(names.Of(netstate.State(r.Inherited)))
	r.Earlier = nil
	for _, earlier := range desired[1:] {
		r.Earlier = append(r.Earlier, journal.State(netstate.NamesNow(current, earlier).Of(earlier)))
	}
	return r
}

// states are those of a journal.
func states(kept []journal.State) []netstate.State {
	all := make([]netstate.State, len(kept))
	for n, state := range kept {
		all[n] = netstate.State(state)
	}
	return all
}
