// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestThoseWhoWaitForEachOthersAddressesDoNotTakeThemInTurns(t *testing.T) {
	in(t, 4, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		for _, replica := range []string{"r1", "r2"} {
			_, err := w.assign(replica, "vm-"+replica, anyFor("net")...)
			require.NoError(t, err)
			w.has("vm-"+replica, true)
			w.finishWrites()
		}
		w.pass(2 * MaxAdmission)
		writes := 0
		w.store.Fail(func(op string, _ macpool.Prefix) error {
			if op == "put" {
				writes++
			}
			if writes > 100 {
				return errors.New("they would go on for ever")
			}
			return nil
		})
		var waiting sync.WaitGroup
		for _, replica := range []string{"r1", "r2"} {
			waiting.Go(func() {
				_, err := w.assign(replica, "vma-"+replica, anyFor("a", "b", "c")...)
				var exhausted *macpool.ExhaustedError
				assert.ErrorAs(t, err, &exhausted, "there are two")
			})
		}
		waiting.Wait()
		w.store.Fail(nil)
		assert.LessOrEqual(t, writes, 100, "each of them waits for a second")
	})
}

func TestWhatOthersAskForIsNotReservedAhead(t *testing.T) {
	ask := func(t *testing.T, w *world) {
		first := w.ledgers["r1"].windows["default"].free[0]
		_, err := w.assign("r2", "other", macpool.Ask{Interface: "net", MAC: first})
		require.NoError(t, err)
		synctest.Wait()
	}
	for name, story := range map[string]func(*testing.T, *world){
		"by a write that was waiting for company": func(t *testing.T, w *world) {
			for _, vm := range []string{"vmb", "vmc"} {
				_, err := w.assign("r1", vm, anyFor("net")...)
				require.NoError(t, err)
			}
			w.pass(batchDelay / 2)
			require.Len(t, w.ledgers["r1"].windows["default"].free, 1, "it is being filled")
			ask(t, w)
			assert.Empty(t, w.reserved())
		},
		"while those others wait": func(t *testing.T, w *world) {
			ask(t, w)
			w.pass(patience / 2)
			_, err := w.assign("r1", "vmb", anyFor("a", "b", "c")...)
			require.NoError(t, err)
			w.finishWrites()
			assert.Empty(t, w.reserved())
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, 256, []string{"r1", "r2"}, func(t *testing.T, w *world) {
				w.warm()
				story(t, w)
				w.pass(patience)
				_, err := w.assign("r1", "vmz", anyFor("net")...)
				require.NoError(t, err)
				w.finishWrites()
				assert.NotEmpty(t, w.reserved(), "nobody asks any more")
			})
		})
	}
}

func TestWhoComesToAnExhaustedPoolLateWaitsAllTheSame(t *testing.T) {
	in(t, 1, []string{"r1"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		w.has("vma", true)
		w.pass(2 * MaxAdmission)
		answers := map[string]chan error{"early": make(chan error, 1), "late": make(chan error, 1)}
		ask := func(vm string) {
			_, err := w.assign("r1", vm, anyFor("net")...)
			answers[vm] <- err
		}
		go ask("early")
		w.pass(patience - batchDelay)
		go ask("late")
		w.pass(2 * batchDelay)
		require.Len(t, answers["early"], 1)
		require.Error(t, <-answers["early"])
		w.free("r1", "vma")
		require.NoError(t, <-answers["late"])
	})
}
