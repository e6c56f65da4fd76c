// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// maxUnwritable is in how many blocks that cannot be written a window is tried to be filled from: one that somebody
// spoiled keeps nobody from the others, and where the store is away none does better.
const maxUnwritable = 3

// maxReservations is how often addresses of one block are reserved in a row: should others take away each time what was
// got, another block is tried.
const maxReservations = 16

// yieldFor is how long an address that was given up because others asked for it is left to them. Replicas that wait for
// the last addresses of a pool at once would take them from one another all the time else.
const yieldFor = batchDelay

// startFillingLocked begins to reserve addresses unless that is under way.
func (l *Ledger) startFillingLocked(w *window) {
	if w.filling {
		return
	}
	w.filling = true
	pool := w.pool
	go func() {
		asOf, err := l.fill(w, pool)
		l.mu.Lock()
		defer l.mu.Unlock()
		w.filling = false
		if !w.pool.Set.Equal(pool.Set) { // the pool was changed meanwhile
			err = nil
		}
		for l.serveLocked(w); err != nil && len(w.queue) > 0; l.serveLocked(w) {
			if isExhausted(err) && asOf.Sub(w.queue[0].since) < patience/2 {
				break
			}
			l.refuseFirstLocked(w, err)
		}
		if len(w.queue) > 0 { // they came late, or when it was over
			l.startFillingLocked(w)
		}
	}()
}

func isExhausted(err error) bool {
	var exhausted *exhaustion
	return errors.As(err, &exhausted)
}

// fill reserves addresses until nobody waits and the window has some ahead. Where the pool has too few for those who
// wait, addresses that others give up within the patience of who came first do as well: those of an object that was
// deleted just now, and those that other replicas have reserved. Else it fails with an *ExhaustedError, although what
// it got is kept. That is decided on a fresh read of blocks that seem to be full, which may take long: as of when it is
// true is returned, too.
func (l *Ledger) fill(w *window, pool macpool.Pool) (asOf time.Time, err error) {
	for {
		changed := l.cache.change()
		err = l.fillFromBlocks(w, pool)
		asOf = time.Now()
		if l.takeOver(w); !l.waiting(w) {
			return asOf, nil
		}
		if err != nil {
			return asOf, err
		}
		l.contestOthers(pool, w)
		left := l.patienceLeft(w)
		if left <= 0 {
			if l.fillFromFull(w, pool); !l.waiting(w) {
				return asOf, nil
			}
			return asOf, l.exhausted(pool)
		}
		select {
		case <-changed:
		case <-time.After(min(left, yieldFor)): // what was left to others may be there yet
		case <-l.writer.ctx.Done():
			return asOf, macpool.ErrNotReady
		}
	}
}

// patienceLeft returns how much longer those who wait, and came first, go on waiting.
func (l *Ledger) patienceLeft(w *window) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(w.queue) == 0 {
		return 0
	}
	return patience - time.Since(w.queue[0].since)
}

// fillFromBlocks reserves free addresses, block by block, as many as are wanted and there are. It passes over blocks
// that cannot be written, and fails if there are too many of them.
func (l *Ledger) fillFromBlocks(w *window, pool macpool.Pool) error {
	allowance := l.allowance(pool, w)
	failed := map[macpool.Prefix]error{}
	for prefix := range l.candidates(pool, w, l.wanted(w, allowance)) {
		if failed[prefix] != nil {
			continue
		}
		enough, err := l.fillFromBlock(w, prefix, allowance)
		if err != nil {
			failed[prefix] = err
		}
		if enough || len(failed) == maxUnwritable {
			break
		}
	}
	return errors.Join(slices.Collect(maps.Values(failed))...)
}

// fillFromBlock reserves free addresses of one block, and reports whether there are as many as are wanted.
func (l *Ledger) fillFromBlock(w *window, prefix macpool.Prefix, allowance int) (enough bool, err error) {
	for range maxReservations {
		if l.wanted(w, allowance) <= 0 {
			return true, nil
		}
		err := l.reserve(w, prefix, allowance)
		if errors.Is(err, errFull) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// fillFromFull looks again at blocks that seem to have no address left: what this process knows of them may be old.
func (l *Ledger) fillFromFull(w *window, pool macpool.Pool) {
	looks := 0
	for prefix := range pool.Set.Prefixes(w.cursor) {
		if l.cache.block(prefix).FreeIn(pool.Set) > 0 {
			continue
		}
		enough, err := l.fillFromBlock(w, prefix, 1)
		if looks++; enough || err != nil || looks == maxLooks {
			return
		}
	}
}

// takeOver gives a window the addresses of its pool that are in other windows of this replica: pools may overlap, and
// one that is no more has its window until that was idle for long. Those who wait are served.
func (l *Ledger) takeOver(w *window) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, other := range l.windows {
		if other == w || other.replica != w.replica {
			continue
		}
		for _, m := range slices.Clone(other.free) {
			if len(w.free) < w.waiting() && w.pool.Set.Contains(m) && other.withdraw(m) {
				w.free = append(w.free, m)
			}
		}
	}
	l.serveLocked(w)
}

// contestOthers asks the other replicas for addresses of the pool that they have reserved: as many as are waited for,
// and as many more each time, since a replica that was asked may be dead.
func (l *Ledger) contestOthers(pool macpool.Pool, w *window) {
	l.mu.Lock()
	defer l.mu.Unlock()
	needed := w.waiting()
	for _, b := range l.cache.all() {
		if _, some := pool.Set.Covers(b.Prefix); !some || !l.sharedWithOthers(b, w) {
			continue
		}
		for m, e := range b.Entries() {
			other := e.Reservation.Replica != "" && e.Reservation.Replica != w.replica && !e.Reservation.Contested
			if needed <= 0 || !other || len(e.Holds) > 0 || !pool.Set.Contains(m) {
				continue
			}
			needed--
			l.writer.enqueue(m.Prefix(), change{
				apply: func(b *macpool.Block) error { b.Contest(m); return nil },
				done:  func(*macpool.Block, error) {},
			})
		}
	}
}

// waiting returns how many addresses are waited for.
func (w *window) waiting() int {
	n := 0
	for _, who := range w.queue {
		n += len(who.holders)
	}
	return n
}

func (l *Ledger) waiting(w *window) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(w.queue) > 0
}

// wanted returns how many addresses to reserve: for those who wait, and ahead as far as the allowance goes. A window
// that is half full can wait. Where addresses are few, those that others asked for are left to them for a moment, and
// none is reserved ahead for as long as those others wait.
func (l *Ledger) wanted(w *window, allowance int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wantedLocked(w, allowance)
}

func (l *Ledger) wantedLocked(w *window, allowance int) int {
	waiting := w.waiting()
	ahead := min(w.size, allowance)
	switch yielded := l.clock.Since(w.yielded); {
	case allowance == maxWindow: // there is plenty
		ahead += waiting
	case yielded < yieldFor:
		return 0
	case yielded < patience:
		ahead = 0
	}
	if l.closed || waiting == 0 && len(w.free) > ahead/2 {
		return 0
	}
	if ahead >= maxWindow { // one write for a whole block
		return maxWindow
	}
	return max(waiting, ahead) - len(w.free)
}
