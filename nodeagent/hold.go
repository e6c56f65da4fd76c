// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"maps"
	"slices"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

// A holding is how it went the last time that links were kept from their managers.
type holding struct {
	links []string
	// failed is when that failed, and why; the zero healing if it did not.
	failed healing
	cause  string
}

// hold keeps the links of committed policies from the programs that managed them, those of policies that are gone too:
// what they made stays. A change that is neither applied nor undone keeps its links as well. What could not be done is
// tried again, after a while that doubles.
func (k *Keeper) hold() {
	if k.HoldLinks == nil {
		return
	}
	links, err := k.held()
	if err != nil {
		k.Log.Error(err, "Links not kept from their managers, trying again")
		return
	}
	now := k.Clock.Now()
	if slices.Equal(links, k.holding.links) && k.holding.failed.due(now) > 0 {
		return
	}
	k.holding.links = links
	if err := k.HoldLinks(links); err != nil {
		k.notHeld(err)
		return
	}
	if k.holding.cause != "" {
		k.Log.Info("Links are kept from their managers, and given back to them, as they should be", "kept", links)
	}
	k.holding.failed, k.holding.cause = healing{}, ""
}

// held are the links to be kept, sorted.
func (k *Keeper) held() ([]string, error) {
	links := netstate.Held(k.sum(func(journal.Record) bool { return true }))
	pending, err := k.Journal.Pending()
	if err != nil {
		return nil, err
	}
	if pending != nil {
		for _, step := range pending.Steps {
			if step.Kind == netstate.StepManager {
				links[step.Link] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(links)), nil
}

// notHeld notes a failure, and tells people of every new one.
func (k *Keeper) notHeld(err error) {
	k.holding.failed = k.holding.failed.next(k.Clock.Now())
	cause := oneLine(err)
	k.Log.Error(err, "Links not kept from their managers or not given back, trying again", "kept", k.holding.links)
	if k.Event != nil && cause != k.holding.cause {
		k.Event("", "LinksNotHeld", "links of policies are not kept from their managers or not given back, "+
			"which is tried again: "+cause)
	}
	k.holding.cause = cause
}
