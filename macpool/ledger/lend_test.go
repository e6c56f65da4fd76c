// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestWhoWaitsIsServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const vms = 50
		w := newWorld(t, 1<<16, "r1")
		reachable := make(chan struct{})
		w.store.Fail(func(string, macpool.Prefix) error { <-reachable; return nil })
		grants := make([]macpool.Grant, vms)
		errs := make(chan error, vms)
		for i := range vms {
			go func() {
				var err error
				grants[i], err = w.assign("r1", fmt.Sprint("vm", i), anyFor("a", "b")...)
				errs <- err
			}()
			synctest.Wait()
		}
		close(reachable)
		for range vms {
			require.NoError(t, <-errs)
		}
		w.finishWrites()
		w.checkSingleHolders()
		// Within a block addresses are lent lowest first.
		before := macpool.Prefix{}
		last := macpool.MAC{}
		for _, g := range grants {
			if p := g.MACs[0].Prefix(); p != before {
				before, last = p, macpool.MAC{}
			}
			assert.Positive(t, g.MACs[0].Compare(last))
			last = g.MACs[1]
		}
		assert.Less(t, w.store.Puts(), 10, "those who wait share a write")
	})
}

func TestWhoWaitsIsRefusedWhenTheReplicaLosesItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4096, "r1")
		reachable := make(chan struct{})
		w.store.Fail(func(string, macpool.Prefix) error { <-reachable; return nil })
		failed := make(chan error, 1)
		go func() {
			_, err := w.assign("r1", "vma", anyFor("a")...)
			failed <- err
		}()
		synctest.Wait()
		w.leases["r1"].set("r1", false)
		close(reachable)
		require.ErrorIs(t, <-failed, macpool.ErrNotReady)
		w.finishWrites()
		assert.Empty(t, w.holds())
	})
}

func TestAnExhaustedPoolIsNoReasonToReadTheBlocksOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4, "r1")
		l, starved := w.ledgers["r1"], &window{pool: w.pool, replica: "r1"}
		starved.queue = []*waiter{{holders: make([]macpool.Holder, 1)}}
		look := func() float64 { return testing.AllocsPerRun(3, func() { l.contestOthers(w.pool, starved) }) }
		alone := look()
		for i := range byte(100) {
			b := macpool.NewBlock(macpool.Prefix{4, 0, 0, 0, i})
			b.Reserve(maxWindow, macpool.NewSet([]macpool.Range{{First: b.Prefix.Address(0), Last: b.Prefix.Address(255)}}, nil),
				"r2", time.Now())
			b.Version = "1"
			l.Observe(b)
		}
		assert.Less(t, look()-alone, 50.0, "that is at each change of any block, while who lends waits")
	})
}
