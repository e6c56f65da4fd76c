// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"cmp"
	"slices"
)

// assignTurns decides who is to have a turn.
//
// Nodes that have failed, and nodes that have begun, are unavailable whatever is decided. What maxUnavailable leaves is
// for those that have not begun, in the order of precedes. Turns that were granted but not begun can be taken back, so
// they are as free as those nobody has: a node that is down holds none that another could use.
func assignTurns(p Policy, members []*member) {
	limit := maxUnavailable(p, len(members))
	if p.Empty {
		limit = len(members)
	}
	var failed, current int // unavailable by this generation
	var old, idle []*member // at work on an earlier generation; neither at work nor finished
	for _, m := range members {
		switch e := m.enactment; {
		case e.done(p):
			if e.failed() {
				failed++
			}
		case e.begun() && e.Turn == p.Generation:
			current++
		case e.begun():
			old = append(old, m)
		default:
			idle = append(idle, m)
		}
	}
	free := limit - failed - current
	// A node that is at work on an earlier generation keeps its place and goes on with this one, without being asked to
	// finish: its agent might have died over it. Under a limit that has been lowered not all of them may.
	for i, m := range old {
		if i < free {
			m.next = gets
		}
	}
	free -= len(old)
	slices.SortStableFunc(idle, precedes)
	for i, m := range idle {
		switch {
		case i < free:
			m.next = gets
		case failed >= limit && !p.Empty:
			m.next = aborts
		default:
			m.next = waits
		}
	}
}

// precedes orders those that have not begun: nodes that are ready first, then those that have a turn, then by name.
func precedes(a, b *member) int {
	return cmp.Or(
		first(!a.node.NotReady, !b.node.NotReady),
		first(a.enactment.open(), b.enactment.open()),
		cmp.Compare(a.node.Name, b.node.Name))
}

// first compares by a property that comes first.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
