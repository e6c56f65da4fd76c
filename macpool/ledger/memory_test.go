// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

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
		w.finishWrites()
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

// A claim was written and is being taken back, as another address of its request is taken. The same VM asks for this
// one alone meanwhile: it gets it by a claim that is written behind, not by what this process remembers.
func TestWhatIsBeingTakenBackIsNoAnswerAnyMore(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		free, taken := named(t, "a", "52:54:00:00:00:01"), named(t, "b", "52:54:00:00:01:01")
		w.has("vmb", true)
		_, err := w.assign("r1", "vmb", taken)
		require.NoError(t, err)
		writable := make(chan struct{})
		var writes atomic.Int32
		w.store.Fail(func(op string, p macpool.Prefix) error {
			if op == "put" && p == free.MAC.Prefix() && writes.Add(1) == 2 {
				<-writable // the release
			}
			return nil
		})
		_, err = w.assign("r1", "vma", free, taken)
		var refused *macpool.TakenError
		require.ErrorAs(t, err, &refused)
		answered := make(chan error, 1)
		go func() {
			_, err := w.assign("r1", "vma", free)
			answered <- err
		}()
		synctest.Wait()
		close(writable)
		require.NoError(t, <-answered)
		w.finishWrites()
		_, held := w.hold(free.MAC)
		assert.True(t, held, "it was answered")
	})
}

// A slowReader answers nothing before it may.
type slowReader struct {
	ObjectReader
	may chan struct{}
}

func (s slowReader) Having(ctx context.Context, o macpool.Object, macs ...macpool.MAC) ([]macpool.MAC, error) {
	<-s.may
	return s.ObjectReader.Having(ctx, o, macs...)
}

// A client that is not answered in time asks again while its first request is still being decided, and is refused.
func TestWhatARequestWasGivenIsNoAnswerBeforeTheWholeRequestIsGranted(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		free, taken := named(t, "a", "52:54:00:00:00:01"), named(t, "b", "52:54:00:00:01:01")
		w.has("vmb", true)
		_, err := w.assign("r1", "vmb", taken)
		require.NoError(t, err)
		w.finishWrites()
		may := make(chan struct{})
		w.ledgers["r1"].objects = slowReader{w, may}
		refused := make(chan error, 1)
		go func() {
			_, err := w.assign("r1", "vma", free, taken)
			refused <- err
		}()
		synctest.Wait()
		_, held := w.hold(free.MAC)
		require.True(t, held, "the first address is written, and the second is being looked at")
		w.pass(time.Second)
		_, err = w.assign("r1", "vma", free)
		require.NoError(t, err)
		close(may)
		require.Error(t, <-refused)
		w.finishWrites()
		_, held = w.hold(free.MAC)
		assert.True(t, held, "it was answered")
	})
}

func TestAnAddressThatOthersHaveIsNoneToComeBackTo(t *testing.T) {
	for name, c := range map[string]struct {
		tolerate bool
		share    macpool.Sharing
	}{
		"it was shared on purpose":  {share: macpool.Sharing{With: vmNamed("vmb")}},
		"the pool had tolerated it": {tolerate: true},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
				ask := named(t, "net", "52:54:00:00:00:01")
				_, err := w.assign("r1", "vmb", ask)
				require.NoError(t, err)
				w.has("vmb", true)
				w.pool.Tolerate, ask.Share = c.tolerate, c.share
				_, err = w.assign("r1", "vma", ask)
				require.NoError(t, err)
				w.finishWrites()
				for _, replica := range []string{"r1", "r2"} { // vma was deleted, and is made anew
					r := macpool.Request{Holder: vmNamed("vma"), Pool: w.pool, Asks: anyFor("net")}
					told, err := w.ledgers[replica].Preview(t.Context(), r)
					require.NoError(t, err)
					assert.NotEqual(t, ask.MAC, told.MACs[0])
					grant, err := w.ledgers[replica].Assign(t.Context(), r)
					require.NoError(t, err)
					assert.NotEqual(t, ask.MAC, grant.MACs[0], "nobody asked to share it")
				}
				w.finishWrites()
				w.free("r1", "vma")
			})
		})
	}
}

func TestAnAddressThatWasLentAndThatAnotherTookIsNoneToComeBackTo(t *testing.T) {
	in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		w.warm()
		grant, err := w.assign("r1", "vmb", anyFor("net")...)
		require.NoError(t, err)
		m := grant.MACs[0]
		other := macpool.Holder{Object: vmNamed("other")} // it passed admission by
		require.NoError(t, w.ledgers["r2"].Edit(t.Context(), m.Prefix(), func(b *macpool.Block) {
			b.Adopt(m, other, w.ledgers["r2"].Now())
		}))
		synctest.Wait()
		again, err := w.assign("r1", "vmb", anyFor("net")...)
		require.NoError(t, err)
		assert.NotEqual(t, m, again.MACs[0])
		w.finishWrites()
		w.free("r1", "vmb")
	})
}
