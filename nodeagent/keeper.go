// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// DefaultProbeDeadline is how long a node has to answer after a change.
const DefaultProbeDeadline = 10 * time.Second

// maxReplans is how often a change is planned when the node changes between the plan and a step.
const maxReplans = 3

// A Probe finds out, before a change, what the node reaches, and returns the question whether it still reaches that.
// The question is answered when ctx is done at the latest.
type Probe func(ctx context.Context) (after func(ctx context.Context) error)

// A Keeper makes a node be as its policies say and keeps it so, without any help: it knows the kernel and the journal,
// and no API. It is used by one goroutine.
type Keeper struct {
	// Node carries out every kind of step.
	Node    kernel.Node
	Journal *journal.Journal
	// Boot names this boot of the machine, as /proc/sys/kernel/random/boot_id does. With "" every start is one after a
	// boot.
	Boot string
	// Probe is asked around every change. Nil asks nothing.
	Probe Probe
	// Deadline is how long the probe may take after a change; DefaultProbeDeadline if zero.
	Deadline time.Duration
	// Event tells people of something about a policy. Nil tells nobody.
	Event func(policy, reason, note string)
	// HoldLinks keeps links from the programs that manage links, and gives others back. Nil knows no such program.
	HoldLinks func(links []string) error
	// HeldLinks returns the links that are kept from such programs. Nil knows none.
	HeldLinks func() ([]string, error)
	Clock     clock.PassiveClock
	Log       logr.Logger

	// records are what the node is committed to, by key.
	records  map[string]journal.Record
	healings map[string]healing
	// left are the keys of records that are not restored since the machine booted, and retry when they are tried again.
	left  []string
	retry healing
	// before is the node as this boot left it, and trial whether what it restored is of use.
	before journal.State
	trial  trial
	// way is by what the node reaches others, and asking when that was asked last without an answer.
	way    journal.Way
	asking healing
	// fallen is what the node has given up after a boot.
	fallen journal.Fallen
	// reverting are policies that are to be reverted and could not be the last time, by key.
	reverting map[string]healing
	// undoing is when the pending change is tried to be undone again.
	undoing healing
	holding holding
	// latest is the state as it was read last; nil if it may be another by now.
	latest *netstate.State
	// lost are the generations of policies, by key, that cost the node its connectivity.
	lost map[string]int64
	// unread says that there are records which could not be read: what the node is committed to is not known.
	unread bool
}

// A LostError says that a change was undone because the node could not reach something afterwards that it reached
// before.
type LostError struct{ Cause error }

// Error returns one line.
func (e *LostError) Error() string {
	return "the change was undone, because the node lost connectivity: " + e.Cause.Error()
}

// Unwrap returns what was lost.
func (e *LostError) Unwrap() error { return e.Cause }

// Records returns what the node is committed to, by key.
func (k *Keeper) Records() map[string]journal.Record { return maps.Clone(k.records) }

// Committed returns the sum of what the node is committed to, without what was left by policies that are gone.
func (k *Keeper) Committed() netstate.State {
	return k.sum(func(r journal.Record) bool { return !r.Orphan })
}

// sum puts the desired states of records together, in the order of their keys.
func (k *Keeper) sum(include func(journal.Record) bool) netstate.State {
	var parts []netstate.State
	for _, key := range slices.Sorted(maps.Keys(k.records)) {
		if r := k.records[key]; include(r) {
			parts = append(parts, netstate.State(r.Desired))
		}
	}
	return add(parts...)
}

// add puts desired states together. Of DNS the last word counts.
func add(parts ...netstate.State) netstate.State {
	var all netstate.State
	for _, part := range parts {
		all.Interfaces = append(all.Interfaces, part.Interfaces...)
		all.Routes.Config = append(all.Routes.Config, part.Routes.Config...)
		all.RouteRules.Config = append(all.RouteRules.Config, part.RouteRules.Config...)
		if part.DNS.Config != nil {
			all.DNS = part.DNS
		}
	}
	return all
}

// Read returns the state of the node, with the links and addresses marked as ours that a policy names.
func (k *Keeper) Read() (netstate.State, error) {
	current, err := k.readNode()
	if err != nil {
		return netstate.State{}, err
	}
	k.locate(current)
	return k.own(current), nil
}

// own returns a state with the links and addresses marked as ours that a record names.
func (k *Keeper) own(s netstate.State) netstate.State {
	return netstate.Own(s, k.sum(func(journal.Record) bool { return true }))
}

// Apply makes the node be as a record desires and commits to that, or leaves it as it was. Before is filled in. If
// somebody else changes the node meanwhile, it is planned again. The error is one line a person understands; it is a
// *LostError if the node lost connectivity meanwhile.
func (k *Keeper) Apply(ctx context.Context, r journal.Record) error {
	defer k.hold()
	err := k.replan(r.Policy, func() error { return k.applyOnce(ctx, r) })
	return errors.Join(err, k.noteLost(r, err))
}

// replan does what plans by the node as it is, for a policy, and does it again if somebody else changes the node
// meanwhile.
func (k *Keeper) replan(policy string, once func() error) error {
	for try := 1; ; try++ {
		err := once()
		var stale *kernel.StaleError
		if try == maxReplans || !errors.As(err, &stale) {
			return err
		}
		k.Log.Info("The node changed meanwhile, planning again", "policy", policy, "error", err.Error())
	}
}

