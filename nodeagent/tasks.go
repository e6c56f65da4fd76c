// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

// maxAttempts is how often a node begins with a generation of a policy: an attempt that nobody lived to report, because
// the agent or the node died over it, is not to be repeated for ever.
const maxAttempts = 3

// A Policy is what an agent has to know of a policy and of its own enactment of it.
type Policy struct {
	Name string
	// UID tells it from others that had its name before.
	UID        string
	Generation int64
	Spec       nmstate.PolicySpec
	// Heal, Revert and NoBootUnit are what its annotations say.
	Heal, Revert, NoBootUnit bool
	// RemoveProfiles says that an annotation wants the profiles removed that kubernetes-nmstate left of its links.
	RemoveProfiles bool
	// ProbeDeadline is how long its annotation gives the node to answer; zero if there is none. Invalid says what is
	// wrong with the annotation.
	ProbeDeadline time.Duration
	Invalid       error
	// Selected says that the policy is for this node.
	Selected bool
	// Turn is the generation that the node may apply, zero if it has no turn.
	Turn int64
	// Status is that of the enactment; zero where there is none.
	Status nmstate.EnactmentStatus
}

// record returns what the journal knows the policy by.
func (p Policy) record() journal.Record {
	return journal.Record{
		Policy: p.Name, UID: p.UID, Generation: p.Generation,
		Heal: p.Heal, Revert: p.Revert, NoBootUnit: p.NoBootUnit, ProbeDeadline: p.ProbeDeadline,
	}
}

// key returns that of its record.
func (p Policy) key() string { return p.record().Key() }

// finished reports whether the enactment has the last word on the policy's generation.
func (p Policy) finished() bool { return p.Status.Finished(p.Generation) }

// available reports whether the policy's generation was applied.
func (p Policy) available() bool {
	return p.finished() && nmstate.IsTrue(p.Status.Conditions, nmstate.EnactmentAvailable)
}

// failed reports whether the policy's generation could not be applied.
func (p Policy) failed() bool { return p.finished() && p.Status.Failed() }

// attempts returns how often the node has begun with this generation.
func (p Policy) attempts() int {
	return p.Status.RetryCount[strconv.FormatInt(p.Generation, 10)]
}

// A verb is what is to be done about a policy.
type verb string

const (
	apply    verb = "apply"
	giveUp   verb = "give up" // it was begun too often
	revert   verb = "revert"
	orphan   verb = "orphan"
	annotate verb = "annotate"
)

// A task is one thing to do.
type task struct {
	verb   verb
	policy Policy
	// key is that of the record it is about.
	key string
	// again says that the turn was finished before.
	again bool
}

// tasks lists what is to be done about the policies, by name: first what ends, then what begins. policies are all
// there are, and those that were deleted a moment ago; records what the node is committed to by key, and again whether
// a turn that is finished is to be taken once more.
func tasks(policies []Policy, records map[string]journal.Record, again func(Policy) bool) []task {
	var ends, begins []task
	policies = slices.SortedFunc(slices.Values(policies), func(a, b Policy) int { return cmp.Compare(a.Name, b.Name) })
	selected := map[string]bool{} // by key
	left := map[string]Policy{}   // the others, by key
	for _, p := range policies {
		if !p.Selected {
			left[p.key()] = p
			continue
		}
		key := p.key()
		selected[key] = true
		r, recorded := records[key]
		if old, found := records[p.Name]; found && old.UID == "" {
			selected[p.Name] = true // it was written before there were UIDs; a crash can leave both
			if !recorded {
				key, r, recorded = p.Name, old, true
			}
		}
		if recorded && !r.Orphan && !r.SameAnnotations(p.record()) {
			begins = append(begins, task{verb: annotate, policy: p, key: key})
		}
		if turn := takeTurn(p, again); turn.verb != "" {
			turn.key = key
			begins = append(begins, turn)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(records)) {
		r := records[key]
		if selected[key] || r.Orphan {
			continue
		}
		if p, known := left[key]; known && p.Revert != r.Revert { // the annotation came with, or just before, the end
			ends = append(ends, task{verb: annotate, policy: p, key: key})
			r.Revert = p.Revert
		}
		what := orphan
		if r.Revert {
			what = revert
		}
		ends = append(ends, task{verb: what, policy: Policy{Name: r.Policy, UID: r.UID}, key: key})
	}
	return append(ends, begins...)
}

// takeTurn returns what is to be done about the turn of a policy; the zero task for nothing.
func takeTurn(p Policy, again func(Policy) bool) task {
	finished := p.finished()
	switch {
	case p.Turn != p.Generation, finished && !again(p):
		return task{}
	case !finished && p.attempts() >= maxAttempts:
		return task{verb: giveUp, policy: p}
	}
	return task{verb: apply, policy: p, again: finished}
}
