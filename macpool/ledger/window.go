// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

const (
	// minWindow and maxWindow bound how many addresses a replica reserves ahead.
	minWindow = 8
	maxWindow = 256
	// growth is how many times as many as before it reserves ahead once those are lent before new ones are there.
	growth = 4
	// windowShare is the part of a pool's free addresses that one window may take: 1/64.
	windowShare = 64
	// idleAfter is how long a replica keeps a window it does not use.
	idleAfter = 10 * time.Minute
	// worthwhile is how many free addresses a block needs for a busy replica to reserve in it rather than in a new one.
	worthwhile = 64
)

// errFull says that a block has no free address for a window.
var errFull = errors.New("no free address in the block")

// A window is the addresses of one pool that this replica has reserved and not lent yet. It is guarded by the ledger's
// mutex.
type window struct {
	pool    macpool.Pool
	replica string // the name the addresses are reserved by
	free    []macpool.MAC
	size    int // how many to reserve ahead; grows while the window runs dry
	cursor  macpool.Prefix
	queue   []*waiter // who waits for addresses, in the order they came
	filling bool      // addresses are being reserved
	used    time.Time
	yielded time.Time // when this replica last gave up an address of the pool because others asked for it
}

// pop takes n addresses from the window, or none if it has fewer.
func (w *window) pop(n int) []macpool.MAC {
	if len(w.free) < n {
		return nil
	}
	macs := slices.Clone(w.free[:n])
	w.free = slices.Delete(w.free, 0, n)
	return macs
}

// dropOutsiders takes out of the window what is no longer the pool's.
func (w *window) dropOutsiders() []macpool.MAC {
	outside := func(m macpool.MAC) bool { return !w.pool.Set.Contains(m) }
	dropped := slices.DeleteFunc(slices.Clone(w.free), w.pool.Set.Contains)
	w.free = slices.DeleteFunc(w.free, outside)
	return dropped
}

// withdraw takes one address out of the window and reports whether it was there.
func (w *window) withdraw(m macpool.MAC) bool {
	i := slices.Index(w.free, m)
	if i < 0 {
		return false
	}
	w.free = slices.Delete(w.free, i, i+1)
	return true
}

// windowOfLocked returns the window of a pool for the name this replica reserves by now. Addresses reserved by an
// earlier name are given up, unless the janitor was faster, and those that are no longer the pool's.
func (l *Ledger) windowOfLocked(pool macpool.Pool, replica string) *window {
	l.giveBackEarlierLocked(replica)
	w := l.windows[pool.Name]
	if w == nil || w.replica != replica {
		w = &window{replica: replica, size: minWindow, used: l.clock.Now()}
		if size := pool.Set.Size(); size > 0 {
			w.cursor = pool.Set.At(rand.Uint64N(size)).Prefix()
		}
		l.windows[pool.Name] = w
	}
	changed := !w.pool.Set.Equal(pool.Set)
	w.pool = pool
	if changed {
		for _, m := range w.dropOutsiders() {
			l.unreserveLocked(m, replica)
		}
	}
	return w
}

// allowance returns the largest window that leaves enough of the pool to other replicas.
func (l *Ledger) allowance(pool macpool.Pool, w *window) int {
	size := pool.Set.Size()
	taken := uint64(l.cache.takenAtMost())
	if size > taken && size-taken >= maxWindow*windowShare {
		return maxWindow
	}
	var free uint64
	for prefix := range pool.Set.Prefixes(w.cursor) {
		free += uint64(l.cache.block(prefix).FreeIn(pool.Set))
	}
	return int(max(1, min(maxWindow, free/windowShare)))
}

// candidates returns the blocks of a pool to reserve n addresses in, best first: the one in use, those that have
// addresses which this replica had reserved and lost track of, those that have room and in which no other replica has a
// window, new ones, and then whatever has an address left. A block may come twice.
func (l *Ledger) candidates(pool macpool.Pool, w *window, n int) iter.Seq[macpool.Prefix] {
	return func(yield func(macpool.Prefix) bool) {
		inUse := l.cache.block(w.cursor)
		if inUse.Len() > 0 && l.suits(inUse, pool, w, 1) && !yield(w.cursor) {
			return
		}
		for _, b := range l.cache.all() {
			if l.suits(b, pool, w, min(n, worthwhile)) && !yield(b.Prefix) {
				return
			}
		}
		var left []macpool.Prefix
		for prefix := range pool.Set.Prefixes(w.cursor) {
			if l.cache.block(prefix).Len() > 0 {
				left = append(left, prefix)
			} else if !yield(prefix) {
				return
			}
		}
		for _, shared := range []bool{false, true} {
			for _, prefix := range left {
				b := l.cache.block(prefix)
				if l.sharedWithOthers(b, w) == shared && b.FreeIn(pool.Set) > 0 && !yield(prefix) {
					return
				}
			}
		}
	}
}

