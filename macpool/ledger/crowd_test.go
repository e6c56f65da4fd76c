// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// crowd has so many VMs ask the first replica for one address each, one every so often.
func (w *world) crowd(name string, vms int, every time.Duration) (given []macpool.MAC) {
	w.t.Helper()
	for i := range vms {
		grant, err := w.assign("r1", fmt.Sprint(name, i), anyFor("net")...)
		require.NoError(w.t, err)
		given = append(given, grant.MACs...)
		w.pass(every)
	}
	return given
}

func TestRecordsOfACrowdAreWrittenTogether(t *testing.T) {
	in(t, 1<<24, []string{"r1"}, func(t *testing.T, w *world) {
		w.crowd("early", 200, 10*time.Millisecond) // until the window is as large as it gets
		w.finishWrites()
		before := w.store.Puts()
		w.crowd("late", 100, 10*time.Millisecond)
		w.finishWrites()
		assert.LessOrEqual(t, w.store.Puts()-before, 5, "writes for 100 VMs in a second")
	})
}

// enqueue has a lazy change of each of the first n addresses of the pool written.
func (w *world) enqueue(n int, soon bool) {
	for i := range n {
		m := w.pool.Set.At(uint64(i))
		w.ledgers["r1"].writer.enqueue(m.Prefix(), change{
			lazy: true, soon: soon,
			apply: func(b *macpool.Block) error {
				b.Adopt(m, macpool.Holder{Object: vmNamed(fmt.Sprint("vm", i))}, time.Now())
				return nil
			},
			done: func(*macpool.Block, error) {},
		})
	}
}

func TestHowLongRecordsWaitForCompany(t *testing.T) {
	for name, tc := range map[string]struct {
		records int
		soon    int           // changes that are wanted soon
		later   time.Duration // when these come
		after   time.Duration
	}{
		"a few":                              {records: busyChanges - 1, after: batchDelay},
		"many":                               {records: busyChanges, after: busyDelay},
		"many, with one change that hurries": {records: busyChanges, soon: 1, after: batchDelay},
		"many, and one that hurries comes":   {records: busyChanges, soon: 1, later: 3 * batchDelay, after: 4 * batchDelay},
		"a whole block":                      {records: fullBatch},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, 1<<16, []string{"r1"}, func(t *testing.T, w *world) {
				w.enqueue(tc.records, false)
				w.pass(tc.later)
				w.enqueue(tc.soon, true)
				w.pass(tc.after - tc.later - time.Millisecond)
				if tc.after > 0 {
					assert.Zero(t, w.store.Puts(), "it waits")
				}
				w.pass(2 * time.Millisecond)
				assert.Equal(t, 1, w.store.Puts())
			})
		})
	}
}

func TestWhatWasLentInACrowdIsRecordedOnceSomebodyAsksForIt(t *testing.T) {
	in(t, 1<<24, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		w.crowd("early", 200, 10*time.Millisecond)
		w.finishWrites()
		given := w.crowd("late", busyChanges, 0)
		w.pass(batchDelay + batchDelay/2)
		require.False(t, w.ownedInStore(given[0], vmNamed("late0"), "nobody"), "it waits for company")
		w.has("late0", true)
		begun := time.Now()
		_, err := w.assign("r2", "vmb", macpool.Ask{Interface: "net", MAC: given[0]})
		var taken *macpool.TakenError
		require.ErrorAs(t, err, &taken)
		assert.Less(t, time.Since(begun), batchDelay, "on the clock of the story")
	})
}

func TestWritesThatFailAreTriedAgainAfterAPause(t *testing.T) {
	for name, records := range map[string]int{"a few records": fullBatch - 1, "a full batch": fullBatch} {
		t.Run(name, func(t *testing.T) {
			in(t, 1<<16, []string{"r1"}, func(t *testing.T, w *world) {
				tries := 0
				w.store.Fail(func(string, macpool.Prefix) error {
					if tries++; tries > 1000 {
						return nil // so that it ends where there is no pause
					}
					return errors.New("refused")
				})
				w.enqueue(records, false)
				w.pass(time.Minute)
				assert.Less(t, tries, 40, "writes tried in a minute")
				assert.Greater(t, tries, 20)
				w.store.Fail(nil)
				w.finishWrites()
				assert.Equal(t, 1, w.store.Puts(), "all are written once they can be")
			})
		})
	}
}

// A smallStore has no room for blocks in which an object of one name has an address.
type smallStore struct {
	*MemoryStore
	refused string
}

func (s smallStore) Put(ctx context.Context, b *macpool.Block) (*macpool.Block, error) {
	for _, h := range b.Holds() {
		if h.Name == s.refused {
			return nil, fmt.Errorf("put: %w", macpool.ErrTooLarge)
		}
	}
	return s.MemoryStore.Put(ctx, b)
}

func TestARecordThatIsTooLargeKeepsNoOtherFromBeingWritten(t *testing.T) {
	in(t, 1<<16, []string{"r1"}, func(t *testing.T, w *world) {
		w.ledgers["r1"].writer.store = smallStore{w.store, "vm3"}
		w.enqueue(20, false)
		w.finishWrites()
		b, err := w.store.Get(t.Context(), w.pool.Set.At(0).Prefix())
		require.NoError(t, err)
		assert.Equal(t, 19, b.Len(), "all but one are recorded")
		assert.True(t, b.Entry(w.pool.Set.At(3)).Free())
		assert.Zero(t, w.ledgers["r1"].writer.unwritten, "what has no room is given up")
	})
}

// It stays reserved in the store, and only this process knows who has it.
func TestAnAddressWhoseRecordIsTooLargeIsLentToNobodyElse(t *testing.T) {
	in(t, 256, []string{"r1"}, func(t *testing.T, w *world) {
		w.ledgers["r1"].writer.store = smallStore{w.store, "vma"}
		w.has("vma", true)
		unrecorded, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		for i := range 20 {
			w.finishWrites()
			other, err := w.assign("r1", fmt.Sprint("vm", i), anyFor("net")...)
			require.NoError(t, err)
			require.NotEqual(t, unrecorded.MACs, other.MACs)
		}
		assert.True(t, w.ownedInStore(unrecorded.MACs[0], vmNamed("nobody"), "r1"))
	})
}
