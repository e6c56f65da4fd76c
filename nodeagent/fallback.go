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

	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

const (
	// DefaultBootDeadline is how long what the node lives by has to answer after a boot, unless a policy says otherwise:
	// LACP and STP take their time.
	DefaultBootDeadline = time.Minute
	// minFallen is how long the distribution's configuration is given at least: NetworkManager alone waits 45 seconds for
	// a DHCP server.
	minFallen = 2 * time.Minute
	// trialRound is how long one question of a trial takes.
	trialRound = 10 * time.Second
)

// A trial finds out, after a boot, whether the node reaches others by its policies or by what the distribution
// configures, whichever it has now. See docs/decisions/0022.
type trial struct {
	concluded bool
	// begun is when it was begun with what the node has now; zero for not yet.
	begun time.Time
}

// A move is what comes next in a trial.
type move string

const (
	ask      move = "ask again"
	conclude move = "conclude" // for what the node has now
	change   move = "change"   // to the other
)

// next returns what comes after a question.
func (t trial) next(answered bool, now time.Time, deadline time.Duration) move {
	switch {
	case answered:
		return conclude
	case now.Sub(t.begun) >= deadline:
		return change
	}
	return ask
}

// Trial asks once by what the node has after a boot, for a few seconds at most, and falls back to what the distribution
// configures where nothing has answered by its policies in time; or goes back to the policies if nothing answers by
// that either. It reports whether what comes after the restoration of the network may begin. It does nothing once there
// was an answer in this boot. Call it again and again, with Heal in between.
func (k *Keeper) Trial(ctx context.Context, probe WayProbe) (ready bool, err error) {
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(k.way.Policies)), func(key string) bool {
		_, recorded := k.records[key]
		return !recorded
	})
	fell := len(k.fallen.Records) > 0
	switch {
	case k.trial.concluded:
		return true, nil
	case !fell && (len(keys) == 0 || len(k.way.Answered) == 0 || len(k.before.Interfaces) == 0):
		return true, k.conclude()
	case k.trial.begun.IsZero():
		k.trial.begun = k.Clock.Now()
	}
	round, cancel := context.WithTimeout(ctx, trialRound)
	defer cancel()
	if fell {
		return true, k.tryFallen(ctx, probe(round, nil, false))
	}
	silent := silence(k.way.Answered, probe(round, k.wayLinks(keys), true))
	deadline := bootDeadline(k.records, keys)
	switch next := k.trial.next(silent == nil, k.Clock.Now(), deadline); {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case next == conclude:
		return true, k.conclude()
	case next == change:
		return true, k.fall(dependents(k.records, keys), fmt.Sprintf("%s within %s", oneLine(silent), deadline))
	}
	return false, nil
}

// tryFallen goes on with a trial of what the distribution configures, by what was answered.
func (k *Keeper) tryFallen(ctx context.Context, answers map[string]error) error {
	records := map[string]journal.Record{}
	for _, r := range k.fallen.Records {
		records[r.Key()] = r
	}
	deadline := max(minFallen, bootDeadline(records, slices.Collect(maps.Keys(records))))
	switch next := k.trial.next(len(answered(answers)) > 0, k.Clock.Now(), deadline); {
	case ctx.Err() != nil:
		return ctx.Err()
	case next == conclude:
		return k.conclude()
	case next == change:
		return k.rise()
	}
	return nil
}

// conclude ends the trial of this boot: somebody knows that the node reaches others, or asks nobody.
func (k *Keeper) conclude() error {
	if k.trial.concluded {
		return nil
	}
	k.trial.concluded = true
	return k.noteLeft()
}

// silence returns who of those that answered before does not now; nil for nobody.
func silence(before []string, answers map[string]error) error {
	var silent []string
	for _, name := range before {
		if err := answers[name]; err != nil {
			silent = append(silent, fmt.Sprintf("%s (%s)", name, oneLine(err)))
		}
	}
	if len(silent) == 0 {
		return nil
	}
	return errors.New("no answer from " + strings.Join(silent, ", "))
}

