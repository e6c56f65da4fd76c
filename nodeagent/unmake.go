// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"maps"
	"slices"
	"strings"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// unmake takes away what was made of records that are given up, so that their links are as the boot left them.
func (k *Keeper) unmake(records []journal.Record) error {
	var sum []netstate.State
	removal := netstate.Removal{Before: netstate.State(k.before), Desired: []netstate.State{{}}}
	for _, r := range records {
		sum = append(sum, netstate.State(r.Desired))
		removal.Desired = append(removal.Desired, states(r.Earlier)...)
	}
	removal.Desired[0] = add(sum...)
	removal.Others = k.desired()
	return k.replan(strings.Join(policyNames(records), ", "), func() error { return k.unmakeOnce(removal) })
}

func (k *Keeper) unmakeOnce(removal netstate.Removal) error {
	k.latest = nil
	current, err := k.readNode()
	if err != nil {
		return err
	}
	current = k.own(current)
	for _, desired := range removal.Desired {
		current = netstate.Own(current, desired)
	}
	steps := netstate.PlanRemoval(current, append(removal.Wishes(current), k.upAsBefore(removal.Desired[0])))
	k.Log.Info("Falling back", "plan", netstate.Explain(current, steps))
	return kernel.Apply(k.Node, steps)
}

// upAsBefore has the links be up or down as the boot left them that a wish held and no record holds any more: where the
// agent died over taking it away, they may be neither as the wish had them nor as the boot left them.
func (k *Keeper) upAsBefore(wish netstate.State) netstate.State {
	held := netstate.Held(k.sum(func(journal.Record) bool { return true }))
	var back netstate.State
	for _, link := range slices.Sorted(maps.Keys(netstate.Held(wish))) {
		if before, was := netstate.State(k.before).Interface(link); was && !held[link] {
			back.Interfaces = append(back.Interfaces, netstate.Interface{Name: link, Type: before.Type, State: before.State})
		}
	}
	return back
}

// desired returns what the records desire.
func (k *Keeper) desired() []netstate.State {
	var all []netstate.State
	for _, key := range slices.Sorted(maps.Keys(k.records)) {
		all = append(all, netstate.State(k.records[key].Desired))
	}
	return all
}
