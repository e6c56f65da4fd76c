// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestRejectedCreationsAreNoReasonToDeleteVMs(t *testing.T) {
	in(t, 8, []string{"r1"}, func(t *testing.T, w *world) {
		for i := range 12 {
			o := macpool.Object{Kind: macpool.KindVM, Namespace: "default", GenerateName: "vm-", Claim: fmt.Sprint(i)}
			_, _ = w.ledgers["r1"].Assign(t.Context(), macpool.Request{Holder: o, Pool: w.pool, Asks: anyFor("net")})
			w.finishWrites()
		}
		for _, later := range []time.Duration{0, 2 * MaxAdmission} {
			w.pass(later) // a sweep of the janitor is due, which frees what nobody has
			_, err := w.assign("r1", "vma", anyFor("net")...)
			var exhausted *macpool.ExhaustedError
			require.ErrorAs(t, err, &exhausted)
			assert.True(t, exhausted.Passing(), "asking again helps")
			assert.NotContains(t, err.Error(), "delete VMs")
		}
	})
}

func TestAnExhaustedPoolSaysWhenAnAddressMayBeBack(t *testing.T) {
	in(t, 2, []string{"r1"}, func(t *testing.T, w *world) {
		for _, vm := range []string{"rejected", "too"} {
			_, err := w.assign("r1", vm, anyFor("net")...)
			require.NoError(t, err)
			w.finishWrites()
		}
		held := time.Now()
		w.pass(20 * time.Second)
		_, err := w.assign("r1", "vma", anyFor("net")...)
		var exhausted *macpool.ExhaustedError
		require.ErrorAs(t, err, &exhausted)
		old := held.Add(w.ledgers["r1"].Grace)
		assert.WithinRange(t, time.Now().Add(exhausted.Wait()), old.Add(-3*busyDelay), old)
		assert.Less(t, exhausted.Wait(), MaxAdmission)
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

func TestAnAddressWhoseHoldersAreAllGoneIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096, "r1")
		ask := named(t, "net", "52:54:00:00:00:01")
		shared := ask
		shared.Share = macpool.Sharing{Anyone: true}
		_, err := w.assign("r1", "vma", ask)
		require.NoError(t, err)
		_, err = w.assign("r1", "vmb", shared)
		require.NoError(t, err)
		w.pass(MaxAdmission + reuseWithin)
		request := macpool.Request{Holder: vmNamed("vmc"), Pool: w.pool, Asks: []macpool.Ask{ask}}
		for _, there := range []string{"vma", "vmb"} {
			w.has("vma", there == "vma")
			w.has("vmb", there == "vmb")
			_, err = w.ledgers["r1"].Preview(t.Context(), request)
			assert.ErrorContains(t, err, "is held by VirtualMachine default/"+there)
			_, err = w.ledgers["r1"].Assign(t.Context(), request)
			assert.ErrorContains(t, err, "is held by VirtualMachine default/"+there)
		}
		w.has("vmb", false)
		_, err = w.ledgers["r1"].Preview(t.Context(), request)
		require.NoError(t, err)
		_, err = w.ledgers["r1"].Assign(t.Context(), request)
		require.NoError(t, err)
		assert.Equal(t, "52:54:00:00:00:01 vmc/net", w.holds())
	})
}

