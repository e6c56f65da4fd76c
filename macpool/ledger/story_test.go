// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// in runs a story in a bubble, in which time goes by only when everybody waits.
func in(t *testing.T, size int, replicas []string, story func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, size, replicas...)
		story(t, w)
		w.down.Store(false)
		w.settleWrites()
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
				assert.False(w.t, both && !w.blind[name], "%s is held, and reserved: %v", m, e)
			}
		}
	}
}

// reservedBy returns the addresses that the store says are reserved by a replica and not held.
func (w *world) reservedBy(replica string) (found []macpool.MAC) {
	for _, b := range w.store.Blocks() {
		for m, e := range b.Entries() {
			if e.LendableBy(replica) {
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

func TestARequestThatIsRepeatedRenewsItsHold(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		for range 30 {
			grant, err := w.assign("r1", "vma", anyFor("net")...)
			require.NoError(t, err)
			if hold, ok := w.hold(grant.MACs[0]); ok {
				assert.LessOrEqual(
					t, time.Since(hold.Since), reuseWithin+time.Second, "the answer came from memory, and the hold is old",
				)
			}
			w.pass(4 * time.Second)
		}
	})
}

func TestAnExplicitAddressThatIsRepeatedRenewsItsHold(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		ask := named(t, "net", "52:54:00:00:00:01")
		for range 30 {
			_, err := w.assign("r1", "vma", ask)
			require.NoError(t, err)
			hold, ok := w.hold(ask.MAC)
			require.True(t, ok)
			assert.LessOrEqual(t, time.Since(hold.Since), reuseWithin, "the answer came from memory, and the hold is old")
			w.pass(4 * time.Second)
		}
	})
}

func TestMemoryIsNotBelievedAgainstTheStore(t *testing.T) {
	const mac = "52:54:00:00:00:01"
	for name, change := range map[string]func(*world, macpool.MAC){
		"the hold was released": func(w *world, _ macpool.MAC) { w.free("r2", "vma") },
		"the block was deleted": func(w *world, m macpool.MAC) { w.store.Delete(m.Prefix()) },
		"the replica has another name": func(w *world, m macpool.MAC) {
			w.free("r2", "vma")
			w.leases["r1"].set("r1b", true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
				ask := named(t, "net", mac)
				_, err := w.assign("r1", "vma", ask)
				require.NoError(t, err)
				synctest.Wait()
				change(w, ask.MAC)
				synctest.Wait()
				_, err = w.assign("r1", "vma", ask)
				require.NoError(t, err)
				_, held := w.hold(ask.MAC)
				assert.True(t, held, "it was answered without the store's knowledge")
			})
		})
	}
}

func TestAReplicaOfAnotherNameWritesWhatItAnswers(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		ask := named(t, "net", "52:54:00:00:00:01")
		_, err := w.assign("r1", "vma", ask)
		require.NoError(t, err)
		before, _ := w.hold(ask.MAC)
		w.leases["r1"].set("r1b", true)
		w.pass(time.Second)
		_, err = w.assign("r1", "vma", ask)
		require.NoError(t, err)
		after, _ := w.hold(ask.MAC)
		assert.True(t, after.Since.After(before.Since))
	})
}

func TestAWindowIsGivenUpWithItsBlock(t *testing.T) {
	in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", anyFor("a")...)
		require.NoError(t, err)
		w.settleWrites()
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
					w.settleWrites()
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

func TestRejectedCreationsAreNoReasonToDeleteVMs(t *testing.T) {
	in(t, 8, []string{"r1"}, func(t *testing.T, w *world) {
		var err error
		for i := range 12 {
			o := macpool.Object{Kind: macpool.KindVM, Namespace: "default", GenerateName: "vm-", Claim: fmt.Sprint(i)}
			_, err = w.ledgers["r1"].Assign(t.Context(), macpool.Request{Holder: o, Pool: w.pool, Asks: anyFor("net")})
			w.settleWrites()
		}
		var exhausted *macpool.ExhaustedError
		require.ErrorAs(t, err, &exhausted)
		assert.True(t, exhausted.Passing(), "asking again helps")
		assert.NotContains(t, err.Error(), "delete VMs")
	})
}

func TestTheWindowOfAnotherReplicaIsAskedForWhenThePoolIsEmpty(t *testing.T) {
	in(t, 2, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", anyFor("a")...)
		require.NoError(t, err)
		w.settleWrites()
		w.has("vma", true)
		_, err = w.assign("r2", "vmb", anyFor("a")...)
		if err != nil {
			var exhausted *macpool.ExhaustedError
			require.ErrorAs(t, err, &exhausted)
			require.True(t, exhausted.Passing())
			w.settleWrites()
			_, err = w.assign("r2", "vmb", anyFor("a")...)
		}
		require.NoError(t, err)
	})
}

