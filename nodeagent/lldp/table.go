// SPDX-License-Identifier: Apache-2.0

package lldp

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// maxNeighbors is how many neighbours of one link are kept. A link has one, or a few behind a switch that passes
// announcements on; whoever invents more does not fill the memory.
const maxNeighbors = 16

// An announcement is what one neighbour says about itself.
type announcement struct {
	// id is the neighbour's chassis and port as they were sent, by which it is told from others.
	id string
	// ttl is how long to believe it; zero says that the neighbour goes.
	ttl   time.Duration
	items []netstate.LLDPItem
}

// An entry is an announcement that is believed until then.
type entry struct {
	items []netstate.LLDPItem
	until time.Time
}

// A table has the neighbours of one link. The zero table is empty.
type table struct{ entries map[string]entry }

// hear takes an announcement, and reports whether it says anything new. One more neighbour than the table takes is not
// heard.
func (t *table) hear(now time.Time, a announcement) (news bool) {
	old, known := t.entries[a.id]
	switch {
	case a.ttl <= 0:
		delete(t.entries, a.id)
		return known
	case !known && len(t.entries) >= maxNeighbors:
		return false
	}
	if t.entries == nil {
		t.entries = map[string]entry{}
	}
	t.entries[a.id] = entry{items: a.items, until: now.Add(a.ttl)}
	return !known || !reflect.DeepEqual(old.items, a.items)
}

// expire forgets the neighbours that were silent for too long, and reports whether there were any.
func (t *table) expire(now time.Time) (news bool) {
	before := len(t.entries)
	maps.DeleteFunc(t.entries, func(_ string, e entry) bool { return !now.Before(e.until) })
	return len(t.entries) < before
}

// clear forgets all, and reports whether there were any.
func (t *table) clear() (news bool) {
	news = len(t.entries) > 0
	t.entries = nil
	return news
}

// wake is when the next neighbour is to be forgotten; the zero time means never.
func (t *table) wake() time.Time {
	var first time.Time
	for _, e := range t.entries {
		if first.IsZero() || e.until.Before(first) {
			first = e.until
		}
	}
	return first
}

// neighbors are the neighbours in the order of their ids, so that the same ones make the same list.
func (t *table) neighbors() netstate.LLDPNeighbors {
	var list netstate.LLDPNeighbors
	for _, id := range slices.Sorted(maps.Keys(t.entries)) {
		list = append(list, t.entries[id].items)
	}
	return list
}