// bootDeadline returns how long the node has to answer after a boot by some of the records.
func bootDeadline(records map[string]journal.Record, keys []string) time.Duration {
	var longest time.Duration
	for _, key := range keys {
		longest = max(longest, records[key].ProbeDeadline)
	}
	if longest == 0 {
		return DefaultBootDeadline
	}
	return longest
}

// fall gives up what some records say. Once that is on disk there is no way back but rise.
func (k *Keeper) fall(keys []string, cause string) error {
	fallen := journal.Fallen{Boot: k.Boot, Cause: cause, Way: k.way}
	for _, key := range keys {
		fallen.Records = append(fallen.Records, k.records[key])
	}
	k.Log.Info("Falling back to the distribution's configuration", "policies", policyNames(fallen.Records), "cause", cause)
	k.trial.begun = k.Clock.Now()
	if err := k.Journal.NoteFallen(fallen); err != nil {
		return err
	}
	defer k.hold()
	return k.finishFall(fallen, true)
}

// finishFall has what fell be neither on record nor, if the kernel may have something of it, there. What the kernel
// does not let go of stays.
func (k *Keeper) finishFall(fallen journal.Fallen, made bool) error {
	k.fallen = fallen
	for _, r := range fallen.Records {
		delete(k.records, r.Key())
		delete(k.healings, r.Key())
	}
	var unmade error
	if made && len(k.before.Interfaces) > 0 {
		unmade = k.unmake(fallen.Records)
	}
	k.way = journal.Way{} // what comes next is known by what it reaches
	failed := []error{k.Journal.NoteWay(k.way)}
	for _, r := range fallen.Records {
		failed = append(failed, k.Journal.Drop(r.Key()), k.restored(r.Key()))
	}
	if err := errors.Join(failed...); err != nil {
		return errors.Join(unmade, err) // the next start goes on with it
	}
	k.fallen.Done = true
	return errors.Join(unmade, k.Journal.NoteFallen(k.fallen))
}

// rise takes up again what was given up, for nothing answers without it either.
func (k *Keeper) rise() error {
	defer k.hold()
	k.Log.Info("Nothing answers with the distribution's configuration either, going back to the policies",
		"policies", policyNames(k.fallen.Records))
	for _, r := range k.fallen.Records {
		if err := k.keep(r); err != nil {
			return err
		}
		if !slices.Contains(k.left, r.Key()) {
			k.left = append(k.left, r.Key())
		}
	}
	k.way, k.fallen, k.trial.begun = k.fallen.Way, journal.Fallen{}, k.Clock.Now()
	failed := errors.Join(k.Journal.NoteWay(k.way), k.noteLeft())
	if failed == nil {
		failed = k.Journal.NoteFallen(k.fallen)
	}
	k.latest = nil
	return errors.Join(failed, k.restoreLeft())
}

// loadFallen reads what was given up, and goes on with what was begun of that. booted says that it is another boot now.
func (k *Keeper) loadFallen(booted bool) error {
	fallen, err := k.Journal.Fallen()
	if err != nil || len(fallen.Records) == 0 {
		return err
	}
	if !fallen.Done {
		return k.finishFall(fallen, !booted)
	}
	k.fallen = fallen
	return k.takeUp(slices.Collect(maps.Keys(k.records))...)
}

// takeUp forgets that policies, by their keys, were given up.
func (k *Keeper) takeUp(keys ...string) error {
	rest := slices.DeleteFunc(slices.Clone(k.fallen.Records), func(r journal.Record) bool {
		return slices.Contains(keys, r.Key())
	})
	if len(rest) == len(k.fallen.Records) {
		return nil
	}
	k.fallen.Records = rest
	return k.Journal.NoteFallen(k.fallen)
}

// policyNames returns the names of the policies of records.
func policyNames(records []journal.Record) []string {
	names := make([]string, len(records))
	for n, r := range records {
		names[n] = r.Policy
	}
	return names
}

// fallback returns what became of a policy, by its key, after a boot; "" if it was not given up.
func (k *Keeper) fallback(key string) string {
	for _, r := range k.fallen.Records {
		if r.Key() == key {
			return "fell back to the distribution's configuration at boot: " + k.fallen.Cause
		}
	}
	return ""
}
