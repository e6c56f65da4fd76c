// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// roll ends a replica as a rollout does and starts another one in its place, which knows the blocks that are stored.
func (w *world) roll(replica, next string) {
	w.t.Helper()
	require.NoError(w.t, w.ledgers[replica].Close(w.t.Context()))
	synctest.Wait() // until every replica was told of that
	w.leases[replica].set(next, true)
	l := New(w.t.Context(), Options{Store: w.store, Lease: w.leases[replica], Objects: w, Clock: clock.RealClock{}})
	for _, b := range w.store.Blocks() {
		l.Observe(b)
	}
	w.ledgers[replica] = l
	tell := w.watches()
	w.store.Watch = func(b *macpool.Block) { tell(func(l *Ledger) { l.Observe(b.Clone()) }) }
}

func TestVMsThatComeOneByOneThroughRolloutsFillBlocksOneByOne(t *testing.T) {
	for name, every := range map[string]time.Duration{
		"one a minute": time.Minute, "one each two minutes": 2 * time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1<<24, "r1", "r2")
				const vms, rollout = 500, 25
				for i := range vms {
					if i%rollout == rollout-1 {
						for _, replica := range []string{"r1", "r2"} {
							w.roll(replica, fmt.Sprint(replica, "-", i))
						}
					}
					_, err := w.assign([]string{"r1", "r2"}[i%2], fmt.Sprint("vm", i), anyFor("a", "b")...)
					require.NoError(t, err)
					w.pass(every)
					for _, l := range w.ledgers {
						l.ReturnIdle()
					}
				}
				w.checkSingleHolders()
				assert.LessOrEqual(t, len(w.store.Blocks()), 6, "1,000 addresses fill 4 blocks")
				assert.LessOrEqual(t, w.store.Puts(), 2*vms, "writes for %d VMs", vms)
			})
		})
	}
}

func TestWritesForVMsThatComeFast(t *testing.T) {
	for name, replicas := range map[string][]string{"one replica": {"r1"}, "two replicas": {"r1", "r2"}} {
		t.Run(name, func(t *testing.T) {
			in(t, 1<<24, replicas, func(t *testing.T, w *world) {
				come := func(name string, vms int) {
					for i := range vms {
						_, err := w.assign(replicas[i%len(replicas)], fmt.Sprint(name, i), anyFor("a", "b")...)
						require.NoError(t, err)
						w.pass(time.Second / time.Duration(150*len(replicas)))
					}
					w.finishWrites()
				}
				come("early", 512) // until windows are as large as they get
				before := w.store.Puts()
				const vms = 2048
				come("late", vms)
				assert.LessOrEqual(t, float64(w.store.Puts()-before)/vms, 0.021, "writes a VM: two of a block, for 128 VMs")
			})
		})
	}
}

// A slowStore takes its time for each write, as a busy API server does.
type slowStore struct {
	*MemoryStore
	takes time.Duration
}

func (s slowStore) Put(ctx context.Context, b *macpool.Block) (*macpool.Block, error) {
	<-time.After(s.takes)
	return s.MemoryStore.Put(ctx, b)
}

func TestNobodyWaitsForTheNextBlockWhileVMsComeFast(t *testing.T) {
	in(t, 1<<24, []string{"r1"}, func(t *testing.T, w *world) {
		l := New(t.Context(), Options{
			Store: slowStore{w.store, 200 * time.Millisecond}, Lease: w.leases["r1"], Objects: w, Clock: clock.RealClock{},
		})
		w.ledgers["r1"] = l
		tell := w.watches()
		w.store.Watch = func(b *macpool.Block) { tell(func(l *Ledger) { l.Observe(b.Clone()) }) }
		const early, vms, aSecond = 512, 1536, 256
		var waited time.Duration
		for i := range early + vms {
			asked := time.Now()
			_, err := w.assign("r1", fmt.Sprint("vm", i), anyFor("a", "b")...)
			require.NoError(t, err)
			if i >= early { // windows are as large as they get
				waited += time.Since(asked)
			}
			w.pass(time.Second / aSecond)
		}
		assert.Zero(t, waited, "half a block lasts a quarter of a second")
	})
}
