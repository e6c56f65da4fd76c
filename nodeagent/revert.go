// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

// Revert undoes what a policy did, by its key, so far as the node lets, and forgets it; or leaves the node as it was.
// Then it may be called again after RevertPause, unless the record is an orphan by then: that cost the node its
// connectivity, or was tried too often. See docs/decisions/0017.
func (k *Keeper) Revert(ctx context.Context, key string) error {
	defer k.hold()
	r, ok := k.records[key]
	if !ok {
		return nil
	}
	if err := k.undoPending(); err != nil {
		return err
	}
	r.Reverts++ // before it is tried, so that an agent that dies over it each time does not do so for ever
	if err := k.keep(r); err != nil {
		return err
	}
	var wishes []journal.State
	err := k.replan(r.Policy, func() (err error) {
		wishes, err = k.revertOnce(ctx, r)
		return err
	})
	if err != nil {
		return errors.Join(err, k.notReverted(r, wishes, err))
	}
	return errors.Join(k.reverted(r), k.restored(key))
}

// revertOnce returns the wishes that undo the policy on the node as it is, besides why they could not be fulfilled.
func (k *Keeper) revertOnce(ctx context.Context, r journal.Record) ([]journal.State, error) {
	if err := k.undoPending(); err != nil {
		return nil, err
	}
	current, err := k.Read()
	if err != nil {
		return nil, err
	}
	r = located(r, current)
	c := journal.Change{Record: r, Removal: true}
	current = owned(c, current)
	for _, wish := range k.removal(r).Wishes(current) {
		c.Wishes = append(c.Wishes, journal.State(wish))
	}
	return c.Wishes, k.transact(ctx, current, c)
}

// owned returns a state with the links marked as ours that the policy of a change names, or once named.
func owned(c journal.Change, current netstate.State) netstate.State {
	current = netstate.Own(current, netstate.State(c.Desired))
	for _, earlier := range c.Earlier {
		current = netstate.Own(current, netstate.State(earlier))
	}
	return current
}

// reverted forgets a policy that was reverted, and tells people what of it is left.
func (k *Keeper) reverted(r journal.Record) error {
	delete(k.records, r.Key())
	delete(k.healings, r.Key())
	delete(k.reverting, r.Key())
	current, err := k.Read()
	if err != nil {
		return err
	}
	r = located(r, current)
	remaining := k.removal(r).Remaining(current)
	for _, link := range slices.Sorted(maps.Keys(remaining)) {
		k.tell("", "RevertedInPart", fmt.Sprintf("policy %s is reverted except for %s, which is still used by %s",
			r.Policy, link, strings.Join(remaining[link], ", ")))
	}
	kept := k.removal(r).Kept(current)
	if len(kept.Interfaces) == 0 {
		return nil
	}
	r.Desired, r.Earlier, r.Orphan = journal.State(kept), nil, true // or other policies fall with the next boot
	return k.keep(r)
}

// notReverted notes why a policy could not be reverted. It is tried again after a while, or never.
func (k *Keeper) notReverted(r journal.Record, wishes []journal.State, cause error) error {
	var lost *LostError
	if !errors.As(cause, &lost) && r.Reverts < maxUndos {
		k.reverting[r.Key()] = k.reverting[r.Key()].next(k.Clock.Now())
		return nil
	}
	delete(k.reverting, r.Key())
	k.tell("", "NotReverted", fmt.Sprintf("policy %s was deleted and could not be reverted; what it configured stays: %s",
		r.Policy, oneLine(cause)))
	r.Orphan = true
	return errors.Join(k.keep(r), k.Journal.NoteAside(journal.Change{Record: r, Removal: true, Wishes: wishes}))
}

// RevertPause returns how long to wait before a policy may be reverted again, by its key.
func (k *Keeper) RevertPause(key string) time.Duration { return k.reverting[key].due(k.Clock.Now()) }

// tell tells people of something about a policy, or about the node if the policy is "".
func (k *Keeper) tell(policy, reason, note string) {
	if k.Event != nil {
		k.Event(policy, reason, note)
	}
}

// removal returns what there is to undo of a policy, and what is there of others: of policies, and of those that are
// gone.
func (k *Keeper) removal(r journal.Record) netstate.Removal {
	removal := netstate.Removal{Before: netstate.State(r.Before)}
	for _, desired := range append([]journal.State{r.Desired}, r.Earlier...) {
		removal.Desired = append(removal.Desired, netstate.State(desired))
	}
	for _, key := range slices.Sorted(maps.Keys(k.records)) {
		if key != r.Key() {
			removal.Others = append(removal.Others, netstate.State(k.records[key].Desired))
		}
	}
	return removal
}