func TestAnAddressThatMovesBetweenTwoVMsIsRefusedForNowAtWorst(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		ask := named(t, "net", "52:54:00:00:00:01")
		_, err := w.assign("r1", "vma", ask)
		require.NoError(t, err)
		w.has("vma", false) // it is there, but not with this address
		_, err = w.assign("r1", "vmb", ask)
		var busy *macpool.BusyError
		require.ErrorAs(t, err, &busy)
		w.pass(busy.After)
		_, err = w.assign("r1", "vmb", ask)
		require.NoError(t, err)
	})
}

func TestAnAddressThatWasLentIsRefusedToOthersBeforeTheStoreKnows(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		grant, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		w.has("vma", true)
		_, err = w.assign("r1", "vmb", macpool.Ask{Interface: "net", MAC: grant.MACs[0]})
		var taken *macpool.TakenError
		require.ErrorAs(t, err, &taken)
	})
}

func TestAnAddressOfTheOwnWindowThatIsAskedForLeavesIt(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		w.settleWrites()
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
		w.settleWrites()
		require.NotEmpty(t, w.ledgers["r1"].windows["default"].free)
		w.pool.Set = macpool.NewSet(
			[]macpool.Range{{First: macpool.MAC{2, 0, 0, 9}, Last: macpool.MAC{2, 0, 0, 9, 0, 255}}}, nil,
		)
		for i := range 5 {
			grant, err := w.assign("r1", fmt.Sprint("vm", i), anyFor("net")...)
			require.NoError(t, err)
			assert.True(t, w.pool.Set.Contains(grant.MACs[0]))
		}
		w.settleWrites()
		for _, m := range w.reservedBy("r1") {
			assert.True(t, w.pool.Set.Contains(m), "%s stays reserved", m)
		}
	})
}

func TestNothingIsLentFromAWindowOfAnEarlierName(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		w.settleWrites()
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

func TestNothingIsRefusedOnWhatACacheSays(t *testing.T) {
	in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		ask := named(t, "net", "52:54:00:00:00:01")
		_, err := w.assign("r1", "vma", ask)
		require.NoError(t, err)
		w.has("vma", true)
		synctest.Wait()
		w.stall("r2")
		for m, hold := range w.ledgers["r1"].HoldsOf(vmNamed("vma")) {
			require.NoError(t, w.ledgers["r1"].Edit(t.Context(), m.Prefix(), func(b *macpool.Block) { b.Release(m, hold) }))
		}
		_, err = w.assign("r2", "vmb", ask)
		assert.NoError(t, err, "it is free, though the replica does not know yet")
	})
}

func TestOlderStatesOfABlockAreNoNews(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		w.stall("r1") // it knows what it wrote itself, and the watch is behind
		ask := named(t, "net", "52:54:00:00:00:01")
		_, err := w.assign("r1", "vma", named(t, "net", "52:54:00:00:00:09"))
		require.NoError(t, err)
		_, err = w.assign("r1", "vma", ask)
		require.NoError(t, err)
		l := w.ledgers["r1"]
		older := macpool.NewBlock(ask.MAC.Prefix())
		older.Version = "1"
		l.Observe(older)
		synctest.Wait()
		assert.Contains(t, l.HoldsOf(vmNamed("vma")), ask.MAC)
		l.Forget(ask.MAC.Prefix(), "1")
		synctest.Wait()
		assert.Contains(t, l.HoldsOf(vmNamed("vma")), ask.MAC)
		assert.NoError(t, l.Err(), "a watch that is behind is nothing unusual")
	})
}

func TestABlockThatWasDeletedWhileTheWatchWasCutOffIsInNoWindowAndWrittenAgain(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		w.stall("r1")
		_, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		w.settleWrites()
		l := w.ledgers["r1"]
		lost := slices.Clone(l.windows["default"].free)
		require.NotEmpty(t, lost)
		w.store.Delete(lost[0].Prefix())
		l.Forget(lost[0].Prefix(), "1") // the last state that the watch had seen
		synctest.Wait()
		assert.NotContains(t, l.windows["default"].free, lost[0])
		w.settleWrites()
		assert.Contains(t, w.holds(), "vma/net")
	})
}

