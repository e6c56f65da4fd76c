// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

// A WayProbe asks what a node reaches others by, as its default gateways, through some links or through any if there
// are none. It returns why there was no answer by the name of what was asked; nil where there was one. With again it
// asks until all have answered or ctx is done, else it returns at once where there is nobody to ask.
type WayProbe func(ctx context.Context, links []string, again bool) map[string]error

// wayPatience is how long a way is asked about while nothing depends on the answer.
const wayPatience = 5 * time.Second

// NoteWay notes by which policies the node reaches others, and what answers by them, so that a boot can tell whether it
// still does. addresses are those of the node. It asks only if that has changed, or nothing has answered so far.
func (k *Keeper) NoteWay(ctx context.Context, addresses []netip.Addr, ask WayProbe) error {
	current, err := k.Latest()
	if err != nil {
		return err
	}
	way := journal.Way{Policies: wayPolicies(current, k.records, addresses)}
	same, now := maps.Equal(way.Policies, k.way.Policies), k.Clock.Now()
	if same && (len(way.Policies) == 0 || len(k.way.Answered) > 0 || k.asking.due(now) > 0) {
		return nil
	}
	k.asking = k.asking.next(now)
	if len(way.Policies) > 0 {
		ctx, cancel := context.WithTimeout(ctx, wayPatience)
		defer cancel()
		way.Answered = answered(ask(ctx, k.wayLinks(slices.Collect(maps.Keys(way.Policies))), false))
	}
	if same && len(way.Answered) == 0 {
		return nil
	}
	k.way = way
	return k.Journal.NoteWay(way)
}

// wayPolicies returns the generations of the policies, by key, that hold a link by which the node reaches others.
func wayPolicies(current netstate.State, records map[string]journal.Record, addresses []netip.Addr) map[string]int64 {
	var policies map[string]int64
	for key, r := range records {
		if ownPath(current, netstate.State(r.Desired), addresses) == "" {
			continue
		}
		if policies == nil {
			policies = map[string]int64{}
		}
		policies[key] = r.Generation
	}
	return policies
}

// wayLinks returns the links that records hold, sorted, by their keys.
func (k *Keeper) wayLinks(keys []string) []string {
	links := netstate.Held(k.sum(func(r journal.Record) bool { return slices.Contains(keys, r.Key()) }))
	return slices.Sorted(maps.Keys(links))
}

// answered returns the names of what has answered, sorted.
func answered(answers map[string]error) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		if answers[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

// dependents returns the keys of records and of those that stand on links which these hold, or send traffic through
// them, sorted.
func dependents(records map[string]journal.Record, keys []string) []string {
	found, links := map[string]bool{}, map[string]bool{}
	join := func(key string) {
		found[key] = true
		maps.Copy(links, netstate.Held(netstate.State(records[key].Desired)))
	}
	for _, key := range keys {
		join(key)
	}
	for before := -1; before < len(found); {
		before = len(found)
		for key, r := range records {
			if !found[key] && slices.ContainsFunc(needs(netstate.State(r.Desired)), func(l string) bool { return links[l] }) {
				join(key)
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// needs returns the links without which a desired state does not hold.
func needs(desired netstate.State) []string {
	links := slices.Collect(maps.Keys(netstate.Held(desired)))
	for _, i := range desired.Interfaces {
		if base := i.Base(); base != "" && i.State != netstate.StateAbsent {
			links = append(links, base)
		}
	}
	for _, r := range desired.Routes.Config {
		if r.NextHopInterface != "" && r.State != netstate.StateAbsent {
			links = append(links, r.NextHopInterface)
		}
	}
	return links
}
