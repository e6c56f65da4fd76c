// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestLedgerStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096, "r1", "r2")
		const taken = "52:54:00:00:00:01"
		answers := map[string][]macpool.MAC{}
		for _, row := range []struct {
			story   string
			before  func()
			replica string
			vm      string
			asks    []macpool.Ask
			err     string
			same    string // the row whose answer this one repeats
		}{
			{story: "a VM gets two addresses", replica: "r1", vm: "vma", asks: anyFor("default", "net")},
			{story: "the same VM again, at once, gets the same two", replica: "r1", vm: "vma", asks: anyFor("default", "net"), same: "a VM gets two addresses"},
			{story: "and from the other replica too", replica: "r2", vm: "vma", asks: anyFor("default", "net"), same: "a VM gets two addresses"},
			{story: "another VM gets others", replica: "r2", vm: "vmb", asks: anyFor("default", "net")},
			{story: "an address outside the pool is held", replica: "r1", vm: "vmc", asks: []macpool.Ask{named(t, "net", taken)}},
			{
				story: "a second holder is refused, with the name of the first", replica: "r2", vm: "vmd",
				asks: []macpool.Ask{named(t, "net", taken)}, err: "is held by VirtualMachine default/vmc",
			},
			{
				story: "all or none: the address that was free is not kept", replica: "r2", vm: "vmd",
				asks: []macpool.Ask{named(t, "a", "52:54:00:00:09:09"), named(t, "b", taken), {Interface: "c"}}, err: "is held by VirtualMachine default/vmc",
			},
			{story: "so another may have it", replica: "r1", vm: "vme", asks: []macpool.Ask{named(t, "net", "52:54:00:00:09:09")}},
			{
				story: "a holder that was never seen to exist may be on its way", replica: "r2", vm: "vmf",
				before: func() { w.has("vme", false) },
				asks:   []macpool.Ask{named(t, "net", "52:54:00:00:09:09")}, err: "which does not exist",
			},
			{
				story: "after the longest admission it is gone for good, and makes room", replica: "r2", vm: "vmf",
				before: func() { w.pass(MaxAdmission + reuseWithin) },
				asks:   []macpool.Ask{named(t, "net", "52:54:00:00:09:09")},
			},
			{story: "a receiver of a migration shares", replica: "r1", vm: "vma2", asks: []macpool.Ask{{Interface: "net", MAC: mustMAC(t, taken), Share: macpool.Sharing{Anyone: true}}}},
			{
				story: "a replica that lost its lease lends nothing", replica: "r1", vm: "vmg", asks: anyFor("net"), err: macpool.ErrNotReady.Error(),
				before: func() { w.leases["r1"].set("r1", false) },
			},
			{
				story: "under its new name it does, from a new window", replica: "r1", vm: "vmg", asks: anyFor("net"),
				before: func() { w.leases["r1"].set("r1b", true) },
			},
			{
				story: "an API server that is away is no refusal", replica: "r1", vm: "vmh", asks: []macpool.Ask{named(t, "net", "52:54:00:00:00:77")},
				before: func() { w.down.Store(true) }, err: "connection refused",
			},
			{
				story: "and nothing of it is left when it is back", replica: "r2", vm: "vmi", asks: []macpool.Ask{named(t, "net", "52:54:00:00:00:77")},
				before: func() { w.down.Store(false) },
			},
		} {
			func() {
				if row.before != nil {
					row.before()
				}
				held := w.holds()
				name, _ := w.leases[row.replica].Replica()
				grant, err := w.assign(row.replica, row.vm, row.asks...)
				for _, m := range grant.MACs {
					assert.True(t, w.ownedInStore(m, vmNamed(row.vm), name), "%s was answered before the store knew whose it is", m)
				}
				w.down.Store(false)
				w.finishWrites()
				w.checkSingleHolders()
				if row.err != "" {
					require.ErrorContains(t, err, row.err, row.story)
					assert.Equal(t, held, w.holds(), "a request that failed has changed nothing")
					return
				}
				require.NoError(t, err, row.story)
				require.Len(t, grant.MACs, len(row.asks))
				for i, m := range grant.MACs {
					assert.Contains(t, w.holds(), fmt.Sprintf("%s %s/%s", m, row.vm, row.asks[i].Interface))
				}
				if row.same != "" {
					assert.Equal(t, answers[row.same], grant.MACs)
				}
				answers[row.story] = grant.MACs
				w.has(row.vm, true)
			}()
		}
	})
}

func TestPreviewChangesNothingAndAnswersAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096, "r1")
		_, err := w.assign("r1", "vma", named(t, "net", "52:54:00:00:00:01"))
		require.NoError(t, err)
		w.has("vma", true)
		w.finishWrites()
		puts, l := w.store.Puts(), w.ledgers["r1"]
		preview := func(vm string, asks ...macpool.Ask) (macpool.Grant, error) {
			return l.Preview(t.Context(), macpool.Request{Holder: vmNamed(vm), Pool: w.pool, Asks: asks})
		}
		first, err := preview("vmb", anyFor("a", "b")...)
		require.NoError(t, err)
		assert.NotEqual(t, first.MACs[0], first.MACs[1])
		again, err := preview("vmb", anyFor("a", "b")...)
		require.NoError(t, err)
		assert.Equal(t, first, again, "nothing has moved")
		_, err = preview("vmb", named(t, "net", "52:54:00:00:00:01"))
		assert.ErrorContains(t, err, "is held by VirtualMachine default/vma")
		held, err := preview("vma", anyFor("net")...)
		require.NoError(t, err)
		assert.Equal(t, mustMAC(t, "52:54:00:00:00:01"), held.MACs[0], "what it has already")
		w.finishWrites()
		assert.Equal(t, puts, w.store.Puts())
		assert.Empty(t, l.windows)
	})
}

func TestExhaustedPoolSaysSoAndKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, "r1")
		_, err := w.assign("r1", "vma", anyFor("a", "b")...)
		require.NoError(t, err)
		w.finishWrites()
		held := w.holds()
		_, err = w.assign("r1", "vmb", append(anyFor("a", "b"), named(t, "c", "52:54:00:00:00:01"))...)
		var exhausted *macpool.ExhaustedError
		require.ErrorAs(t, err, &exhausted)
		assert.EqualValues(t, 3, exhausted.Total)
		assert.EqualValues(t, 2, exhausted.Used)
		assert.ErrorContains(t, err, "MACPool default is exhausted: 2 of its 3 addresses are used")
		w.finishWrites()
		assert.Equal(t, held, w.holds())
		_, err = w.assign("r1", "vmc", anyFor("a")...)
		assert.NoError(t, err, "the last address goes to who needs one")
	})
}

func TestAPoolWhoseHoldersWereDeletedJustNowIsExhaustedForNow(t *testing.T) {
	in(t, 3, []string{"r1"}, func(t *testing.T, w *world) {
		for _, vm := range []string{"vma", "vmb", "vmc"} {
			_, err := w.assign("r1", vm, anyFor("net")...)
			require.NoError(t, err)
			w.has(vm, true)
		}
		w.pass(w.ledgers["r1"].Grace)
		_, err := w.assign("r1", "other", anyFor("net")...)
		var exhausted *macpool.ExhaustedError
		require.ErrorAs(t, err, &exhausted)
		assert.False(t, exhausted.Passing(), "all are there")
		w.has("vmb", false)
		_, err = w.assign("r1", "other", anyFor("net")...)
		require.ErrorAs(t, err, &exhausted)
		assert.True(t, exhausted.Passing(), "the janitor is about to free it")
	})
}

func TestWindowIsSmallInATinyPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 16, "r1")
		_, err := w.assign("r1", "vma", anyFor("a")...)
		require.NoError(t, err)
		w.finishWrites()
		usage := w.ledgers["r1"].Usage(w.pool)
		assert.LessOrEqual(t, usage.Reserved, uint64(1), "16 addresses: a window of 1")
	})
}

func TestIdleWindowIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096, "r1")
		_, err := w.assign("r1", "vma", anyFor("a")...)
		require.NoError(t, err)
		w.finishWrites()
		l := w.ledgers["r1"]
		require.NotZero(t, l.Usage(w.pool).Reserved)
		l.ReturnIdle()
		w.finishWrites()
		require.NotZero(t, l.Usage(w.pool).Reserved, "it was just used")
		w.pass(idleAfter)
		l.ReturnIdle()
		w.finishWrites()
		assert.Zero(t, l.Usage(w.pool).Reserved)
		assert.EqualValues(t, 1, l.Usage(w.pool).Used)
	})
}

