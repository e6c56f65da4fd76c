// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// inWindowLocked reports whether an address is in any window.
func (l *Ledger) inWindowLocked(m macpool.MAC) bool {
	for _, w := range l.windows {
		if slices.Contains(w.free, m) {
			return true
		}
	}
	return false
}

// unreserveLocked sees to it that the store learns that this replica gives up an address. Until it has, the address is
// no orphan. One that others ask for is left to them.
func (l *Ledger) unreserveLocked(m macpool.MAC, replica string) {
	if l.cache.block(m.Prefix()).Entry(m).Reservation.Contested {
		for _, w := range l.windows {
			if w.pool.Set.Contains(m) {
				w.yielded = l.clock.Now()
			}
		}
	}
	l.memory.leaving[m]++
	l.writer.enqueue(m.Prefix(), change{
		lazy:  true,
		apply: func(b *macpool.Block) error { b.Unreserve(m, replica); return nil },
		done: func(*macpool.Block, error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.memory.leaving[m]--; l.memory.leaving[m] == 0 {
				delete(l.memory.leaving, m)
			}
		},
	})
}

// recheckWindows takes out of the windows the addresses of a block that are not reserved for this replica and for
// nothing else, as far as is known now.
func (l *Ledger) recheckWindows(p macpool.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.cache.block(p)
	for _, w := range l.windows {
		for _, m := range slices.Clone(w.free) {
			if m.Prefix() == p && !b.Entry(m).LendableBy(w.replica) && w.withdraw(m) {
				l.unreserveLocked(m, w.replica)
			}
		}
	}
	if b.Unsettled() {
		l.giveUpOrphansLocked(b)
	}
	if b.Contested() { // who asks waits for what became of the address
		l.writer.hurry(p)
	}
}

// giveUpOrphansLocked gives up the addresses of a block that others hold or ask for and that this replica has reserved
// without knowing why: a write that was thought to have failed, or one of another replica, did that.
func (l *Ledger) giveUpOrphansLocked(b *macpool.Block) {
	replica, ok := l.lease.Replica()
	if !ok || !b.ReservedBy(func(other string) bool { return other == replica }) {
		return
	}
	for m, e := range b.Entries() {
		ours := e.Reservation.Replica == replica && !e.LendableBy(replica)
		if ours && !l.spokenForLocked(m) {
			l.unreserveLocked(m, replica)
		}
	}
}
