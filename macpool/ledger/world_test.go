// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A world is several ledgers over one store, in one cluster. It lives in a bubble of testing/synctest.
type world struct {
	t       *testing.T
	store   *MemoryStore
	ledgers map[string]*Ledger
	leases  map[string]*fakeLease
	exists  map[macpool.Object]bool
	looks   int // at what objects have
	pool    macpool.Pool
	blind   map[string]chan struct{} // of replicas whose watch has stalled, closed when it goes on
	down    atomic.Bool              // the store answers nothing
	hidden  atomic.Bool              // objects cannot be looked at
	mu      sync.Mutex
}

type fakeLease struct {
	mu   sync.Mutex
	name string
	ok   bool
}

func (f *fakeLease) Replica() (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.name, f.ok
}

func (f *fakeLease) set(name string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.name, f.ok = name, ok
}

// errHidden is why objects cannot be looked at.
var errHidden = errors.New("no route to host")

// Having implements ObjectReader.
func (w *world) Having(_ context.Context, o macpool.Object, macs ...macpool.MAC) ([]macpool.MAC, error) {
	if w.hidden.Load() {
		return nil, errHidden
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	if !w.exists[o] {
		return nil, nil
	}
	return macs, nil
}

// Ended implements ObjectReader.
func (w *world) Ended(context.Context, macpool.Object, macpool.MAC) (bool, error) { return false, nil }

func newWorld(t *testing.T, size int, replicas ...string) *world {
	w := &world{
		t:       t,
		store:   &MemoryStore{},
		ledgers: map[string]*Ledger{},
		leases:  map[string]*fakeLease{},
		exists:  map[macpool.Object]bool{},
		blind:   map[string]chan struct{}{},
	}
	n := size - 1
	w.pool = macpool.Pool{Name: "default", Set: macpool.NewSet([]macpool.Range{{First: macpool.MAC{2}, Last: macpool.MAC{2, 0, 0, byte(n >> 16), byte(n >> 8), byte(n)}}}, nil)}
	for _, name := range replicas {
		w.leases[name] = &fakeLease{name: name, ok: true}
		w.ledgers[name] = New(
			t.Context(), Options{Store: w.store, Lease: w.leases[name], Objects: w, Clock: clock.RealClock{}},
		)
	}
	w.store.Fail(func(string, macpool.Prefix) error {
		if w.down.Load() {
			return errors.New("connection refused")
		}
		return nil
	})
	tell := w.watches()
	w.store.Deleted = func(p macpool.Prefix, version string) {
		tell(func(l *Ledger) { l.Forget(p, version) })
	}
	w.store.Watch = func(b *macpool.Block) {
		tell(func(l *Ledger) { l.Observe(b.Clone()) })
	}
	return w
}

// watches has every ledger told of events, in order, unless its watch has stalled.
func (w *world) watches() func(event func(*Ledger)) {
	queues := map[string]chan func(*Ledger){}
	for name, l := range w.ledgers {
		queue := make(chan func(*Ledger), 1<<12)
		queues[name] = queue
		go func() {
			for {
				select {
				case event := <-queue:
					w.awaitSight(name)
					event(l)
				case <-w.t.Context().Done():
					return
				}
			}
		}()
	}
	return func(event func(*Ledger)) {
		for name := range w.ledgers {
			queues[name] <- event
		}
	}
}

// stall has the watch of a replica tell nothing until it goes on.
func (w *world) stall(replica string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blind[replica] = make(chan struct{})
}

// goOn has the watch of a replica that has stalled tell what it missed, and what comes.
func (w *world) goOn(replica string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.blind[replica])
	delete(w.blind, replica)
}

// awaitSight returns when the watch of a replica tells anything.
func (w *world) awaitSight(replica string) {
	w.mu.Lock()
	stalled := w.blind[replica]
	w.mu.Unlock()
	if stalled == nil {
		return
	}
	select {
	case <-stalled:
	case <-w.t.Context().Done():
	}
}

// pass lets time go by, and everything happen that is to happen by then.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// finishWrites waits until every ledger has written what it had to write.
func (w *world) finishWrites() { w.pass(busyDelay + batchDelay) }

// has says whether a VM is there.
func (w *world) has(vm string, there bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.exists[vmNamed(vm)] = there
}

