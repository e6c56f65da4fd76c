// SPDX-License-Identifier: Apache-2.0

// Package ledger lends MAC addresses: it holds those that are asked for by compare-and-swap on blocks that all replicas
// share, and gives the others from a window that it reserved ahead. docs/decisions/0001 says what makes its answers
// safe.
package ledger

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

const (
	// MaxAdmission is how long after a claim the object it is for may still come to exist: the API server gives up
	// a request after a minute (--request-timeout).
	MaxAdmission = time.Minute
	// reuseWithin is how long a replica repeats an answer without asking the store. It counts for MaxAdmission.
	reuseWithin = 5 * time.Second
	// contestFor is how long a request for an address in another replica's window waits for that to be settled.
	contestFor = 2 * time.Second
)

// A ReplicaLease is a replica's right to lend the addresses it has reserved.
type ReplicaLease interface {
	// Replica is the name that addresses are reserved by, and whether the right is in force now. A replica that lost its
	// right gets it back under another name.
	Replica() (name string, ok bool)
}

// An ObjectReader tells what objects have, by reads that are never old.
type ObjectReader interface {
	// Having returns those of the addresses that the object has, or anything that runs on its behalf; none if it does not
	// exist. Of an object without a name it returns those that any has which it may have become.
	Having(ctx context.Context, o macpool.Object, macs ...macpool.MAC) ([]macpool.MAC, error)
	// Ended reports whether the object is there, has come to its end and had the address till then, and cannot be another
	// one that is being created: the API server made its name, or it has the claim of the one that has none.
	Ended(ctx context.Context, o macpool.Object, m macpool.MAC) (bool, error)
}

// A Ledger lends addresses to interfaces. Its state is in a Store that all replicas share: no address leaves a Ledger
// unless the store already says that it belongs to this replica or to the holder who gets it. It is safe for concurrent
// use; make one with New.
type Ledger struct {
	store   Store
	lease   ReplicaLease
	objects ObjectReader
	clock   clock.Clock
	// MaxAdmission is how long after a claim the object it is for may still come to exist.
	MaxAdmission time.Duration
	// Grace is how long a hold is left alone although its object is not there: it may be about to come to exist.
	Grace  time.Duration
	cache  *blockCache
	writer *writer

	// mu guards what follows, and the windows. Methods whose names end in Locked are called with it held, the others
	// without. It is never held while the store is waited for.
	mu      sync.Mutex
	windows map[string]*window
	memory  memory
	closed  bool
	failed  error         // the store is older than it was
	rewound chan struct{} // closed when failed is set
	gaveUp  func(macpool.MAC, macpool.Holder, error)
	watched map[macpool.Prefix]string // the versions that the watch told of last
}

// Options are what a Ledger is made of.
type Options struct {
	Store   Store
	Lease   ReplicaLease
	Objects ObjectReader
	Clock   clock.Clock
	// MaxAdmission replaces the constant of that name where the API server gives up after another time; zero leaves it.
	MaxAdmission time.Duration
	// GaveUp, if set, is told of each record that the store has no room for: the address stays reserved for this replica,
	// which remembers who has it for as long as it lives.
	GaveUp func(m macpool.MAC, holder macpool.Holder, err error)
}

// New returns a ledger that knows no block yet. Cancelling ctx stops its writes at once; call Close before.
func New(ctx context.Context, o Options) *Ledger {
	maxAdmission := cmp.Or(o.MaxAdmission, MaxAdmission)
	l := &Ledger{
		store: o.Store, lease: o.Lease, objects: o.Objects, clock: o.Clock,
		MaxAdmission: maxAdmission, Grace: maxAdmission + reuseWithin,
		cache:   newBlockCache(o.Clock),
		windows: map[string]*window{},
		memory:  newMemory(),
		rewound: make(chan struct{}),
		gaveUp:  o.GaveUp,
		watched: map[macpool.Prefix]string{},
	}
	l.writer = &writer{
		ctx: ctx, store: o.Store, cache: l.cache, clock: o.Clock,
		onNews:     func(b *macpool.Block) { l.writeBack(b.Prefix); l.recheckWindows(b.Prefix) },
		onVersions: l.noteVersions,
		committers: map[macpool.Prefix]*committer{},
		drained:    make(chan struct{}),
	}
	return l
}

// Assign gives the request its addresses: explicit ones by a write each block, the others from the window. It blocks
// until the store has agreed. It fails with a *TakenError, *BusyError or *ExhaustedError, which are answers, or with
// another error if it could not decide; nothing was given then.
func (l *Ledger) Assign(ctx context.Context, r macpool.Request) (macpool.Grant, error) {
	return l.reusing(ctx, r, l.assign)
}