func TestAStoreThatIsOlderThanItWasEndsTheLedger(t *testing.T) {
	for name, notice := range map[string]func(*testing.T, *world, Snapshot){
		"the watch tells of an older state": func(_ *testing.T, w *world, s Snapshot) {
			w.store.Restore(s)
		},
		"a live read tells of an older state": func(t *testing.T, w *world, s Snapshot) {
			w.stall("r1")
			w.store.Restore(s)
			_, err := w.assign("r1", "vmc", named(t, "net", "02:00:00:00:00:f9")) // on a state that is no more
			require.NoError(t, err, "it was decided on what is stored")
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, 256, []string{"r1"}, func(t *testing.T, w *world) {
				w.pool.Set = macpool.NewSet([]macpool.Range{{First: macpool.MAC{2}, Last: macpool.MAC{2, 0, 0, 0, 0, 255}}}, nil)
				_, err := w.assign("r1", "vma", anyFor("net")...)
				require.NoError(t, err)
				w.settleWrites()
				saved := w.store.Snapshot()
				_, err = w.assign("r1", "vmb", anyFor("net")...)
				require.NoError(t, err)
				w.settleWrites()
				l := w.ledgers["r1"]
				require.NoError(t, l.Err())
				notice(t, w, saved)
				synctest.Wait()
				_, rewound := <-l.Rewound()
				require.False(t, rewound)
				require.ErrorContains(t, l.Err(), "etcd was restored")
				_, err = w.assign("r1", "vmd", anyFor("net")...)
				require.ErrorIs(t, err, macpool.ErrNotReady, "what it remembers is not so any more")
				require.NoError(t, l.Close(t.Context()))
			})
		})
	}
}

func TestARecordThatComesLateMakesNoSecondHolder(t *testing.T) {
	in(t, 256, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		w.warm()
		grant, err := w.assign("r1", "vmc", anyFor("net")...)
		require.NoError(t, err)
		m := grant.MACs[0]
		w.leases["r1"].set("r1b", true) // r1 lapsed before it recorded the address, and the VM was never created
		require.NoError(t, w.ledgers["r2"].Edit(t.Context(), m.Prefix(), func(b *macpool.Block) {
			b.EndReservations("r1", map[macpool.MAC][]macpool.Holder{m: nil}, time.Now())
		}))
		_, err = w.assign("r2", "vmb", macpool.Ask{Interface: "net", MAC: m})
		require.NoError(t, err)
		w.settleWrites()
		assert.NotContains(t, w.ledgers["r1"].HoldsOf(vmNamed("vmc")), m, "what the janitor settled stays so")
		assert.Contains(t, w.ledgers["r2"].HoldsOf(vmNamed("vmb")), m)
	})
}

func TestAnAddressLentUnderALapsedNameIsNoAnswerAnyMore(t *testing.T) {
	in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		grant, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		m := grant.MACs[0]
		w.leases["r1"].set("r1b", true)
		require.NoError(t, w.ledgers["r2"].Edit(t.Context(), m.Prefix(), func(b *macpool.Block) {
			b.EndReservations("r1", map[macpool.MAC][]macpool.Holder{m: nil}, time.Now())
		}))
		_, err = w.assign("r1", "vma", macpool.Ask{Interface: "net", MAC: m})
		require.NoError(t, err)
		_, held := w.hold(m)
		assert.True(t, held, "it was answered without the store's knowledge")
	})
}

func TestAHoldThatIsYoungIsNotEndedForAnother(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		ask := named(t, "net", "52:54:00:00:00:01")
		_, err := w.assign("r1", "vma", ask)
		require.NoError(t, err)
		w.pass(MaxAdmission)
		_, err = w.assign("r1", "vmb", ask)
		var busy *macpool.BusyError
		require.ErrorAs(t, err, &busy, "the VM may be on its way into etcd still")
		assert.LessOrEqual(t, busy.After, reuseWithin)
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
				w.settleWrites()
				assert.Empty(t, w.holds())
			})
		})
	}
}

func TestABlockThatKeepsChangingIsAnErrorNotARefusal(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		w.store.Fail(func(op string, _ macpool.Prefix) error {
			if op == "put" {
				return macpool.ErrConflict
			}
			return nil
		})
		_, err := w.assign("r1", "vma", named(t, "net", "52:54:00:00:00:01"))
		require.ErrorIs(t, err, macpool.ErrConflict)
		w.store.Fail(func(string, macpool.Prefix) error { return nil })
	})
}