func (k *Keeper) applyOnce(ctx context.Context, r journal.Record) error {
	if err := k.undoPending(); err != nil {
		return err
	}
	current, err := k.Read()
	if err != nil {
		return err
	}
	current = netstate.WithoutLeases(current)
	r = located(r, current)
	r.Before = journal.State(current)
	old, recorded := k.find(r)
	if recorded {
		r = inherit(r, current, old.Inherited)
		r.Before, r.Earlier = old.Before, journal.Earlier(old, r.Desired)
	} else {
		r = inherit(r, current, journal.State{})
	}
	desired := netstate.State(r.Desired)
	// What the policy names is its own from now on, or a port it asks for would count as somebody else's.
	current = netstate.Own(current, desired)
	err = k.transact(ctx, current, journal.Change{Record: r, Wishes: []journal.State{r.Desired}})
	if err != nil {
		return err
	}
	k.records[r.Key()] = r
	if k.unread {
		_, failed := k.Journal.Records() // this may have been the one
		k.unread = failed != nil
	}
	k.latest = nil // who owns what has changed
	delete(k.healings, r.Key())
	return errors.Join(k.replace(old, r), k.restored(r.Key()), k.Journal.DropAside(r.Key()), k.disown(r))
}

// find returns the record of the same policy: by UID, or by name if it was written before there were UIDs.
func (k *Keeper) find(r journal.Record) (journal.Record, bool) {
	old, ok := k.records[r.Key()]
	if !ok {
		old, ok = k.records[r.Policy]
		ok = ok && old.UID == ""
	}
	return old, ok && !old.Orphan
}

// replace drops a record that now has another key.
func (k *Keeper) replace(old, r journal.Record) error {
	if old.Policy == "" || old.Key() == r.Key() {
		return nil
	}
	delete(k.records, old.Key())
	return k.Journal.Drop(old.Key())
}

// noteLost notes that a generation cost the node its connectivity, if that is what an error says, and that it did not
// if there is none.
func (k *Keeper) noteLost(r journal.Record, err error) error {
	var lost *LostError
	_, noted := k.lost[r.Key()]
	switch {
	case errors.As(err, &lost):
		return k.Refuse(r.Key(), r.Generation)
	case err == nil && noted:
		delete(k.lost, r.Key())
		return k.Journal.NoteLost(k.lost)
	}
	return nil
}

// Refuse notes that a generation of a policy, by its key, must not be tried again.
func (k *Keeper) Refuse(key string, generation int64) error {
	k.lost[key] = generation
	return k.Journal.NoteLost(k.lost)
}

// Refused reports whether a generation of a policy must not be tried again.
func (k *Keeper) Refused(key string, generation int64) bool {
	lost, noted := k.lost[key]
	return noted && lost == generation
}

// Orphan notes that a policy, by its key, is gone. What it made stays.
func (k *Keeper) Orphan(key string) error {
	r, ok := k.records[key]
	if !ok || r.Orphan {
		return nil
	}
	r.Orphan = true
	return k.keep(r)
}

// Annotate notes what the annotations of a policy say, by its key, as another record of it has them.
func (k *Keeper) Annotate(key string, now journal.Record) error {
	r, ok := k.records[key]
	if !ok || r.Orphan || r.SameAnnotations(now) {
		return nil
	}
	r.Heal, r.Revert, r.NoBootUnit, r.ProbeDeadline = now.Heal, now.Revert, now.NoBootUnit, now.ProbeDeadline
	return k.keep(r)
}

func (k *Keeper) keep(r journal.Record) error {
	if err := k.Journal.Keep(r); err != nil {
		return err
	}
	k.records[r.Key()] = r
	return nil
}

// disown takes the interfaces that a policy names off the records that policies which are gone left: from now on they
// are its business.
func (k *Keeper) disown(r journal.Record) error {
	var failed []error
	for key, orphan := range k.records {
		if !orphan.Orphan || key == r.Key() {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(orphan.Desired.Interfaces), func(i netstate.Interface) bool {
			return slices.ContainsFunc(r.Desired.Interfaces, func(ours netstate.Interface) bool { return ours.Name == i.Name })
		})
		switch len(left) {
		case len(orphan.Desired.Interfaces):
		case 0:
			failed = append(failed, k.Journal.Drop(key), k.Journal.DropAside(key))
			delete(k.records, key)
		default:
			orphan.Desired.Interfaces = left
			failed = append(failed, k.keep(orphan))
		}
	}
	return errors.Join(failed...)
}

// inherit adds to what a record desires the addresses of links that are taken over from their managers, now or for an
// earlier generation of the policy.
func inherit(r journal.Record, current netstate.State, earlier journal.State) journal.Record {
	desired := netstate.WithInherited(netstate.State(r.Desired), netstate.State(earlier))
	found := netstate.Inherit(current, desired)
	r.Desired = journal.State(netstate.WithInherited(desired, found))
	r.Inherited = earlier
	r.Inherited.Interfaces = slices.Concat(earlier.Interfaces, found.Interfaces)
	r.Inherited.Routes.Config = slices.Concat(earlier.Routes.Config, found.Routes.Config)
	return r
}
