// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// planOf returns how to fulfil the wishes of a change.
func planOf(c journal.Change, current netstate.State) ([]netstate.Step, error) {
	if !c.Removal {
		return plan(current, c.Wishes)
	}
	wishes := make([]netstate.State, len(c.Wishes))
	for n, wish := range c.Wishes {
		wishes[n] = netstate.State(wish)
	}
	return netstate.PlanRemoval(current, wishes), nil
}

// plan returns how to fulfil wishes, one after the other.
func plan(current netstate.State, wishes []journal.State) ([]netstate.Step, error) {
	var all []netstate.Step
	for _, wish := range wishes {
		steps, err := netstate.Plan(current, netstate.State(wish))
		if err != nil {
			return nil, err
		}
		for _, step := range steps {
			if current, err = current.Apply(step); err != nil {
				return nil, fmt.Errorf("plan: %w", err)
			}
		}
		all = append(all, steps...)
	}
	return all, nil
}

// planBack returns how to fulfil wishes that we derived ourselves, one after the other, so far as the node lets.
func planBack(current netstate.State, wishes []journal.State) ([]netstate.Step, error) {
	var all []netstate.Step
	for _, wish := range wishes {
		steps := netstate.PlanBack(current, netstate.State(wish))
		for _, step := range steps {
			var err error
			if current, err = current.Apply(step); err != nil {
				return nil, fmt.Errorf("plan the way back: %w", err)
			}
		}
		all = append(all, steps...)
	}
	return all, nil
}

// wayBack returns the wishes that undo those of a change.
func (k *Keeper) wayBack(c journal.Change) []journal.State {
	back := make([]journal.State, len(c.Wishes))
	from := k.own(owned(c, netstate.State(c.From))) // what is whose is not on disk
	for n, wish := range c.Wishes {
		back[n] = journal.State(netstate.Revert(from, netstate.State(wish)))
	}
	return back
}

// withoutManagers leaves out who manages the links: managers take their time, and a link that was given back to one is
// as it was. HoldLinks sees to it.
func withoutManagers(steps []netstate.Step) []netstate.Step {
	return slices.DeleteFunc(steps, func(s netstate.Step) bool { return s.Kind == netstate.StepManager })
}

// transact plans and carries out a change under the protection of the journal.
func (k *Keeper) transact(ctx context.Context, current netstate.State, c journal.Change) error {
	steps, err := planOf(c, current)
	if err != nil {
		return err
	}
	c.From, c.Steps, c.Boot = journal.State(current), steps, k.Boot
	k.Log.Info("Planned", "policy", c.Policy, "generation", c.Generation, "steps", len(steps),
		"plan", netstate.Explain(current, steps))
	after := func(context.Context) error { return nil }
	if k.Probe != nil && len(steps) > 0 {
		after = k.Probe(ctx)
	}
	if err := k.Journal.Begin(c); err != nil {
		return err
	}
	k.latest = nil
	if err := kernel.Apply(k.Node, steps); err != nil {
		return k.abandon(c, err)
	}
	if err := k.catchUp(&c); err != nil {
		return k.abandon(c, err)
	}
	applied := k.Clock.Now()
	if err := k.verify(c); err != nil {
		return k.abandon(c, err)
	}
	if err := k.ask(ctx, c, after); err != nil {
		return k.abandon(c, err)
	}
	k.Log.Info("Verified", "policy", c.Policy, "took", k.Clock.Since(applied).String())
	return k.Journal.Commit(c)
}

// catchUp carries out what a change has to do besides because a manager was at work on a link when it was told to let
// go of it, as with a lease that had just come. That becomes part of the change.
func (k *Keeper) catchUp(c *journal.Change) error {
	if !slices.ContainsFunc(c.Steps, func(s netstate.Step) bool { return s.Kind == netstate.StepManager }) {
		return nil
	}
	current, err := k.Read()
	if err != nil {
		return err
	}
	more, err := planOf(*c, owned(*c, current))
	if err != nil {
		return fmt.Errorf("plan again after a network manager's change: %w", err)
	}
	if more = withoutManagers(more); len(more) == 0 {
		return nil
	}
	k.Log.Info("A network manager changed the node meanwhile", "policy", c.Policy, "plan", netstate.Explain(current, more))
	before := len(c.Steps)
	c.Steps = slices.Concat(c.Steps, more)
	if err := k.Journal.Begin(*c); err != nil {
		return err
	}
	err = kernel.Apply(k.Node, more)
	var failed *kernel.ApplyError
	if errors.As(err, &failed) {
		c.Steps = c.Steps[:before+failed.Number-1]
		return fmt.Errorf("after a network manager's change: %w", failed.Cause)
	}
	return err
}

// verify finds out whether a change did what it should.
func (k *Keeper) verify(c journal.Change) error {
	current, err := k.Read()
	if err != nil {
		return err
	}
	left, err := planOf(c, owned(c, current))
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if left = withoutManagers(left); len(left) > 0 {
		return fmt.Errorf("verify: the kernel accepted every step, but these are still needed: %s", netstate.Format(left))
	}
	return nil
}