func TestARefusalNamesTheHolderThatIsThereThoughAnotherWasDeletedJustNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096, "r1")
		ask := named(t, "net", "52:54:00:00:00:01")
		w.pool.Tolerate = true
		for _, vm := range []string{"vma", "vmb"} {
			_, err := w.assign("r1", vm, ask)
			require.NoError(t, err)
		}
		w.has("vmb", true)
		request := macpool.Request{Holder: vmNamed("vmc"), Pool: w.pool, Asks: []macpool.Ask{ask}}
		answers := map[string]func(context.Context, macpool.Request) (macpool.Grant, error){
			"in a dry run": w.ledgers["r1"].Preview, "created": w.ledgers["r1"].Assign,
		}
		request.Pool.Tolerate = false
		for name, answer := range answers {
			_, err := answer(t.Context(), request)
			assert.EqualError(t, err, "52:54:00:00:00:01 is held by VirtualMachine default/vmb for its interface net", name)
		}
		shares := request
		shares.Asks = []macpool.Ask{ask}
		shares.Asks[0].Share = macpool.Sharing{With: vmNamed("vmb")}
		_, err := w.ledgers["r1"].Assign(t.Context(), shares)
		var busy *macpool.BusyError
		require.ErrorAs(t, err, &busy, "it may have it with vmb once vma is gone for good")
		request.Pool.Tolerate = true
		for _, name := range []string{"in a dry run", "created"} {
			grant, err := answers[name](t.Context(), request)
			require.NoError(t, err)
			require.Len(t, grant.Collisions, 1)
			assert.Equal(t, vmNamed("vmb"), grant.Collisions[0].Holder.Object, name)
		}
		w.finishWrites()
	})
}

func TestWhoAsksForAnyAddressIsGivenNoneThatAnotherHasWhateverThePoolTolerates(t *testing.T) {
	in(t, 64, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		w.pool.Tolerate = true
		before, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		w.has("vma", true)
		w.finishWrites()
		w.stall("r2") // it goes on to think that vma has the address
		w.free("r1", "vma")
		_, err = w.assign("r1", "vmb", macpool.Ask{Interface: "net", MAC: before.MACs[0]})
		require.NoError(t, err)
		w.has("vmb", true)

		request := macpool.Request{Holder: vmNamed("vma"), Pool: w.pool, Asks: anyFor("net")}
		for name, answer := range map[string]func(context.Context, macpool.Request) (macpool.Grant, error){
			"in a dry run": w.ledgers["r2"].Preview, "created": w.ledgers["r2"].Assign,
		} {
			grant, err := answer(t.Context(), request)
			require.NoError(t, err, name)
			assert.Empty(t, grant.Collisions, name)
			assert.NotEqual(t, before.MACs, grant.MACs, name)
		}
	})
}

func TestWhoAsksForAnyAddressAgainIsNotGivenItsOwnThatAnotherHasToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 64, "r1", "r2")
		w.pool.Tolerate = true
		before, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		w.has("vma", true)
		w.finishWrites()
		w.stall("r2") // it goes on to think that vma alone has the address
		_, err = w.assign("r1", "vmb", macpool.Ask{Interface: "net", MAC: before.MACs[0]})
		require.NoError(t, err)
		w.has("vmb", true)
		w.has("vma", false)

		request := macpool.Request{Holder: vmNamed("vma"), Pool: w.pool, Asks: anyFor("net")}
		for name, answer := range map[string]func(context.Context, macpool.Request) (macpool.Grant, error){
			"in a dry run": w.ledgers["r2"].Preview, "created": w.ledgers["r2"].Assign,
		} {
			grant, err := answer(t.Context(), request)
			require.NoError(t, err, name)
			assert.NotEqual(t, before.MACs, grant.MACs, name)
		}
		w.finishWrites()
	})
}

func TestACreationThatThePoolToleratesHasItsAddressThoughTheOtherHolderGoes(t *testing.T) {
	in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		ask := named(t, "net", "52:54:00:00:00:01")
		_, err := w.assign("r1", "vm-a", ask)
		require.NoError(t, err)
		w.has("vm-a", true)
		tolerant := w.pool
		tolerant.Tolerate = true
		for name, o := range map[string]macpool.Object{
			"a name": vmNamed("vmb"), "no name, and might become vm-a": nameless("c"),
		} {
			grant, err := w.ledgers["r1"].Assign(
				t.Context(), macpool.Request{Holder: o, Pool: tolerant, Asks: []macpool.Ask{ask}},
			)
			require.NoError(t, err)
			require.Len(t, grant.Collisions, 1)
			assert.Contains(t, w.ledgers["r1"].HoldsOf(o), ask.MAC, "with %s", name)
		}
		w.free("r1", "vmb")
		w.free("r1", "vm-a")
		_, err = w.assign("r2", "vmc", ask)
		var busy *macpool.BusyError
		require.ErrorAs(t, err, &busy, "the creation may be about to be stored")
	})
}

func TestARefusalNamesNoHolderThatWasNotLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096, "r1")
		ask := named(t, "net", "52:54:00:00:00:01")
		w.pool.Tolerate = true
		for i := range maxGone + 1 {
			_, err := w.assign("r1", fmt.Sprint("vm", i), ask)
			require.NoError(t, err)
		}
		w.pass(MaxAdmission + reuseWithin)
		w.pool.Tolerate = false
		request := macpool.Request{Holder: vmNamed("vma"), Pool: w.pool, Asks: []macpool.Ask{ask}}
		var busy *macpool.BusyError
		_, err := w.ledgers["r1"].Preview(t.Context(), request)
		require.ErrorAs(t, err, &busy, "none of them exists")
		_, err = w.ledgers["r1"].Assign(t.Context(), request)
		require.ErrorAs(t, err, &busy)
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
		w.finishWrites()
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

func TestAnAddressThatAVMKeepsIsNotGivenToAnotherInterfaceOfIt(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		w.finishWrites()
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
		w.finishWrites()
		assert.Contains(t, l.HoldsOf(vmNamed("vmb")), kept[0])
	})
}

func TestAReplicaThatLosesItsLeaseWhileItWaitsForAnAddressClaimsNothing(t *testing.T) {
	for name, answer := range map[string]func(*macpool.Block, macpool.Claim){
		"that is given up":    func(b *macpool.Block, c macpool.Claim) { b.Unreserve(c.MAC, "r1") },
		"that was lent to it": func(b *macpool.Block, c macpool.Claim) { require.NoError(t, b.Claim(c)) },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
				w.warm()
				c := macpool.Claim{MAC: w.ledgers["r1"].windows["default"].free[0], Replica: "r1"}
				c.Holder = macpool.Holder{Object: vmNamed("vmb"), Interface: "net"}
				w.stall("r1")
				claimed := make(chan error, 1)
				go func() {
					_, err := w.assign("r2", "vmb", macpool.Ask{Interface: "net", MAC: c.MAC})
					claimed <- err
				}()
				w.pass(contestFor / 3)
				w.leases["r2"].set("r2", false)
				require.NoError(t, w.ledgers["r2"].Edit(t.Context(), c.MAC.Prefix(), func(b *macpool.Block) { answer(b, c) }))
				answered := w.holds()
				require.ErrorIs(t, <-claimed, macpool.ErrNotReady)
				w.finishWrites()
				assert.Equal(t, answered, w.holds())
			})
		})
	}
}

func TestASecondCallAtAnotherReplicaDoesNotRenewWhatTheFirstRecordsForIt(t *testing.T) {
	for name, c := range map[string]struct {
		iface  string
		writes int
	}{
		"for the interface that has the address": {"net", 2}, // the question, and the record
		"for another interface of the VM":        {"other", 3},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
				w.warm()
				grant, err := w.assign("r1", "vmb", anyFor("net")...)
				require.NoError(t, err)
				ask := macpool.Ask{Interface: c.iface, MAC: grant.MACs[0]}
				before := w.store.Puts()
				w.pass(time.Millisecond) // else a renewal is no other hold
				for range 2 {            // the second time from memory
					_, err = w.assign("r2", "vmb", ask)
					require.NoError(t, err)
					w.pass(reuseWithin / 2)
				}
				assert.Equal(t, c.writes, w.store.Puts()-before)
				hold := w.ledgers["r2"].HoldsOf(vmNamed("vmb"))[ask.MAC]
				assert.Equal(t, c.iface, hold.Interface)
				w.pass(time.Second)
				_, err = w.assign("r2", "vmb", ask)
				require.NoError(t, err)
				assert.Equal(t, c.writes+1, w.store.Puts()-before, "memory is believed no longer")
			})
		})
	}
}

