package macpool

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// smallestWindow and largestWindow bound how many addresses a replica reserves ahead.
	smallestWindow = 8
	largestWindow  = 64
	// windowShare is the part of a pool's free addresses that one window may take: 1/64.
	windowShare = 64
	// idleAfter is how long a replica keeps a window it does not use.
	idleAfter = time.Minute
)

// errFull says that a block has no free address for a window.
var errFull = errors.New("no free address in the block")

// A window is the addresses of one pool that this replica has reserved and not lent yet. It is guarded by the ledger's
// mutex.
type window struct {
	pool    Pool
	replica string // the name the addresses are reserved by
	free    []MAC
	size    int // how many to reserve ahead; grows while the window runs dry
	cursor  Prefix
	filling *filling
	used    time.Time
}

// A filling is an attempt to reserve more addresses that requests may wait for.
type filling struct {
	// lazy fillings may wait for company; they become urgent once somebody waits for them.
	lazy bool
	done chan struct{}
	err  error // set before done is closed
}

// pop takes n addresses from the window, or none if it has fewer. Addresses that are no longer the pool's are dropped.
func (w *window) pop(n int) (macs, dropped []MAC) {
	kept := w.free[:0]
	for _, m := range w.free {
		if w.pool.Set.Contains(m) {
			kept = append(kept, m)
		} else {
			dropped = append(dropped, m)
		}
	}
	w.free = kept
	if len(w.free) < n {
		return nil, dropped
	}
	macs = slices.Clone(w.free[:n])
	w.free = slices.Delete(w.free, 0, n)
	return macs, dropped
}

// withdraw takes one address out of the window and says whether it was there.
func (w *window) withdraw(m MAC) bool {
	i := slices.Index(w.free, m)
	if i < 0 {
		return false
	}
	w.free = slices.Delete(w.free, i, i+1)
	return true
}

// windowOf is the window of a pool for the name this replica reserves by now. Addresses reserved by an earlier name are
// forgotten: the janitor may have settled them. The ledger's mutex is held.
func (l *Ledger) windowOf(pool Pool, replica string) *window {
	w := l.windows[pool.Name]
	if w == nil || w.replica != replica {
		w = &window{replica: replica, size: smallestWindow, used: l.clock.Now()}
		if size := pool.Set.Size(); size > 0 {
			w.cursor = pool.Set.At(rand.Uint64N(size)).Prefix()
		}
		l.windows[pool.Name] = w
	}
	w.pool = pool
	return w
}

