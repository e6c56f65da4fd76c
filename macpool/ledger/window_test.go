// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestTwoPoolsOverOneRangeLendNoAddressTwice(t *testing.T) {
	in(t, 1<<12, []string{"r1"}, func(t *testing.T, w *world) {
		other := w.pool
		other.Name, other.Tolerate = "other", true
		var mu sync.Mutex
		owner := map[macpool.MAC]string{}
		var group sync.WaitGroup
		for i := range 400 {
			group.Go(func() {
				pool := w.pool
				if i%2 == 1 {
					pool = other
				}
				vm := fmt.Sprint("vm", i)
				grant, err := w.ledgers["r1"].Assign(t.Context(), macpool.Request{Holder: vmNamed(vm), Pool: pool, Asks: anyFor("a", "b")})
				assert.NoError(t, err)
				mu.Lock()
				defer mu.Unlock()
				for _, m := range grant.MACs {
					assert.Empty(t, owner[m], "%s was lent twice", m)
					owner[m] = vm
				}
			})
		}
		group.Wait()
	})
}

func TestAWindowIsGivenUpWithItsBlock(t *testing.T) {
	in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", anyFor("a")...)
		require.NoError(t, err)
		w.finishWrites()
		window := w.ledgers["r1"].windows["default"].free
		require.NotEmpty(t, window)
		for _, b := range w.store.Blocks() {
			w.store.Delete(b.Prefix)
		}
		synctest.Wait()
		assert.Empty(t, w.ledgers["r1"].windows["default"].free, "what nobody has reserved is in no window")
		grant, err := w.assign("r1", "vmb", anyFor("a")...)
		require.NoError(t, err)
		assert.True(t, w.ownedInStore(grant.MACs[0], vmNamed("vmb"), "r1"))
	})
}

func TestAddressesThatCameBackAreLentAgain(t *testing.T) {
	for _, size := range []int{1, 3, 4, 64, 120} {
		t.Run(fmt.Sprint("a pool of ", size), func(t *testing.T) {
			in(t, size, []string{"r1"}, func(t *testing.T, w *world) {
				asks := anyFor(strings.Split(strings.Repeat("i ", size), " ")[:size]...)
				for i := range asks {
					asks[i].Interface += fmt.Sprint(i)
				}
				for i := range 20 {
					vm := fmt.Sprint("vm", i)
					_, err := w.assign("r1", vm, asks...)
					require.NoError(t, err, "VM %d", i)
					w.has(vm, true)
					w.finishWrites()
					_, err = w.assign("r1", "another", anyFor("net")...)
					var exhausted *macpool.ExhaustedError
					require.ErrorAs(t, err, &exhausted)
					assert.False(
						t, size <= maxLooks && exhausted.Passing(), "every address is that of a VM which is there: %s", exhausted,
					)
					w.free("r1", vm)
				}
			})
		})
	}
}

func TestTheWindowOfAnotherReplicaIsAskedForWhenThePoolIsEmpty(t *testing.T) {
	in(t, 2, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", anyFor("a")...)
		require.NoError(t, err)
		w.finishWrites()
		w.has("vma", true)
		_, err = w.assign("r2", "vmb", anyFor("a")...)
		require.NoError(t, err)
	})
}

func TestTheWindowOfAReplicaThatLivesIsAskedForBesideThatOfADeadOne(t *testing.T) {
	in(t, 4, []string{"r1", "r2", "r3"}, func(t *testing.T, w *world) {
		for _, replica := range []string{"r2", "r3"} {
			_, err := w.assign(replica, "vm-"+replica, anyFor("net")...)
			require.NoError(t, err)
			w.has("vm-"+replica, true)
			w.finishWrites()
		}
		w.stall("r2") // as a dead one, it gives nothing up
		_, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
	})
}

func TestAnAddressOfTheOwnWindowThatIsAskedForLeavesIt(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		w.finishWrites()
		w.stall("r1")
		ask := macpool.Ask{Interface: "net", MAC: w.ledgers["r1"].windows["default"].free[0]}
		_, err = w.assign("r1", "vmb", ask)
		require.NoError(t, err)
		for i := range 20 {
			grant, err := w.assign("r1", fmt.Sprint("vm", i), anyFor("net")...)
			require.NoError(t, err)
			assert.NotEqual(t, ask.MAC, grant.MACs[0])
		}
	})
}

func TestReservationsThatWereForgottenAreFoundAgain(t *testing.T) {
	in(t, 1, []string{"r1"}, func(t *testing.T, w *world) {
		// A write that was thought to have failed reserved the only address.
		b := macpool.NewBlock(macpool.Prefix{2})
		b.Reserve(1, w.pool.Set, "r1", time.Now())
		_, err := w.store.Put(t.Context(), b)
		require.NoError(t, err)
		synctest.Wait()
		_, err = w.assign("r1", "vma", anyFor("net")...)
		assert.NoError(t, err)
	})
}

func TestAPoolThatShrinksLendsNothingOutside(t *testing.T) {
	in(t, 256, []string{"r1"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		w.finishWrites()
		require.NotEmpty(t, w.ledgers["r1"].windows["default"].free)
		w.pool.Set = macpool.NewSet(
			[]macpool.Range{{First: macpool.MAC{2, 0, 0, 9}, Last: macpool.MAC{2, 0, 0, 9, 0, 255}}}, nil,
		)
		for i := range 5 {
			grant, err := w.assign("r1", fmt.Sprint("vm", i), anyFor("net")...)
			require.NoError(t, err)
			assert.True(t, w.pool.Set.Contains(grant.MACs[0]))
		}
		w.finishWrites()
		for _, m := range w.reserved() {
			assert.True(t, w.pool.Set.Contains(m), "%s stays reserved", m)
		}
	})
}

