// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// Restore is called once, before anything else. What it does depends on why the agent starts (docs/decisions/0012):
//
//   - On the same boot of the machine, a change that was under way is undone. Nothing else is touched: what people have
//     changed meanwhile is the business of Heal.
//   - After a boot, a change that was under way is forgotten, for the kernel has nothing of it. The sum of what the
//     node is committed to is made, in whatever order its parts need each other; what cannot be made yet is tried
//     again by Heal.
//
// The error joins what could not be done; the rest is.
func (k *Keeper) Restore() error {
	defer k.hold()
	failed := []error{k.load()}
	current, err := k.Read() // the records name links as they are called now
	boot, unknown := k.Journal.Boot()
	k.left, k.before, k.trial.concluded = boot.Left, boot.Before, boot.Concluded
	booted := k.Boot == "" || boot.ID != k.Boot
	failed = append(failed, err, unknown, k.endPending(), k.loadFallen(booted))
	if booted {
		k.left, k.before, k.trial.concluded = slices.Sorted(maps.Keys(k.records)), journal.State(current), false
		failed = append(failed, k.noteLeft())
	}
	return errors.Join(append(failed, k.restoreLeft())...)
}

// load reads the journal.
func (k *Keeper) load() error {
	k.records, k.healings = map[string]journal.Record{}, map[string]healing{}
	k.reverting = map[string]healing{}
	records, failed := k.Journal.Records()
	k.unread = failed != nil
	for _, r := range records {
		k.records[r.Key()] = r
	}
	failed = errors.Join(failed, k.dropReplaced())
	var err error
	if k.lost, err = k.Journal.Lost(); err != nil {
		k.lost = map[string]int64{}
	}
	failed = errors.Join(failed, err)
	k.way, err = k.Journal.Way()
	return errors.Join(failed, err)
}

// dropReplaced drops records from before there were UIDs that one with a UID has replaced: a crash can leave both, and
// the older would be healed against the newer.
func (k *Keeper) dropReplaced() error {
	var failed []error
	for key, r := range k.records {
		old, found := k.records[r.Policy]
		if key == r.Policy || r.Orphan || !found || old.UID != "" || old.Orphan {
			continue
		}
		delete(k.records, r.Policy)
		failed = append(failed, k.Journal.Drop(r.Policy))
	}
	return errors.Join(failed...)
}

// endPending undoes the change that was under way, or forgets one of an earlier boot.
func (k *Keeper) endPending() error {
	pending, err := k.Journal.Pending()
	if err != nil || pending == nil {
		return err
	}
	if pending.Boot != "" && pending.Boot != k.Boot {
		k.Log.Info("The node was rebooted during a change; abandoning the change",
			"policy", pending.Policy, "generation", pending.Generation)
		return k.Journal.Abandon()
	}
	return k.undoPending()
}

// noteLeft keeps on disk what is still to be restored, for an agent that starts on the same boot.
func (k *Keeper) noteLeft() error {
	return k.Journal.NoteBoot(journal.Boot{ID: k.Boot, Left: k.left, Before: k.before, Concluded: k.trial.concluded})
}

// restored notes that there is nothing left to restore of a record.
func (k *Keeper) restored(key string) error {
	if !slices.Contains(k.left, key) {
		return nil
	}
	k.left = slices.DeleteFunc(slices.Clone(k.left), func(other string) bool { return other == key })
	return k.noteLeft()
}

// restoreLeft makes what is still missing since the boot: all at once, so that every part finds what it needs in
// another, or else one record after the other for as long as there is one that can be made.
func (k *Keeper) restoreLeft() error {
	if len(k.left) == 0 {
		return nil
	}
	current, err := k.Latest()
	if err != nil {
		return err
	}
	current = netstate.WithoutLeases(current)
	before := len(k.left)
	failed := k.restoreSum(current)
	if failed != nil {
		failed = k.restoreEach()
	}
	if len(k.left) != before {
		failed = errors.Join(failed, k.noteLeft())
	}
	return failed
}

// restoreSum makes all that is left, or nothing of it.
func (k *Keeper) restoreSum(current netstate.State) error {
	wishes := make([]netstate.State, len(k.left))
	for n, key := range k.left {
		wishes[n] = k.bootWish(k.records[key], current)
	}
	if _, err := k.putBack(current, add(wishes...), "Restoring"); err != nil {
		return err
	}
	k.left = nil
	return nil
}

// restoreEach makes of what is left what can be made, and returns why the rest cannot.
func (k *Keeper) restoreEach() error {
	for {
		var failed []error
		var left []string
		for _, key := range k.left {
			r := k.records[key]
			current, err := k.Latest()
			if err == nil {
				_, err = k.putBack(current, k.bootWish(r, current), "Restoring")
			}
			var refused *kernel.ApplyError
			if errors.As(err, &refused) {
				k.retry = k.retry.next(k.Clock.Now())
			}
			if err != nil {
				left = append(left, key)
				failed = append(failed, fmt.Errorf("restore policy %s: %w", r.Policy, err))
			}
		}
		progress := len(left) < len(k.left)
		k.left = left
		if len(left) == 0 || !progress {
			return errors.Join(failed...)
		}
	}
}

// bootWish returns what a record asks for after a boot: what its policy desires, and what the policy made and does not
// mention any more. Of that, and of policies that are gone, only what is missing is made; nothing is removed or taken
// from others.
func (k *Keeper) bootWish(r journal.Record, current netstate.State) netstate.State {
	named := k.Committed()
	if r.Orphan {
		return unclaimed(netstate.State(r.Desired), named, current)
	}
	wish := netstate.State(r.Desired)
	for _, earlier := range r.Earlier {
		more := unclaimed(netstate.State(earlier), add(named, wish), current)
		more.DNS = netstate.DNS{} // the last word on it counts
		wish = add(wish, more)
	}
	return wish
}

// unclaimed returns a wish without removals, without what others name, and without ports that have another controller
// by now.
func unclaimed(wish, named, current netstate.State) netstate.State {
	var rest []netstate.Interface
	for _, i := range wish.Interfaces {
		if _, claimed := named.Interface(i.Name); claimed || i.State == netstate.StateAbsent {
			continue
		}
		rest = append(rest, i.WithoutPorts(func(port string) bool {
			now, found := current.Interface(port)
			return found && now.Controller != nil && *now.Controller != "" && *now.Controller != i.Name
		}))
	}
	wish.Interfaces = rest
	wish.Routes.Config = slices.DeleteFunc(slices.Clone(wish.Routes.Config), func(r netstate.Route) bool {
		return r.State == netstate.StateAbsent
	})
	wish.RouteRules.Config = slices.DeleteFunc(slices.Clone(wish.RouteRules.Config), func(r netstate.RouteRule) bool {
		return r.State == netstate.StateAbsent
	})
	if named.DNS.Config != nil {
		wish.DNS = netstate.DNS{}
	}
	return wish
}