// free has the janitor's half of a deletion happen: the object is gone and its holds are released.
func (w *world) free(replica, vm string) {
	w.has(vm, false)
	for m, hold := range w.ledgers[replica].HoldsOf(vmNamed(vm)) {
		require.NoError(
			w.t, w.ledgers[replica].Edit(w.t.Context(), m.Prefix(), func(b *macpool.Block) { b.Release(m, hold) }),
		)
	}
	synctest.Wait()
}

func (w *world) assign(replica, vm string, asks ...macpool.Ask) (macpool.Grant, error) {
	return w.ledgers[replica].Assign(w.t.Context(), macpool.Request{Holder: vmNamed(vm), Pool: w.pool, Asks: asks})
}

// holds returns who holds what, as text.
func (w *world) holds() string {
	state := map[macpool.MAC]macpool.Entry{}
	for _, b := range w.store.Blocks() {
		maps.Insert(state, b.Entries())
	}
	var lines []string
	for _, m := range keys(state) {
		for _, h := range state[m].Holds {
			lines = append(lines, fmt.Sprintf("%s %s/%s", m, h.Name, h.Interface))
		}
	}
	return strings.Join(lines, "\n")
}

// ownedInStore reports whether the store says that the address is the holder's or the replica's.
func (w *world) ownedInStore(m macpool.MAC, o macpool.Object, replica string) bool {
	b, err := w.store.Get(w.t.Context(), m.Prefix())
	require.NoError(w.t, err)
	_, held := b.Entry(m).HoldOf(o)
	return held || b.Entry(m).Reservation.Replica == replica
}

// checkSingleHolders checks that no address has two holders, save those that are shared on purpose.
func (w *world) checkSingleHolders() {
	for _, b := range w.store.Blocks() {
		for m, e := range b.Entries() {
			unshared := slices.DeleteFunc(slices.Clone(e.Holds), func(h macpool.Hold) bool { return h.Shared })
			assert.LessOrEqual(w.t, len(unshared), 1, "%s has several holders: %v", m, e.Holds)
		}
	}
}

func anyFor(ifaces ...string) (asks []macpool.Ask) {
	for _, i := range ifaces {
		asks = append(asks, macpool.Ask{Interface: i})
	}
	return asks
}

func named(t testing.TB, iface, mac string) macpool.Ask {
	return macpool.Ask{Interface: iface, MAC: mustMAC(t, mac)}
}

// in runs a story in a bubble, in which time goes by only when everybody waits.
func in(t *testing.T, size int, replicas []string, story func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size, replicas...)
		story(t, w)
		w.down.Store(false)
		w.finishWrites()
		w.checkSingleHolders()
		w.checkReservations()
	})
}

// checkReservations checks that no replica that is alive, and sees what happens, has an address reserved that somebody
// holds.
func (w *world) checkReservations() {
	w.pass(busyDelay + batchDelay)
	for _, b := range w.store.Blocks() {
		for m, e := range b.Entries() {
			for name, lease := range w.leases {
				replica, _ := lease.Replica()
				both := e.Reservation.Replica == replica && len(e.Holds) > 0
				assert.False(w.t, both && w.blind[name] == nil, "%s is held, and reserved: %v", m, e)
			}
		}
	}
}

// reserved returns the addresses that the store says are reserved by the first replica and not held.
func (w *world) reserved() (found []macpool.MAC) {
	for _, b := range w.store.Blocks() {
		for m, e := range b.Entries() {
			if e.LendableBy("r1") {
				found = append(found, m)
			}
		}
	}
	return found
}

// hold returns the hold that VM vma has of an address.
func (w *world) hold(m macpool.MAC) (macpool.Hold, bool) {
	b, err := w.store.Get(w.t.Context(), m.Prefix())
	require.NoError(w.t, err)
	return b.Entry(m).HoldOf(vmNamed("vma"))
}

// holdUp has the next call of the store wait until the channel is closed, and fail with err.
func (w *world) holdUp(err error) chan struct{} {
	reachable := make(chan struct{})
	var calls atomic.Int32
	w.store.Fail(func(string, macpool.Prefix) error {
		if calls.Add(1) > 1 {
			return nil
		}
		<-reachable
		return err
	})
	return reachable
}

// warm gives the first replica a window of a world of one block.
func (w *world) warm() {
	const replica = "r1"
	_, err := w.assign(replica, "vma", anyFor("net")...)
	require.NoError(w.t, err)
	w.finishWrites()
	require.NotEmpty(w.t, w.ledgers[replica].windows["default"].free)
}
