// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"maps"
	"slices"
	"time"

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
func (k *Keeper) hold() { k.holdBut("") }

// giveBackTime is how long NetworkManager waits for a DHCP server on a link that it was given back.
const giveBackTime = 45 * time.Second

// giveBack gives links back that only the policy of a removal holds, and reports whether there were any.
func (k *Keeper) giveBack(c journal.Change) bool {
	before := k.holding.links
	k.holdBut(c.Key())
	return len(before) > len(k.holding.links)
}

// holdBut is hold as if there were no record with this key and no change of its policy.
func (k *Keeper) holdBut(key string) {
	if k.HoldLinks == nil {
		return
	}
	links, err := k.held(key)
	if err != nil {
		k.Log.Error(err, "Cannot take links over from network managers, trying again")
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
		k.Log.Info("Links are taken over from network managers and given back again", "kept", links)
	}
	k.holding.failed, k.holding.cause = healing{}, ""
}

// held returns the links to be kept, sorted, but for those of one record. While a record cannot be read, those that are
// kept stay so: they may be its own, and a manager that gets a port back takes it out of its bridge.
func (k *Keeper) held(but string) ([]string, error) {
	links := netstate.Held(k.sum(func(r journal.Record) bool { return r.Key() != but }))
	if k.unread && k.HeldLinks != nil {
		kept, err := k.HeldLinks()
		if err != nil {
			return nil, err
		}
		for _, link := range kept {
			links[link] = true
		}
	}
	pending, err := k.Journal.Pending()
	if err != nil {
		return nil, err
	}
	if pending != nil && pending.Key() != but {
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
	k.Log.Error(err, "Cannot take links over from network managers or give them back, trying again", "kept", k.holding.links)
	if k.Event != nil && cause != k.holding.cause {
		k.Event("", "LinksNotHeld", "cannot take links over from network managers or give them back; "+
			"trying again: "+cause)
	}
	k.holding.cause = cause
}