func TestAPoolThatIsReplacedWhileAddressesOfItAreReservedLendsNoneOfThem(t *testing.T) {
	in(t, 64, []string{"r1"}, func(t *testing.T, w *world) {
		reachable := w.holdUp(nil)
		grants := make(chan macpool.Grant, 2)
		ask := func(vm string) {
			grant, err := w.assign("r1", vm, anyFor("net")...)
			assert.NoError(t, err)
			grants <- grant
		}
		go ask("vma")
		w.pass(0)
		w.pool.Set = macpool.NewSet([]macpool.Range{{First: macpool.MAC{4}, Last: macpool.MAC{4, 0, 0, 0, 0, 7}}}, nil)
		go ask("vmb")
		w.pass(0)
		close(reachable)
		for range 2 {
			for _, m := range (<-grants).MACs {
				assert.True(t, w.pool.Set.Contains(m), "%s", m)
			}
		}
	})
}

func TestNothingIsLentFromAWindowOfAnEarlierName(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		w.finishWrites()
		earlier := w.ledgers["r1"].windows["default"]
		waiting := &waiter{holders: []macpool.Holder{{Object: vmNamed("vmb")}}, served: make(chan struct{})}
		w.leases["r1"].set("r1b", true)
		l := w.ledgers["r1"]
		l.mu.Lock()
		earlier.queue = append(earlier.queue, waiting)
		l.serveLocked(earlier)
		l.mu.Unlock()
		require.ErrorIs(t, waiting.err, macpool.ErrNotReady)
		assert.Empty(t, waiting.macs)
	})
}

func TestAWindowOfAnEarlierNameIsGivenUp(t *testing.T) {
	in(t, 2, []string{"r1"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		w.finishWrites()
		require.Len(t, w.reserved(), 1)
		w.leases["r1"].set("r1b", true)
		_, err = w.assign("r1", "vmb", anyFor("net")...)
		require.NoError(t, err, "the janitor takes more than a minute to see that r1 is dead")
	})
}

func TestAWindowThatIsFilledUnderAnEarlierNameIsGivenUp(t *testing.T) {
	in(t, 2, []string{"r1"}, func(t *testing.T, w *world) {
		reachable := w.holdUp(nil)
		failed := make(chan error, 1)
		go func() {
			_, err := w.assign("r1", "vma", anyFor("net")...)
			failed <- err
		}()
		synctest.Wait()
		w.leases["r1"].set("r1b", true)
		close(reachable)
		require.ErrorIs(t, <-failed, macpool.ErrNotReady)
		w.finishWrites()
		assert.Empty(t, w.reserved())
	})
}

func TestWhoGivesUpWaitingTakesNothing(t *testing.T) {
	for name, ask := range map[string]macpool.Ask{
		"for any address": {Interface: "net"},
		"for this one":    named(t, "net", "52:54:00:00:00:01"),
	} {
		t.Run(name, func(t *testing.T) {
			in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
				reachable := make(chan struct{})
				w.store.Fail(func(string, macpool.Prefix) error { <-reachable; return nil })
				ctx, cancel := context.WithCancel(t.Context())
				failed := make(chan error, 1)
				go func() {
					r := macpool.Request{Holder: vmNamed("vma"), Pool: w.pool, Asks: []macpool.Ask{ask}}
					_, err := w.ledgers["r1"].Assign(ctx, r)
					failed <- err
				}()
				synctest.Wait()
				cancel()
				require.ErrorIs(t, <-failed, context.Canceled)
				close(reachable)
				w.finishWrites()
				assert.Empty(t, w.holds())
			})
		})
	}
}

// A deafStore writes what it is told to, and may lose the answers.
type deafStore struct {
	Store
	deaf atomic.Bool
}

func (s *deafStore) Put(ctx context.Context, b *macpool.Block) (*macpool.Block, error) {
	written, err := s.Store.Put(ctx, b)
	if err == nil && s.deaf.Load() {
		return nil, errors.New("connection reset by peer")
	}
	return written, err
}

func TestAnAddressThatWasClaimedByAWriteWhoseAnswerIsLostIsNotLent(t *testing.T) {
	in(t, 8, []string{"r1"}, func(t *testing.T, w *world) {
		l := w.ledgers["r1"]
		store := &deafStore{Store: w.store}
		l.writer.store = store
		w.warm()
		claimed := l.windows["default"].free[0]
		w.stall("r1")
		store.deaf.Store(true)
		_, err := w.assign("r1", "vmb", macpool.Ask{Interface: "net", MAC: claimed})
		require.ErrorContains(t, err, "connection reset")
		require.Contains(t, w.holds(), claimed.String()+" vmb/net")
		store.deaf.Store(false)
		for i := range 6 { // all that are left
			grant, err := w.assign("r1", fmt.Sprint("late", i), anyFor("net")...)
			require.NoError(t, err)
			require.NotEqual(t, claimed, grant.MACs[0])
		}
		w.goOn("r1")
	})
}

func TestAnAddressInAWindowOfAnEarlierNameIsFreeForWhoAsksForIt(t *testing.T) {
	for _, replica := range []string{"r1", "r2"} {
		t.Run("at "+replica, func(t *testing.T) {
			in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
				w.warm()
				m := w.ledgers["r1"].windows["default"].free[0]
				w.leases["r1"].set("r1b", true)
				_, err := w.assign(replica, "vmb", macpool.Ask{Interface: "net", MAC: m})
				require.NoError(t, err, "the janitor takes more than a minute to see that r1 is dead")
			})
		})
	}
}