func (l *Ledger) assign(ctx context.Context, r macpool.Request) (macpool.Grant, error) {
	if !l.ready() {
		return macpool.Grant{}, macpool.ErrNotReady
	}
	claims, err := l.claimAll(ctx, r)
	if err != nil {
		return macpool.Grant{}, err
	}
	var newcomers []macpool.Holder
	for i, a := range r.Asks {
		if claims.macs[i] == (macpool.MAC{}) {
			newcomers = append(newcomers, macpool.Holder{Object: r.Holder, Interface: a.Interface})
		}
	}
	lent, err := l.lend(ctx, r.Pool, newcomers, r.Kept)
	if err != nil {
		l.leaveOut(ctx, err, r, claims.macs)
		l.takeBack(claims.fresh)
		return macpool.Grant{}, err
	}
	for _, c := range claims.fresh {
		l.noteRecorded(c.Claim, c.begun)
	}
	for i := range claims.macs {
		if claims.macs[i] == (macpool.MAC{}) {
			claims.macs[i], lent = lent[0], lent[1:]
		}
	}
	return macpool.Grant{MACs: claims.macs, Collisions: claims.collisions}, nil
}

// has reports whether an object has an address now.
func (l *Ledger) has(ctx context.Context, o macpool.Object, m macpool.MAC) (bool, error) {
	had, err := l.objects.Having(ctx, o, m)
	if err != nil {
		return false, fmt.Errorf("look whether %s has %s: %w", o, m, err)
	}
	return len(had) > 0, nil
}

func (l *Ledger) ready() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.mayLendLocked()
	return ok
}

// mayLendLocked returns the name that this replica reserves addresses by, and whether it may lend them now.
func (l *Ledger) mayLendLocked() (replica string, ok bool) {
	replica, ok = l.lease.Replica()
	return replica, ok && !l.closed && l.failed == nil
}

// recall returns which address each interface that asks for any had before, so that a request that is made again gets
// the same answer. Addresses that another interface of the object has or asks for are left out, and those that others
// have, too: who asks for any address shares none, whatever an earlier object of that name did.
func (l *Ledger) recall(r macpool.Request) map[string]macpool.MAC {
	known := map[string]macpool.MAC{}
	if r.Holder.Name == "" {
		return known
	}
	spoken := map[macpool.MAC]bool{}
	for _, m := range r.Kept {
		spoken[m] = true
	}
	for _, a := range r.Asks {
		spoken[a.MAC] = true
	}
	theirs := func(m macpool.MAC) bool { return l.cache.block(m.Prefix()).Entry(m).HeldBeside(r.Holder) }
	for m, iface := range l.cache.heldBy(r.Holder) {
		if before, ok := known[iface]; !spoken[m] && !theirs(m) && (!ok || m.Compare(before) < 0) {
			known[iface] = m
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for m := range l.memory.lentTo[r.Holder] {
		if !spoken[m] && !theirs(m) {
			known[l.memory.lent[m].holder.Interface] = m
		}
	}
	return known
}

// Now returns the time that goes into the store: without what a round trip through the API would lose.
func (l *Ledger) Now() time.Time {
	return l.clock.Now().UTC().Truncate(time.Microsecond)
}

// Observe takes in a state of a block from a watch, in the watch's order. Addresses in this replica's windows that the
// block says are no longer its alone are given up.
func (l *Ledger) Observe(b *macpool.Block) {
	l.noteWatched(b.Prefix, b.Version)
	l.cache.put(b)
	l.writeBack(b.Prefix)
	l.recheckWindows(b.Prefix)
}

// Forget takes in that a block was deleted, at this resourceVersion. What it had is written again. If a later state of
// it is known, since the watch was cut off, the store is asked.
func (l *Ledger) Forget(p macpool.Prefix, version string) {
	l.noteWatched(p, version)
	if l.cache.forget(p, version) {
		l.writeBack(p)
	} else {
		go l.lookAgain(p)
	}
	l.recheckWindows(p)
}

// Close lends no more, gives back the windows and waits until everything that was answered is in the store, or until
// ctx is done. It is to be called once.
func (l *Ledger) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	for _, w := range l.windows {
		l.giveBackLocked(w)
	}
	l.mu.Unlock()
	l.writer.close()
	select {
	case <-l.writer.drained:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the ledger with writes outstanding: %w", ctx.Err())
	}
}

// Usage counts the addresses of a pool as this replica knows them.
func (l *Ledger) Usage(pool macpool.Pool) macpool.Usage {
	u := macpool.Usage{Total: pool.Set.Size()}
	for _, b := range l.cache.all() {
		all, some := pool.Set.Covers(b.Prefix)
		if all {
			held, reserved := b.Counts()
			unread := b.Unread()
			u.Used, u.Reserved, u.Unread = u.Used+uint64(held), u.Reserved+uint64(reserved-unread), u.Unread+uint64(unread)
		}
		if all || !some {
			continue
		}
		for m, e := range b.Entries() {
			switch {
			case !pool.Set.Contains(m):
			case len(e.Holds) > 0:
				u.Used++
			case e.Unread != "":
				u.Unread++
			default:
				u.Reserved++
			}
		}
	}
	return u
}

// Blocks returns all blocks as this replica knows them. They are never changed, only replaced.
func (l *Ledger) Blocks() []*macpool.Block { return l.cache.all() }