func TestCloseRecordsWhatWasLentAndGivesBackTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096, "r1")
		_, err := w.assign("r1", "vma", anyFor("a", "b")...)
		require.NoError(t, err)
		require.NoError(t, w.ledgers["r1"].Close(t.Context()))
		usage := w.ledgers["r1"].Usage(w.pool)
		assert.EqualValues(t, 2, usage.Used)
		assert.Zero(t, usage.Reserved)
		_, err = w.assign("r1", "vmb", anyFor("a")...)
		assert.ErrorIs(t, err, macpool.ErrNotReady)
	})
}

func TestAddressInAnotherWindowIsGivenUpToWhoAsksForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096, "r1", "r2")
		_, err := w.assign("r1", "vma", anyFor("a")...)
		require.NoError(t, err)
		w.finishWrites()
		reserved := w.ledgers["r1"].windows["default"].free[0]
		_, err = w.assign("r2", "vmb", macpool.Ask{Interface: "net", MAC: reserved})
		require.NoError(t, err)
		w.finishWrites()
		w.checkSingleHolders()
		assert.Contains(t, w.holds(), reserved.String()+" vmb/net")
		assert.NotContains(t, w.ledgers["r1"].windows["default"].free, reserved)
	})
}

func TestAddressOfAStalledReplicaIsRefusedForNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096, "r1", "r2")
		_, err := w.assign("r1", "vma", anyFor("a")...)
		require.NoError(t, err)
		w.finishWrites()
		w.stall("r1")
		_, err = w.assign("r2", "vmb", macpool.Ask{Interface: "net", MAC: w.ledgers["r1"].windows["default"].free[0]})
		var busy *macpool.BusyError
		require.ErrorAs(t, err, &busy)
		w.finishWrites()
	})
}

func TestToleratedCollisionIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096, "r1")
		_, err := w.assign("r1", "vma", named(t, "net", "52:54:00:00:00:01"))
		require.NoError(t, err)
		w.has("vma", true)
		w.pool.Tolerate = true
		grant, err := w.assign("r1", "vmb", named(t, "net", "52:54:00:00:00:01"))
		require.NoError(t, err)
		require.Len(t, grant.Collisions, 1)
		assert.EqualError(t, grant.Collisions[0],
			"52:54:00:00:00:01 is held by VirtualMachine default/vma for its interface net")
		w.has("vma", false)
		w.has("vmb", false)
		r := macpool.Request{Holder: vmNamed("vmc"), Pool: w.pool, Asks: []macpool.Ask{named(t, "net", "52:54:00:00:00:01")}}
		for _, answer := range []func(context.Context, macpool.Request) (macpool.Grant, error){
			w.ledgers["r1"].Preview, w.ledgers["r1"].Assign,
		} {
			grant, err := answer(t.Context(), r)
			require.NoError(t, err)
			require.Len(t, grant.Collisions, 1)
			assert.ErrorContains(t, grant.Collisions[0], "for its interface net, which does not have it now")
		}
	})
}

func TestManyRequestsShareAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1<<16, "r1")
		const vms = 400
		var group sync.WaitGroup
		for i := range vms {
			group.Go(func() {
				_, err := w.assign("r1", fmt.Sprint("vm", i), anyFor("a", "b")...)
				assert.NoError(t, err)
			})
		}
		group.Wait()
		w.finishWrites()
		w.checkSingleHolders()
		assert.EqualValues(t, 2*vms, w.ledgers["r1"].Usage(w.pool).Used)
		assert.LessOrEqual(t, w.store.Puts(), vms*3/100+8, "writes for %d VMs, and until the window has grown", vms)
	})
}

func TestVMsThatComeSeldomFillBlocksOneByOne(t *testing.T) {
	for name, every := range map[string]time.Duration{
		"one each two minutes": 2 * time.Minute,
		"one an hour":          time.Hour,
		"one each ten seconds": 10 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1<<24, "r1", "r2")
				const vms = 500
				for i := range vms {
					replica := []string{"r1", "r2"}[i%2]
					_, err := w.assign(replica, fmt.Sprint("vm", i), anyFor("a")...)
					require.NoError(t, err)
					for range 10 {
						w.pass(every / 10)
						for _, l := range w.ledgers {
							l.ReturnIdle()
						}
					}
				}
				w.checkSingleHolders()
				assert.LessOrEqual(t, len(w.store.Blocks()), 4, "500 addresses fill 2 blocks")
				if every <= idleAfter {
					assert.LessOrEqual(t, w.store.Puts(), 2*vms, "writes for %d VMs", vms)
				}
			})
		})
	}
}