// suits reports whether a known block has room for n addresses of a pool, or one to be taken up again.
func (l *Ledger) suits(b *macpool.Block, pool macpool.Pool, w *window, n int) bool {
	if _, some := pool.Set.Covers(b.Prefix); !some {
		return false
	}
	if l.hasOrphans(b, w) {
		return true
	}
	return b.Len() > 0 && 256-b.Len() >= n && !l.sharedWithOthers(b, w) && b.FreeIn(pool.Set) >= n
}

// sharedWithOthers reports whether another replica has addresses of a block reserved.
func (l *Ledger) sharedWithOthers(b *macpool.Block, w *window) bool {
	return b.ReservedBy(func(replica string) bool { return replica != w.replica })
}

// reserve adds addresses of one block to the window, as many as are wanted when they are written.
func (l *Ledger) reserve(w *window, prefix macpool.Prefix, allowance int) error {
	result := make(chan error, 1)
	var got []macpool.MAC
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return macpool.ErrNotReady
	}
	w.cursor = prefix
	l.writer.enqueue(prefix, change{
		// At the rate at which whole blocks are lent, the rest of the window lasts little longer than the write.
		lazy: len(w.queue) == 0, soon: true, once: true, alone: l.wantedLocked(w, allowance) >= maxWindow,
		apply: func(b *macpool.Block) error {
			got = l.take(b, w, allowance, got)
			if len(got) == 0 {
				return errFull
			}
			return nil
		},
		done: func(_ *macpool.Block, err error) {
			l.addToWindow(w, got, err == nil)
			result <- err
		},
	})
	l.mu.Unlock()
	return <-result
}

// take reserves the addresses of a block that are wanted, orphans first, and notes that they are on their way into the
// window. Those that an earlier attempt got are not any more.
func (l *Ledger) take(b *macpool.Block, w *window, allowance int, earlier []macpool.MAC) []macpool.MAC {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range earlier {
		delete(l.memory.filling, m)
	}
	n, now := min(l.wantedLocked(w, allowance), maxWindow), l.Now()
	got := l.orphansLocked(b, w)
	for _, m := range got { // again, so that no earlier write that is under way takes them, nor one that was not heard of
		b.Set(m, macpool.Entry{Reservation: macpool.Reservation{Replica: w.replica, Since: now}})
	}
	got = append(got, b.Reserve(n-len(got), w.pool.Set, w.replica, now)...)
	for _, m := range got {
		l.memory.filling[m] = true
	}
	return got
}

// addToWindow adds addresses that were reserved, unless somebody took them since or the pool has them no more, and
// lends them to those who wait. What is reserved and does not go into the window is given back.
func (l *Ledger) addToWindow(w *window, macs []macpool.MAC, written bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range macs {
		delete(l.memory.filling, m)
		e := l.cache.block(m.Prefix()).Entry(m)
		switch {
		case !written || l.spokenForLocked(m):
		case e.LendableBy(w.replica) && w.pool.Set.Contains(m):
			w.free = append(w.free, m)
		case e.Reservation.Replica == w.replica:
			l.unreserveLocked(m, w.replica)
		}
	}
	if replica, _ := l.lease.Replica(); l.closed || replica != w.replica {
		l.giveBackLocked(w)
	}
	l.serveLocked(w)
}

// orphansLocked returns addresses of a block that are reserved by this replica and in no window: a write that was
// thought to have failed reserved them.
func (l *Ledger) orphansLocked(b *macpool.Block, w *window) []macpool.MAC {
	var found []macpool.MAC
	for m, e := range b.Entries() {
		if e.LendableBy(w.replica) && w.pool.Set.Contains(m) && !l.spokenForLocked(m) {
			found = append(found, m)
		}
	}
	return found
}

// hasOrphans reports whether a block, as far as is known, has an address that is reserved by this replica and in no
// window.
func (l *Ledger) hasOrphans(b *macpool.Block, w *window) bool {
	if !b.ReservedBy(func(replica string) bool { return replica == w.replica }) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.orphansLocked(b, w)) > 0
}

// ReturnIdle gives back the windows that were not used for idleAfter. It is to be called now and then.
func (l *Ledger) ReturnIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, w := range l.windows {
		if !w.filling && l.clock.Since(w.used) >= idleAfter {
			l.giveBackLocked(w)
			delete(l.windows, name)
		}
	}
}

// giveBackEarlierLocked frees the addresses of the windows that this replica has by another name than the one that it
// reserves by now. Nobody lends from them any more, and a janitor takes more than a minute to see that.
func (l *Ledger) giveBackEarlierLocked(replica string) {
	for _, w := range l.windows {
		if w.replica != replica {
			l.giveBackLocked(w)
		}
	}
}

// giveBackLocked frees the addresses of a window.
func (l *Ledger) giveBackLocked(w *window) {
	for _, m := range w.free {
		l.unreserveLocked(m, w.replica)
	}
	w.free = nil
}
