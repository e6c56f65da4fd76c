package nodeagent

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

// mostAttempts is how often a node begins with a generation of a policy: an attempt that nobody lived to report, because
// the agent or the node died over it, is not to be repeated for ever.
const mostAttempts = 3

// A Policy is what an agent has to know of a policy and of its own enactment of it.
type Policy struct {
	Name       string
	Generation int64
	Spec       nmstate.PolicySpec
	// Heal and Revert are what its annotations say.
	Heal, Revert bool
	// Selected says that the policy is for this node.
	Selected bool
	// Turn is the generation that the node may apply, zero if it has no turn.
	Turn int64
	// Status is that of the enactment; zero where there is none.
	Status nmstate.EnactmentStatus
}

// finished says whether the enactment has the last word on the policy's generation.
func (p Policy) finished() bool { return p.Status.Finished(p.Generation) }

// attempts is how often the node has begun with this generation.
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
}

// tasks lists what is to be done about the policies, by name: first what ends, then what begins. policies are all there
// are, and records what the node is committed to.
func tasks(policies []Policy, records map[string]journal.Record) []task {
	var ends, begins []task
	policies = slices.SortedFunc(slices.Values(policies), func(a, b Policy) int { return cmp.Compare(a.Name, b.Name) })
	selected := map[string]bool{}
	for _, p := range policies {
		if !p.Selected {
			continue
		}
		selected[p.Name] = true
		r, recorded := records[p.Name]
		if recorded && !r.Orphan && (r.Heal != p.Heal || r.Revert != p.Revert) {
			begins = append(begins, task{annotate, p})
		}
		if p.Turn != p.Generation || p.finished() {
			continue
		}
		if p.attempts() >= mostAttempts {
			begins = append(begins, task{giveUp, p})
			continue
		}
		begins = append(begins, task{apply, p})
	}
	for _, name := range slices.Sorted(maps.Keys(records)) {
		r := records[name]
		if selected[name] || r.Orphan {
			continue
		}
		what := orphan
		if r.Revert {
			what = revert
		}
		ends = append(ends, task{what, Policy{Name: name}})
	}
	return append(ends, begins...)
}
