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

// plan is how to fulfil wishes, one after the other.
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

// transact plans and carries out a change under the protection of the journal.
func (k *Keeper) transact(ctx context.Context, current netstate.State, c journal.Change) error {
	steps, err := plan(current, c.Wishes)
	if err != nil {
		return err
	}
	c.From = journal.State(current)
	c.Steps = steps
	k.Log.Info("Planned", "policy", c.Policy, "generation", c.Generation, "steps", len(steps), "plan", netstate.Explain(current, steps))
	after := func(context.Context) error { return nil }
	if k.Probe != nil && len(steps) > 0 {
		after = k.Probe(ctx)
	}
	if err := k.Journal.Begin(c); err != nil {
		return err
	}
	if err := kernel.Apply(k.Node, steps); err != nil {
		return k.abandon(c, err)
	}
	applied := k.Clock.Now()
	if err := k.check(ctx, c, after); err != nil {
		return k.abandon(c, err)
	}
	k.Log.Info("Verified", "policy", c.Policy, "took", k.Clock.Since(applied).String())
	return k.Journal.Commit(c)
}

// check finds out whether a change did what it should and nothing else.
func (k *Keeper) check(ctx context.Context, c journal.Change, after func(context.Context) error) error {
	current, err := k.Read()
	if err != nil {
		return err
	}
	left, err := plan(netstate.Own(current, netstate.State(c.Desired)), c.Wishes)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if len(left) > 0 {
		return fmt.Errorf("verify: the kernel took every step, and yet it is to do: %s", netstate.Format(left))
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(k.Deadline, DefaultProbeDeadline))
	defer cancel()
	if err := after(ctx); err != nil {
		return &LostError{Cause: err}
	}
	return nil
}

// abandon undoes a change that failed. The journal forgets it only if that worked: else settle tries again.
func (k *Keeper) abandon(c journal.Change, cause error) error {
	var failed *kernel.ApplyError
	if errors.As(cause, &failed) {
		c.Steps = c.Steps[:failed.Number-1] // the others were not taken, and what they would have made is not ours
	}
	if err := k.undo(c); err != nil {
		k.Log.Error(err, "Change not undone", "policy", c.Policy)
		return errors.Join(cause, err)
	}
	return errors.Join(cause, k.Journal.Abandon())
}

// settle undoes the change that was under way, if one was: the agent ended over it, or could not undo it when it failed.
// Nothing may begin before that, since the journal holds one change.
func (k *Keeper) settle() error {
	pending, err := k.Journal.Pending()
	if err != nil || pending == nil {
		return err
	}
	k.Log.Info("Undoing the change that was under way", "policy", pending.Policy, "generation", pending.Generation)
	if err := k.undo(*pending); err != nil {
		return fmt.Errorf("generation %d of policy %s is neither applied nor undone: %w", pending.Generation, pending.Policy, err)
	}
	return k.Journal.Abandon()
}

// undo takes back the steps of a change that were taken, up to whichever that was, newest first. Steps that were not
// taken find the node in another state than they would have left, and are passed over. If in the end the node is not as
// it was, the difference is planned and carried out.
func (k *Keeper) undo(c journal.Change) error {
	for _, inverse := range netstate.Invert(c.Steps) {
		var stale *kernel.StaleError
		if err := k.Node.Do(inverse); err != nil && !errors.As(err, &stale) {
			k.Log.Info("Step not undone", "policy", c.Policy, "step", netstate.Format([]netstate.Step{inverse}), "error", err.Error())
		}
	}
	current, err := k.Node.Read()
	if err != nil {
		return fmt.Errorf("undo: read the node's network: %w", err)
	}
	c.From.Interfaces = append(slices.Clone(c.From.Interfaces), newcomers(c, current)...)
	var back []journal.State
	for _, wish := range c.Wishes {
		back = append(back, journal.State(netstate.Revert(netstate.State(c.From), netstate.State(wish))))
	}
	left, err := plan(netstate.Own(current, netstate.State(c.Desired)), back)
	if err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	if len(left) == 0 {
		return nil
	}
	if err := kernel.Apply(k.Node, left); err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	return nil
}

// newcomers are links that came during a change and that no step of it makes: somebody else's, which stay.
func newcomers(c journal.Change, current netstate.State) []netstate.Interface {
	from := netstate.State(c.From)
	return slices.DeleteFunc(slices.Clone(current.Interfaces), func(i netstate.Interface) bool {
		_, was := from.Interface(i.Name)
		return was || slices.ContainsFunc(c.Steps, func(s netstate.Step) bool {
			return s.Kind == netstate.StepLink && s.To.Link != nil &&
				(s.To.Link.Name == i.Name || s.To.Peer != nil && s.To.Peer.Name == i.Name)
		})
	})
}
