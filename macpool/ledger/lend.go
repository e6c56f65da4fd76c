// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// patience is how long who asks an exhausted pool waits for an address to be given up. It is half as long at least for
// who is refused together with one that came before.
const patience = time.Second

// A waiter is a request that waits for addresses from a window.
type waiter struct {
	holders []macpool.Holder
	// kept are addresses that the object of the holders has already.
	kept   []macpool.MAC
	since  time.Time     // when it came, as contexts count
	served chan struct{} // closed when macs or err is set
	macs   []macpool.MAC // one for every holder
	err    error
}

// lend takes an address for every holder from the window, in order, and notes them as lent. It waits for the window to
// be filled where it has too few, and fails with ErrNotReady, an *ExhaustedError, or what kept it from being filled.
//
// An address of the window that the object keeps on another interface is not lent: it is recorded as the object's.
func (l *Ledger) lend(
	ctx context.Context, pool macpool.Pool, holders []macpool.Holder, kept []macpool.MAC,
) ([]macpool.MAC, error) {
	if len(holders) == 0 {
		return nil, nil
	}
	if needed := uint64(len(holders)); needed > pool.Set.Size() {
		return nil, &macpool.ExhaustedError{Pool: pool.Name, Usage: l.Usage(pool), Needed: needed}
	}
	who := &waiter{holders: holders, kept: kept, served: make(chan struct{})}
	w, err := l.queueUp(pool, who)
	if err != nil {
		return nil, err
	}
	select {
	case <-who.served:
		return who.macs, who.err
	case <-ctx.Done():
		// Should it have been served just now, the janitor frees what nobody has.
		l.leave(w, who)
		return nil, fmt.Errorf("wait for addresses of MACPool %s: %w", pool.Name, ctx.Err())
	}
}

// queueUp serves a request if its turn is now, and sees to it that the window has enough for it soon if not.
func (l *Ledger) queueUp(pool macpool.Pool, who *waiter) (*window, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	replica, ok := l.mayLendLocked()
	if !ok {
		return nil, macpool.ErrNotReady
	}
	w := l.windowOfLocked(pool, replica)
	w.used, who.since = l.clock.Now(), time.Now()
	w.queue = append(w.queue, who)
	l.serveLocked(w)
	if len(w.queue) > 0 {
		w.size = min(growth*w.size, maxWindow)
		l.writer.hurry(w.cursor)
	}
	if len(w.queue) > 0 || len(w.free) < w.size/2 {
		l.startFillingLocked(w)
	}
	return w, nil
}

// serveLocked lends to those who wait, in the order they came, as far as the window reaches: nobody is overtaken for
// ever.
func (l *Ledger) serveLocked(w *window) {
	replica, ok := l.mayLendLocked()
	if !ok || replica != w.replica {
		for len(w.queue) > 0 {
			l.refuseFirstLocked(w, macpool.ErrNotReady)
		}
		return
	}
	for len(w.queue) > 0 {
		first := w.queue[0]
		for _, m := range first.kept {
			if l.withdrawLocked(m) {
				l.noteLentLocked(m, macpool.Holder{Object: first.holders[0].Object}, replica)
			}
		}
		macs := w.pop(len(first.holders))
		if macs == nil {
			return
		}
		for i, m := range macs {
			l.noteLentLocked(m, first.holders[i], replica)
		}
		w.queue, first.macs = w.queue[1:], macs
		close(first.served)
	}
}

func (l *Ledger) refuseFirstLocked(w *window, err error) {
	first := w.queue[0]
	var exhausted *exhaustion
	if errors.As(err, &exhausted) {
		err = l.refusalLocked(exhausted, first.holders[0].Object, uint64(len(first.holders)), first.since)
	}
	w.queue, first.err = w.queue[1:], err
	close(first.served)
}

func (l *Ledger) leave(w *window, who *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.queue = slices.DeleteFunc(w.queue, func(other *waiter) bool { return other == who })
}