// ask asks the probe whether the node still reaches what it reached before the change. A removal gives links back to
// their managers before that, for the node may reach nothing without what they know (docs/decisions/0017).
func (k *Keeper) ask(ctx context.Context, c journal.Change, after func(context.Context) error) error {
	deadline := cmp.Or(c.ProbeDeadline, k.Deadline, DefaultProbeDeadline)
	if c.Removal && k.giveBack(c) {
		deadline += giveBackTime
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if err := after(ctx); err != nil {
		return &LostError{Cause: err}
	}
	return nil
}

// maxUndos is how often a change is tried to be undone before it is set aside.
const maxUndos = 5

// abandon undoes a change that failed. The journal forgets it only if that worked: else undoPending tries again.
func (k *Keeper) abandon(c journal.Change, cause error) error {
	var failed *kernel.ApplyError
	if errors.As(cause, &failed) {
		c.Steps = c.Steps[:failed.Number-1] // the others were not taken, and what they would have made is not ours
	}
	if err := k.undo(c); err != nil {
		return errors.Join(cause, k.notUndone(c, err))
	}
	return errors.Join(cause, k.Journal.Abandon())
}

// undoPending undoes the change that was under way, if one was: the agent ended over it, or could not undo it when it
// failed. Nothing may begin before that, since the journal holds one change. One that cannot be undone again and
// again is set aside.
func (k *Keeper) undoPending() error {
	pending, err := k.Journal.Pending()
	if err != nil || pending == nil {
		return err
	}
	k.Log.Info("Undoing an interrupted change", "policy", pending.Policy, "generation", pending.Generation)
	if err := k.undo(*pending); err != nil {
		return k.notUndone(*pending, err)
	}
	return k.Journal.Abandon()
}

// notUndone notes that a change could not be undone: it is tried again, or set aside after the last time. The error is
// nil in that case, for then the node goes on.
func (k *Keeper) notUndone(c journal.Change, cause error) error {
	c.Failures++
	err := fmt.Errorf("generation %d of policy %s is neither applied nor undone: %w", c.Generation, c.Policy, cause)
	k.Log.Error(err, "Cannot undo the change", "tries", c.Failures, "of", maxUndos)
	if c.Failures < maxUndos {
		k.undoing = k.undoing.next(k.Clock.Now())
		return errors.Join(err, k.Journal.Begin(c))
	}
	k.undoing = healing{}
	about := c.Policy
	if c.Removal {
		about = "" // the policy is gone
	}
	k.tell(about, "NotUndone", fmt.Sprintf("%s; giving up after %d tries", oneLine(err), c.Failures))
	return k.Journal.SetAside(c)
}

// undo takes back the steps of a change that were taken, up to whichever that was, newest first. Steps that were not
// taken find the node in another state than they would have left, and are passed over. If in the end the node is not as
// it was, the difference is planned and carried out, but for what cannot be, since a link is gone.
func (k *Keeper) undo(c journal.Change) error {
	k.latest = nil
	if c.Removal {
		k.hold() // managers let go again of what they were given back
	}
	for _, inverse := range netstate.Invert(c.Steps) {
		var stale *kernel.StaleError
		if err := k.Node.Do(inverse); err != nil && !errors.As(err, &stale) {
			k.Log.Info("Cannot undo a step", "policy", c.Policy, "step", netstate.Format([]netstate.Step{inverse}),
				"error", err.Error())
		}
	}
	current, err := k.readNode()
	if err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	c.From.Interfaces = append(slices.Clone(c.From.Interfaces), newcomers(c, current)...)
	left, err := planBack(owned(c, current), k.wayBack(c))
	if err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	if left = withoutManagers(left); len(left) == 0 {
		return nil
	}
	if err := kernel.Apply(k.Node, left); err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	return nil
}

// newcomers returns links that came during a change and that no step of it makes: somebody else's, which stay.
func newcomers(c journal.Change, current netstate.State) []netstate.Interface {
	from := netstate.State(c.From)
	return slices.DeleteFunc(slices.Clone(current.Interfaces), func(i netstate.Interface) bool {
		_, was := from.Interface(i.Name)
		// A pod's port stays where it is by itself.
		return was || i.Foreign() || slices.ContainsFunc(c.Steps, func(s netstate.Step) bool {
			return s.Kind == netstate.StepLink && s.To.Link != nil &&
				(s.To.Link.Name == i.Name || s.To.Peer != nil && s.To.Peer.Name == i.Name)
		})
	})
}

// readNode returns the state of the node.
func (k *Keeper) readNode() (netstate.State, error) {
	current, err := k.Node.Read()
	if err != nil {
		return netstate.State{}, fmt.Errorf("read the node's network: %w", err)
	}
	return current, nil
}

// putBack makes what is missing of a wish on a node in this state, and returns what that took.
func (k *Keeper) putBack(current, wish netstate.State, what string) ([]netstate.Step, error) {
	steps, err := netstate.Plan(current, wish)
	if err != nil || len(steps) == 0 {
		return nil, err
	}
	k.latest = nil
	k.Log.Info(what, "plan", netstate.Explain(current, steps))
	return steps, kernel.Apply(k.Node, steps)
}
