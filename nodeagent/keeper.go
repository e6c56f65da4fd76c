package nodeagent

import (
	"context"
	"errors"
	"fmt"
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

// A Probe finds out, before a change, what the node reaches, and returns the question whether it still reaches that. The
// question is answered when ctx is done at the latest.
type Probe func(ctx context.Context) (after func(ctx context.Context) error)

// A Keeper makes a node be as its policies say and keeps it so, without any help: it knows the kernel and the journal,
// and no API. It is used by one goroutine.
type Keeper struct {
	// Node carries out every kind of step.
	Node    kernel.Node
	Journal *journal.Journal
	// Probe is asked around every change. Nil asks nothing.
	Probe Probe
	// Deadline is how long the probe may take after a change; DefaultProbeDeadline if zero.
	Deadline time.Duration
	Clock    clock.PassiveClock
	Log      logr.Logger

	records  map[string]journal.Record
	healings map[string]healing
}

// A LostError says that a change was undone because the node could not reach something afterwards that it reached
// before.
type LostError struct{ Cause error }

// Error is one line.
func (e *LostError) Error() string {
	return "the change was undone, since the node lost connectivity by it: " + e.Cause.Error()
}

// Unwrap is what was lost.
func (e *LostError) Unwrap() error { return e.Cause }

// Restore brings the node back to what it is committed to: a change that was under way is undone, newest step first, and
// what is missing of the committed states is made. It is called once, before anything else. The error joins what could
// not be restored; the rest is.
func (k *Keeper) Restore() error {
	var failed []error
	if err := k.settle(); err != nil {
		failed = append(failed, err)
	}
	records, err := k.Journal.Records()
	if err != nil {
		failed = append(failed, err)
	}
	k.records, k.healings = map[string]journal.Record{}, map[string]healing{}
	for _, r := range records {
		k.records[r.Policy] = r
	}
	for _, r := range records {
		if _, err := k.putBack(r, "Restoring"); err != nil {
			failed = append(failed, fmt.Errorf("restore policy %s: %w", r.Policy, err))
		}
	}
	return errors.Join(failed...)
}

// Records are what the node is committed to, by policy.
func (k *Keeper) Records() map[string]journal.Record { return maps.Clone(k.records) }

// Committed is the sum of what the node is committed to, without what was left by policies that are gone.
func (k *Keeper) Committed() netstate.State {
	return k.sum(func(r journal.Record) bool { return !r.Orphan })
}

// sum puts the desired states of records together, in the order of their names.
func (k *Keeper) sum(include func(journal.Record) bool) netstate.State {
	var all netstate.State
	for _, name := range slices.Sorted(maps.Keys(k.records)) {
		r := k.records[name]
		if !include(r) {
			continue
		}
		all.Interfaces = append(all.Interfaces, r.Desired.Interfaces...)
		if r.Desired.DNS.Config != nil {
			all.DNS = r.Desired.DNS
		}
	}
	return all
}

// Read is the state of the node, with the links marked as ours that a policy names.
func (k *Keeper) Read() (netstate.State, error) {
	current, err := k.Node.Read()
	if err != nil {
		return netstate.State{}, fmt.Errorf("read the node's network: %w", err)
	}
	return netstate.Own(current, k.sum(func(journal.Record) bool { return true })), nil
}

// maxReplans is how often a change is planned when the node changes between the plan and a step.
const maxReplans = 3

// Apply makes the node be as a record desires and commits to that, or leaves it as it was. Before is filled in. If
// somebody else changes the node meanwhile, it is planned anew. The error is one line a person understands; it is a
// *LostError if the node lost connectivity meanwhile.
func (k *Keeper) Apply(ctx context.Context, r journal.Record) error {
	for try := 1; ; try++ {
		err := k.applyOnce(ctx, r)
		var stale *kernel.StaleError
		if try == maxReplans || !errors.As(err, &stale) {
			return err
		}
		k.Log.Info("The node changed meanwhile, planning anew", "policy", r.Policy, "error", err.Error())
	}
}

func (k *Keeper) applyOnce(ctx context.Context, r journal.Record) error {
	if err := k.settle(); err != nil {
		return err
	}
	current, err := k.Read()
	if err != nil {
		return err
	}
	r.Before = journal.State(current)
	if old, ok := k.records[r.Policy]; ok && !old.Orphan {
		r.Before, r.Earlier = old.Before, journal.Earlier(old, r.Desired)
	}
	desired := netstate.State(r.Desired)
	// What the policy names is its own from now on, or a port it asks for would count as somebody else's.
	current = netstate.Own(current, desired)
	err = k.transact(ctx, current, journal.Change{Record: r, Wishes: []journal.State{r.Desired}})
	if err != nil {
		return err
	}
	k.records[r.Policy] = r
	delete(k.healings, r.Policy)
	return k.disown(r)
}

// Revert undoes what a policy did, and forgets it; or leaves the node as it was.
func (k *Keeper) Revert(ctx context.Context, policy string) error {
	r, ok := k.records[policy]
	if !ok {
		return nil
	}
	if err := k.settle(); err != nil {
		return err
	}
	current, err := k.Read()
	if err != nil {
		return err
	}
	err = k.transact(ctx, current, journal.Change{Record: r, Removal: true, Wishes: k.undoing(r)})
	if err != nil {
		return err
	}
	delete(k.records, policy)
	delete(k.healings, policy)
	return nil
}

// undoing are the wishes that undo a policy, all that it ever desired: the newest first. What another policy names is that
// one's, and stays as it is.
func (k *Keeper) undoing(r journal.Record) []journal.State {
	others := k.sum(func(other journal.Record) bool { return other.Policy != r.Policy && !other.Orphan })
	var wishes []journal.State
	for _, desired := range append([]journal.State{r.Desired}, r.Earlier...) {
		wish := netstate.Revert(netstate.State(r.Before), netstate.State(desired))
		wish.Interfaces = slices.DeleteFunc(wish.Interfaces, func(i netstate.Interface) bool {
			_, named := others.Interface(i.Name)
			return named
		})
		wishes = append(wishes, journal.State(wish))
	}
	return wishes
}

// Orphan notes that a policy is gone. What it made stays.
func (k *Keeper) Orphan(policy string) error {
	r, ok := k.records[policy]
	if !ok || r.Orphan {
		return nil
	}
	r.Orphan = true
	return k.keep(r)
}

// Annotate notes what the annotations of a policy say.
func (k *Keeper) Annotate(policy string, heal, revert bool) error {
	r, ok := k.records[policy]
	if !ok || r.Orphan || r.Heal == heal && r.Revert == revert {
		return nil
	}
	r.Heal, r.Revert = heal, revert
	return k.keep(r)
}

func (k *Keeper) keep(r journal.Record) error {
	if err := k.Journal.Keep(r); err != nil {
		return err
	}
	k.records[r.Policy] = r
	return nil
}

// disown takes the interfaces that a policy names off the records that policies which are gone left: from now on they
// are its business.
func (k *Keeper) disown(r journal.Record) error {
	var failed []error
	for name, orphan := range k.records {
		if !orphan.Orphan || name == r.Policy {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(orphan.Desired.Interfaces), func(i netstate.Interface) bool {
			return slices.ContainsFunc(r.Desired.Interfaces, func(ours netstate.Interface) bool { return ours.Name == i.Name })
		})
		switch len(left) {
		case len(orphan.Desired.Interfaces):
		case 0:
			failed = append(failed, k.Journal.Drop(name))
			delete(k.records, name)
		default:
			orphan.Desired.Interfaces = left
			failed = append(failed, k.keep(orphan))
		}
	}
	return errors.Join(failed...)
}

// putBack makes what is missing of a committed state, and says what that took.
func (k *Keeper) putBack(r journal.Record, what string) ([]netstate.Step, error) {
	current, err := k.Read()
	if err != nil {
		return nil, err
	}
	steps, err := netstate.Plan(current, netstate.State(r.Desired))
	if err != nil || len(steps) == 0 {
		return nil, err
	}
	k.Log.Info(what, "policy", r.Policy, "plan", netstate.Explain(current, steps))
	return steps, kernel.Apply(k.Node, steps)
}
