// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"maps"
	"slices"
	"time"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

const (
	// firstWait is how long a policy that was healed is left alone; the wait doubles, up to maxWait, while it has to
	// be healed again and again, so as not to fight another manager of the network.
	firstWait = time.Second
	maxWait   = 5 * time.Minute
)

// A healing is the last time that a policy had to be healed. The zero healing is none.
type healing struct {
	at   time.Time
	wait time.Duration
}

// due returns how long to wait before the policy may be healed again; zero if it may be now.
func (h healing) due(now time.Time) time.Duration {
	return max(0, h.wait-now.Sub(h.at))
}

// next returns the healing after one at this time.
func (h healing) next(now time.Time) healing {
	wait := firstWait
	if h.wait > 0 && now.Sub(h.at) < 2*h.wait+firstWait {
		wait = min(2*h.wait, maxWait)
	}
	return healing{at: now, wait: wait}
}

// A Healed is a policy that somebody had changed behind our back.
type Healed struct {
	Policy string
	Steps  []netstate.Step
	// Err is why it could not be put back.
	Err error
}

// Heal puts back what somebody changed of the committed states whose policies want that, and says when to look again;
// zero if there is no need to. Before that it goes on with what could not be undone or restored so far. The node is as
// it is read now.
func (k *Keeper) Heal() (healed []Healed, again time.Duration) {
	k.NewPass()
	return k.heal()
}

// heal is Heal by the state that was read last in this pass.
func (k *Keeper) heal() (healed []Healed, again time.Duration) {
	defer k.hold()
	now := k.Clock.Now()
	soon := func(wait time.Duration) {
		if wait > 0 && (again == 0 || wait < again) {
			again = wait
		}
	}
	if wait := k.undoing.due(now); wait > 0 {
		soon(wait)
		return nil, again // nothing is begun before that
	} else if err := k.undoPending(); err != nil {
		soon(k.undoing.due(now))
		return nil, again
	}
	if wait := k.retry.due(now); wait > 0 {
		soon(wait)
	} else if err := k.restoreLeft(); err != nil {
		k.Log.V(1).Info("Not everything is restored yet", "error", oneLine(err))
		soon(k.retry.due(now))
	}
	var due []string
	for _, key := range slices.Sorted(maps.Keys(k.records)) {
		r := k.records[key]
		if r.Orphan || !r.Heal || slices.Contains(k.left, key) {
			continue
		}
		if wait := k.healings[key].due(now); wait > 0 {
			soon(wait)
			continue
		}
		due = append(due, key)
	}
	current, err := k.Latest()
	if err != nil {
		k.Log.Error(err, "Not healed")
		return nil, again
	}
	if k.inOrder(current, due) {
		return nil, again
	}
	for _, key := range due {
		h, found := k.healOne(&current, key)
		if found {
			healed = append(healed, h)
			soon(k.healings[key].due(now))
		}
	}
	return healed, again
}

// inOrder reports whether there is nothing to heal: one plan of the sum tells, as a rule.
func (k *Keeper) inOrder(current netstate.State, keys []string) bool {
	wishes := make([]netstate.State, len(keys))
	for n, key := range keys {
		wishes[n] = netstate.State(k.records[key].Desired)
	}
	steps, err := netstate.Plan(current, add(wishes...))
	return err == nil && len(steps) == 0
}

// healOne heals one policy. The state is read again when something was done.
func (k *Keeper) healOne(current *netstate.State, key string) (Healed, bool) {
	r := k.records[key]
	steps, err := k.putBack(*current, netstate.State(r.Desired), "Healing")
	if len(steps) == 0 && err == nil {
		return Healed{}, false
	}
	k.healings[key] = k.healings[key].next(k.Clock.Now())
	if next, failed := k.Latest(); failed == nil {
		*current = next
	}
	return Healed{Policy: r.Policy, Steps: steps, Err: err}, true
}

// Latest returns the state as it was read last in this pass (see NewPass), unless a change was begun since.
func (k *Keeper) Latest() (netstate.State, error) {
	if k.latest != nil {
		return *k.latest, nil
	}
	current, err := k.Read()
	if err == nil {
		k.latest = &current
	}
	return current, err
}

// NewPass has the state read again.
func (k *Keeper) NewPass() { k.latest = nil }
