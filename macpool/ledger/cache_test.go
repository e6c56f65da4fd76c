// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

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
		w.finishWrites()
		l := w.ledgers["r1"]
		lost := slices.Clone(l.windows["default"].free)
		require.NotEmpty(t, lost)
		w.store.Delete(lost[0].Prefix())
		l.Forget(lost[0].Prefix(), "1") // the last state that the watch had seen
		synctest.Wait()
		assert.NotContains(t, l.windows["default"].free, lost[0])
		w.finishWrites()
		assert.Contains(t, w.holds(), "vma/net")
	})
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