func TestAnOldHoldThatAReplicaHearsOfLateIsRenewed(t *testing.T) {
	in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		w.warm()
		w.stall("r2")
		grant, err := w.assign("r1", "vmb", anyFor("net")...)
		require.NoError(t, err)
		w.finishWrites()
		w.pass(MaxAdmission)
		before := w.store.Puts()
		_, err = w.assign("r2", "vmb", macpool.Ask{Interface: "net", MAC: grant.MACs[0]})
		require.NoError(t, err)
		assert.Equal(t, 1, w.store.Puts()-before)
	})
}

// A lookedAt has something happen when it is first looked what an object has.
type lookedAt struct {
	ObjectReader
	once *sync.Once
	then func()
}

func (o lookedAt) Having(ctx context.Context, of macpool.Object, macs ...macpool.MAC) ([]macpool.MAC, error) {
	o.once.Do(o.then)
	return o.ObjectReader.Having(ctx, of, macs...)
}

func TestWhatARefusedRequestGivesBackIsNotWhatAnotherWasGivenAtTheSameMoment(t *testing.T) {
	in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		free, taken := named(t, "net", "52:54:00:00:00:01"), named(t, "second", "52:54:00:00:01:01")
		_, err := w.assign("r1", "vmb", taken)
		require.NoError(t, err)
		w.has("vmb", true)
		w.pass(MaxAdmission + reuseWithin)
		w.ledgers["r1"].objects = lookedAt{w, &sync.Once{}, func() {
			synctest.Wait()
			_, err := w.assign("r2", "vma", free)
			require.NoError(t, err)
		}}
		_, err = w.assign("r1", "vma", free, taken)
		require.Error(t, err)
		w.finishWrites()
		_, err = w.assign("r1", "vmc", free)
		require.Error(t, err, "vma was given it and is about to be created")
	})
}

func TestAThirdMayShareAnAddressOnceOneOfTheTwoThatSharedItIsGone(t *testing.T) {
	for name, gone := range map[string]string{"the one that had it first": "vma", "the one that shared it": "vmb"} {
		t.Run(name, func(t *testing.T) {
			in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
				ask := named(t, "net", "52:54:00:00:00:01")
				ask.Share = macpool.Sharing{Anyone: true}
				for _, vm := range []string{"vma", "vmb"} {
					_, err := w.assign("r1", vm, ask)
					require.NoError(t, err)
					w.has(vm, true)
				}
				var taken *macpool.TakenError
				_, err := w.assign("r1", "vmc", ask)
				require.ErrorAs(t, err, &taken, "both are there")
				w.has(gone, false)
				var busy *macpool.BusyError
				_, err = w.assign("r1", "vmc", ask)
				require.ErrorAs(t, err, &busy, "it may be about to be created")
				assert.Equal(t, vmNamed(gone), busy.Holder)
				tolerant := macpool.Request{Holder: vmNamed("vmc"), Pool: w.pool, Asks: []macpool.Ask{ask}}
				tolerant.Pool.Tolerate = true
				grant, err := w.ledgers["r1"].Preview(t.Context(), tolerant)
				require.NoError(t, err)
				require.Len(t, grant.Collisions, 1)
				collision := grant.Collisions[0]
				assert.Equal(t, collision.Holder.Object == vmNamed(gone), collision.Unseen, "%v", collision)
				alone := ask
				alone.Share = macpool.Sharing{}
				_, err = w.assign("r1", "vmc", alone)
				require.ErrorAs(t, err, &taken, "to wait would be in vain")
				w.pass(busy.After)
				_, err = w.assign("r1", "vmc", alone)
				require.ErrorAs(t, err, &taken)
				_, err = w.assign("r1", "vmc", ask)
				require.NoError(t, err)
			})
		})
	}
}
