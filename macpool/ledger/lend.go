package ledger

import (
	"context"
	"errors"
	"slices"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A waiter is a request that waits for addresses from a window.
type waiter struct {
	holders []macpool.Holder
	served  chan struct{} // closed when macs or err is set
	macs    []macpool.MAC // one for every holder
	err     error
}

// lend takes an address for every holder from the window, in order, and notes them as lent. It waits for the window to
// be filled where it has too few, and fails with ErrNotReady, an *ExhaustedError, or what kept it from being filled.
func (l *Ledger) lend(ctx context.Context, pool macpool.Pool, holders []macpool.Holder) ([]macpool.MAC, error) {
	if len(holders) == 0 {
		return nil, nil
	}
	who := &waiter{holders: holders, served: make(chan struct{})}
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
		return nil, ctx.Err()
	}
}

// queueUp serves a request if its turn is now, and sees to it that the window has enough for it soon if not.
func (l *Ledger) queueUp(pool macpool.Pool, who *waiter) (*window, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	replica, ok := l.lease.Replica()
	if !ok || l.closed {
		return nil, macpool.ErrNotReady
	}
	w := l.windowOfLocked(pool, replica)
	w.used = l.clock.Now()
	for _, m := range w.dropOutsiders() {
		l.unreserveLocked(m, replica)
	}
	w.queue = append(w.queue, who)
	l.serveLocked(w)
	if len(w.queue) > 0 {
		w.size = min(2*w.size, maxWindow)
		l.hurryLocked(w.cursor)
	}
	if len(w.queue) > 0 || len(w.free) < w.size/2 {
		l.startFillingLocked(w)
	}
	return w, nil
}

// serve lends to those who wait, in the order they came, as far as the window reaches: nobody is overtaken for ever. The
// ledger's mutex is held.
func (l *Ledger) serveLocked(w *window) {
	replica, ok := l.lease.Replica()
	if !ok || l.closed || replica != w.replica {
		for len(w.queue) > 0 {
			w.refuseFirst(macpool.ErrNotReady)
		}
		return
	}
	for len(w.queue) > 0 {
		first := w.queue[0]
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

func (w *window) refuseFirst(err error) {
	first := w.queue[0]
	w.queue, first.err = w.queue[1:], err
	close(first.served)
}

func (l *Ledger) leave(w *window, who *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.queue = slices.DeleteFunc(w.queue, func(other *waiter) bool { return other == who })
}

// startFilling begins to reserve addresses unless that is under way. The ledger's mutex is held.
func (l *Ledger) startFillingLocked(w *window) {
	if w.filling {
		return
	}
	w.filling = true
	pool := w.pool
	go func() {
		err := l.fill(w, pool)
		l.mu.Lock()
		defer l.mu.Unlock()
		w.filling = false
		for l.serveLocked(w); err != nil && len(w.queue) > 0; l.serveLocked(w) {
			w.refuseFirst(err)
		}
		if len(w.queue) > 0 { // they came when it was over
			l.startFillingLocked(w)
		}
	}()
}

// fill reserves addresses, block by block, until nobody waits and the window has some ahead. It fails with an
// *ExhaustedError when the pool has too few for those who wait, although what it got is kept.
func (l *Ledger) fill(w *window, pool macpool.Pool) error {
	allowance := l.allowance(pool, w)
	for prefix := range l.candidates(pool, w) {
		want := l.wanted(w, allowance)
		if want <= 0 {
			return nil
		}
		err := l.reserve(w, pool, prefix, min(want, maxWindow))
		if err != nil && !errors.Is(err, errFull) {
			return err
		}
	}
	if l.waiting(w) {
		return l.exhausted(pool)
	}
	return nil
}

func (l *Ledger) waiting(w *window) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(w.queue) > 0
}

// wanted is how many addresses to reserve: for those who wait, and ahead as far as the allowance goes. A window that is
// half full can wait.
func (l *Ledger) wanted(w *window, allowance int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := 0
	for _, who := range w.queue {
		waiting += len(who.holders)
	}
	ahead := min(w.size, allowance)
	if l.closed || waiting == 0 && len(w.free) > ahead/2 {
		return 0
	}
	if allowance == maxWindow { // there is plenty
		ahead += waiting
	}
	return max(waiting, ahead) - len(w.free)
}