// lend takes an address for every holder from the window, in order, and notes them as lent. It waits for the window to
// be filled where it has too few, and fails with ErrNotReady, an *ExhaustedError, or what kept it from being filled.
func (l *Ledger) lend(ctx context.Context, pool Pool, holders []Holder) ([]MAC, error) {
	if len(holders) == 0 {
		return nil, nil
	}
	for {
		macs, fill, err := l.tryLend(ctx, pool, holders)
		if err != nil || macs != nil {
			return macs, err
		}
		select {
		case <-fill.done:
			if fill.err != nil {
				return nil, fill.err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryLend lends if the window has enough addresses, and says what to wait for if not.
func (l *Ledger) tryLend(ctx context.Context, pool Pool, holders []Holder) ([]MAC, *filling, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	replica, ok := l.tenure.Replica()
	if !ok || l.closed {
		return nil, nil, ErrNotReady
	}
	w := l.windowOf(pool, replica)
	w.used = l.clock.Now()
	macs, dropped := w.pop(len(holders))
	for _, m := range dropped {
		l.unreserve(m, replica)
	}
	if macs == nil {
		w.size = min(2*w.size, largestWindow)
		return nil, l.startFilling(w, len(holders), false), nil
	}
	for i, m := range macs {
		l.noteLent(m, holders[i], replica)
	}
	if len(w.free) < w.size/2 {
		l.startFilling(w, 0, true)
	}
	return macs, nil, ctx.Err()
}

// startFilling begins to reserve addresses, at least n of them, unless that is under way. The ledger's mutex is
// held.
func (l *Ledger) startFilling(w *window, n int, lazy bool) *filling {
	if w.filling != nil {
		if w.filling.lazy && !lazy {
			w.filling.lazy = false
			l.hurry(w.cursor)
		}
		return w.filling
	}
	f := &filling{lazy: lazy, done: make(chan struct{})}
	w.filling = f
	pool := w.pool
	go func() {
		err := l.fill(w, pool, n)
		l.mu.Lock()
		defer l.mu.Unlock()
		w.filling, f.err = nil, err
		close(f.done)
	}()
	return f
}

// fill reserves addresses, block by block, until the window has the n that a request waits for (none if n is 0) and as
// many ahead as it should have. It fails with an *ExhaustedError when the pool has fewer than n, although what it got
// is kept.
func (l *Ledger) fill(w *window, pool Pool, n int) error {
	allowance := l.allowance(pool, w)
	for prefix := range l.candidates(pool, w) {
		have, size := l.fillState(w)
		want := max(n, min(size, allowance)) - have
		if want <= 0 || n > 0 && have >= n {
			return nil
		}
		err := l.reserve(w, pool, prefix, want)
		if err != nil && !errors.Is(err, errFull) {
			return err
		}
	}
	if have, _ := l.fillState(w); have >= n {
		return nil
	}
	return l.exhausted(pool)
}

func (l *Ledger) fillState(w *window) (have, size int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(w.free), w.size
}

// allowance is the largest window that leaves enough of the pool to other replicas.
func (l *Ledger) allowance(pool Pool, w *window) int {
	size := pool.Set.Size()
	taken := uint64(l.book.takenAtMost())
	if size > taken && size-taken >= largestWindow*windowShare {
		return largestWindow
	}
	var free uint64
	for prefix := range pool.Set.Prefixes(w.cursor) {
		free += uint64(l.book.block(prefix).FreeIn(pool.Set))
	}
	return int(max(1, min(largestWindow, free/windowShare)))
}

// candidates are the blocks of a pool that look as if they had free addresses, the one in use first; those in which
// another replica has a window come last, to keep out of its way.
func (l *Ledger) candidates(pool Pool, w *window) iter.Seq[Prefix] {
	return func(yield func(Prefix) bool) {
		var shared []Prefix
		for prefix := range pool.Set.Prefixes(w.cursor) {
			b := l.book.block(prefix)
			if b.FreeIn(pool.Set) == 0 {
				continue
			}
			if b.reservedBy(func(replica string) bool { return replica != w.replica }) {
				shared = append(shared, prefix)
				continue
			}
			if !yield(prefix) {
				return
			}
		}
		for _, prefix := range shared {
			if !yield(prefix) {
				return
			}
		}
	}
}

// reserve adds up to n addresses of one block to the window.
func (l *Ledger) reserve(w *window, pool Pool, prefix Prefix, n int) error {
	result := make(chan error, 1)
	var got []MAC
	l.mu.Lock()
	w.cursor = prefix
	l.enqueueLocked(prefix, change{
		lazy: w.filling.lazy,
		apply: func(b *Block) error {
			got = l.orphans(b, w)
			got = append(got, b.Reserve(n-len(got), pool.Set, w.replica, l.now())...)
			if len(got) == 0 {
				return errFull
			}
			return nil
		},
		done: func(b *Block, err error) {
			if err == nil {
				l.addToWindow(w, b, got)
			}
			result <- err
		},
	})
	l.mu.Unlock()
	return <-result
}

// addToWindow adds addresses that the store now says are reserved, except those somebody took in the same write.
func (l *Ledger) addToWindow(w *window, b *Block, macs []MAC) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range macs {
		_, lent := l.lent[m]
		if e := b.Entry(m); !lent && len(e.Holds) == 0 && e.Reservation.Replica == w.replica && !slices.Contains(w.free, m) {
			w.free = append(w.free, m)
		}
	}
}

// orphans are addresses of a block that are reserved by this replica and in no window: a write that was thought to have
// failed reserved them.
func (l *Ledger) orphans(b *Block, w *window) []MAC {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []MAC
	for m, e := range b.Entries() {
		if len(e.Holds) > 0 || e.Reservation.Replica != w.replica || e.Reservation.Contested || !w.pool.Set.Contains(m) {
			continue
		}
		if _, lent := l.lent[m]; !lent && !l.inWindow(m) {
			found = append(found, m)
		}
	}
	return found
}

// ReturnIdle gives back the windows that were not used for a minute. It is to be called now and then.
func (l *Ledger) ReturnIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, w := range l.windows {
		if w.filling == nil && l.clock.Since(w.used) >= idleAfter {
			l.giveBack(w)
			delete(l.windows, name)
		}
	}
}

// giveBack frees the addresses of a window. The ledger's mutex is held.
func (l *Ledger) giveBack(w *window) {
	for _, m := range w.free {
		l.unreserve(m, w.replica)
	}
	w.free = nil
}
