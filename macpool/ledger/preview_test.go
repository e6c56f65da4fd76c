// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// preview has a replica answer what a VM with one interface would be given.
func (w *world) preview(replica, vm string) (macpool.Grant, error) {
	return w.ledgers[replica].Preview(
		w.t.Context(), macpool.Request{Holder: vmNamed(vm), Pool: w.pool, Asks: anyFor("net")},
	)
}

func TestADryRunIsAnsweredWhereAnotherReplicaHasAllThatIsFree(t *testing.T) {
	in(t, 2, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		w.warm()
		w.has("vma", true)
		require.Len(t, w.reserved(), 1)
		puts := w.store.Puts()
		grant, err := w.preview("r2", "vmb")
		require.NoError(t, err, "it is given up to who asks for it")
		assert.Equal(t, w.reserved(), grant.MACs)
		w.finishWrites()
		assert.Equal(t, puts, w.store.Puts())

		given, err := w.assign("r2", "vmb", anyFor("net")...)
		require.NoError(t, err)
		assert.Equal(t, grant.MACs, given.MACs)
		w.has("vmb", true)
		_, err = w.preview("r2", "vmc")
		var exhausted *macpool.ExhaustedError
		require.ErrorAs(t, err, &exhausted, "what was lent is not set aside")
	})
}

func TestADryRunIsNotRefusedOnWhatACacheSays(t *testing.T) {
	for _, size := range []int{1, 300} {
		in(t, size, []string{"r1", "r2"}, func(t *testing.T, w *world) {
			_, err := w.assign("r1", "all", make([]macpool.Ask, size)...)
			require.NoError(t, err)
			w.has("all", true)
			w.finishWrites()
			w.stall("r2")
			w.free("r1", "all")
			_, err = w.preview("r2", "vma")
			require.NoError(t, err, "all are free, though the replica does not know yet")
		})
	}
}

func TestADryRunKnowsWhatABlockHadThatIsDeletedByHand(t *testing.T) {
	in(t, 1, []string{"r1"}, func(t *testing.T, w *world) {
		m := w.pool.Set.At(0)
		_, err := w.assign("r1", "vma", macpool.Ask{Interface: "net", MAC: m})
		require.NoError(t, err)
		w.has("vma", true)
		w.finishWrites()
		preview := func() error {
			_, err := w.ledgers["r1"].Preview(t.Context(), macpool.Request{
				Holder: vmNamed("vmb"), Pool: w.pool, Asks: []macpool.Ask{{Interface: "net", MAC: m}},
			})
			return err
		}
		w.stall("r1")
		w.deleteAll()
		require.ErrorIs(t, preview(), macpool.ErrNotReady, "others may have had more in it than is known")
		w.pass(maxSilence + time.Second)
		var taken *macpool.TakenError
		require.ErrorAs(t, preview(), &taken, "a watch that is silent is not waited for for ever")
		w.store.Fail(func(op string, _ macpool.Prefix) error {
			if op == "put" {
				return errors.New("connection refused")
			}
			return nil
		})
		w.goOn("r1")
		synctest.Wait()
		require.ErrorAs(t, preview(), &taken, "what is told is not written again yet")
		require.Empty(t, w.holds())
		w.store.Fail(nil)
	})
}