func TestAnAddressThatIsBeingClaimedIsNotLentMeanwhile(t *testing.T) {
	in(t, 256, []string{"r1"}, func(t *testing.T, w *world) {
		w.warm()
		ask := macpool.Ask{Interface: "net", MAC: w.ledgers["r1"].windows["default"].free[0]}
		reachable := w.holdUp(nil)
		claimed := make(chan error, 1)
		go func() {
			_, err := w.assign("r1", "vmb", ask)
			claimed <- err
		}()
		synctest.Wait()
		lent := make(chan macpool.MAC, 1)
		go func() {
			grant, err := w.assign("r1", "vmc", anyFor("net")...)
			assert.NoError(t, err)
			lent <- grant.MACs[0]
		}()
		synctest.Wait()
		close(reachable)
		require.NoError(t, <-claimed)
		assert.NotEqual(t, ask.MAC, <-lent)
	})
}

func TestAnAddressWhoseRecordFailedIsNoOrphan(t *testing.T) {
	in(t, 256, []string{"r1"}, func(t *testing.T, w *world) {
		w.warm()
		first, err := w.assign("r1", "vmb", anyFor("net")...)
		require.NoError(t, err)
		reachable := w.holdUp(errors.New("connection refused"))
		w.pass(2 * batchDelay) // the record is under way, and will fail
		other := w.pool
		other.Name = "other"
		lent := make(chan macpool.MAC, 1)
		go func() {
			r := macpool.Request{Holder: vmNamed("vmc"), Pool: other, Asks: anyFor("net")}
			grant, err := w.ledgers["r1"].Assign(t.Context(), r)
			assert.NoError(t, err)
			lent <- grant.MACs[0]
		}()
		synctest.Wait()
		close(reachable)
		assert.NotEqual(t, first.MACs[0], <-lent)
	})
}

func TestAnAddressWhoseRecordFailedIsNotClaimedByAnother(t *testing.T) {
	in(t, 256, []string{"r1"}, func(t *testing.T, w *world) {
		w.warm()
		lent, err := w.assign("r1", "vmb", anyFor("net")...)
		require.NoError(t, err)
		w.has("vmb", true)
		reachable := w.holdUp(errors.New("connection refused"))
		w.pass(2 * batchDelay) // the record is under way, and will fail
		claimed := make(chan error, 1)
		go func() {
			_, err := w.assign("r1", "vmc", macpool.Ask{Interface: "net", MAC: lent.MACs[0]})
			claimed <- err
		}()
		synctest.Wait()
		close(reachable)
		var taken *macpool.TakenError
		require.ErrorAs(t, <-claimed, &taken)
	})
}

func TestWhatAVMHadBeforeSurvivesARefusal(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		own, taken := named(t, "a", "52:54:00:00:00:01"), named(t, "b", "52:54:00:00:00:02")
		for vm, ask := range map[string]macpool.Ask{"vma": own, "vmb": taken} {
			_, err := w.assign("r1", vm, ask)
			require.NoError(t, err)
			w.has(vm, true)
		}
		w.pass(2 * reuseWithin) // the answer does not come from memory
		_, err := w.assign("r1", "vma", own, taken)
		require.Error(t, err)
		w.settleWrites()
		_, held := w.hold(own.MAC)
		assert.True(t, held)
	})
}

func TestARequestThatIsMadeTwiceAtOnceHasOneAnswer(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		first, err := w.assign("r1", "vma", anyFor("a", "b")...)
		require.NoError(t, err)
		again, err := w.assign("r1", "vma", anyFor("a", "b")...)
		require.NoError(t, err)
		assert.Equal(t, first, again, "the store does not know yet that they are lent")
	})
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

func TestAnAddressThatAVMKeepsIsNotGivenToAnotherInterfaceOfIt(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		w.settleWrites()
		l := w.ledgers["r1"]
		// vmb was made past admission, with addresses that are set aside in the window.
		kept := slices.Clone(l.windows["default"].free[:2])
		r := macpool.Request{Holder: vmNamed("vmb"), Pool: w.pool, Asks: anyFor("more"), Kept: kept}
		preview, err := l.Preview(t.Context(), r)
		require.NoError(t, err)
		assert.NotContains(t, kept, preview.MACs[0])
		grant, err := l.Assign(t.Context(), r)
		require.NoError(t, err)
		assert.NotContains(t, kept, grant.MACs[0])
		for i := range 20 {
			other, err := w.assign("r1", fmt.Sprint("vm", i), anyFor("net")...)
			require.NoError(t, err)
			assert.NotContains(t, kept, other.MACs[0], "nor is it given to another VM")
		}
		w.settleWrites()
		assert.Contains(t, l.HoldsOf(vmNamed("vmb")), kept[0])
	})
}

// warm gives the first replica a window of a world of one block.
func (w *world) warm() {
	const replica = "r1"
	_, err := w.assign(replica, "vma", anyFor("net")...)
	require.NoError(w.t, err)
	w.settleWrites()
	require.NotEmpty(w.t, w.ledgers[replica].windows["default"].free)
}
