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

func TestWhatIsSetAsideForAPoolThatIsNoMoreIsLentByTheOneInItsPlace(t *testing.T) {
	for _, size := range []int{2, 3, 5, 64, 256} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			in(t, size, []string{"r1"}, func(t *testing.T, w *world) {
				w.warm()
				w.pool.Name = "renamed"
				_, err := w.ledgers["r1"].Preview(
					t.Context(), macpool.Request{Holder: vmNamed("all"), Pool: w.pool, Asks: make([]macpool.Ask, size-1)},
				)
				require.NoError(t, err)
				for i := range size - 1 {
					_, err := w.assign("r1", fmt.Sprint("vm", i), anyFor("net")...)
					require.NoError(t, err)
				}
			})
		})
	}
}

func TestOneThatAsksForTooManyMakesTheRefusalOfNobodyElseFinal(t *testing.T) {
	in(t, 4, []string{"r1"}, func(t *testing.T, w *world) {
		w.warm()
		w.has("vma", true)
		var refused sync.WaitGroup
		errs := make([]error, 3)
		for i, asks := range [][]macpool.Ask{anyFor("a", "b", "c", "d"), anyFor("a", "b"), anyFor("a", "b")} {
			refused.Go(func() { _, errs[i] = w.assign("r1", fmt.Sprint("vm", i), asks...) })
			w.pass(0)
		}
		refused.Wait()
		passing := func(err error) bool {
			var exhausted *macpool.ExhaustedError
			require.ErrorAs(t, err, &exhausted)
			return exhausted.Passing()
		}
		assert.False(t, passing(errs[0]), "%v", errs[0])
		require.NoError(t, errs[1])
		assert.True(t, passing(errs[2]), "%v", errs[2])
	})
}

func TestMoreThanAPoolHasIsRefusedWithoutReservingAny(t *testing.T) {
	in(t, 3, []string{"r1"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", anyFor("a", "b", "c", "d")...)
		var exhausted *macpool.ExhaustedError
		require.ErrorAs(t, err, &exhausted)
		assert.False(t, exhausted.Passing(), "%v", err)
		assert.Empty(t, w.store.Blocks())
	})
}

func TestWhoAsksAnExhaustedPoolWaitsForWhatIsGivenUp(t *testing.T) {
	in(t, 32, []string{"r1"}, func(t *testing.T, w *world) {
		for i := range 32 {
			vm := fmt.Sprint("vm", i)
			_, err := w.assign("r1", vm, anyFor("net")...)
			require.NoError(t, err)
			w.has(vm, true)
		}
		w.pass(2 * MaxAdmission)
		answer := make(chan error)
		go func() {
			_, err := w.assign("r1", "vma", anyFor("net")...)
			answer <- err
		}()
		w.pass(patience / 2)
		w.free("r1", "vm7")
		require.NoError(t, <-answer)
	})
}

// fill has VMs, vm0 and so on, that were given all addresses of a pool of a size, long ago.
func (w *world) fill(size int) {
	for i := range size {
		vm := fmt.Sprint("vm", i)
		_, err := w.assign("r1", vm, anyFor("net")...)
		require.NoError(w.t, err)
		w.has(vm, true)
	}
	w.pass(2 * MaxAdmission)
}

func TestAPoolIsNotExhaustedOnWhatACacheSays(t *testing.T) {
	for _, size := range []int{1, 3, 300} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			in(t, size, []string{"r1", "r2"}, func(t *testing.T, w *world) {
				w.fill(size)
				w.stall("r2")
				w.free("r1", "vm0")
				_, err := w.assign("r2", "vma", anyFor("net")...)
				require.NoError(t, err, "it is free, though the replica does not know yet")
			})
		})
	}
}

func TestARefusalIsFinalIfWhatMayComeBackIsTooLittle(t *testing.T) {
	in(t, 3, []string{"r1"}, func(t *testing.T, w *world) {
		for _, vm := range []string{"vma", "vmb"} {
			_, err := w.assign("r1", vm, anyFor("net")...)
			require.NoError(t, err)
			w.has(vm, true)
		}
		w.finishWrites()
		r := macpool.Request{Holder: vmNamed("vmc"), Pool: w.pool, Asks: anyFor("a", "b")}
		for name, answer := range map[string]func(context.Context, macpool.Request) (macpool.Grant, error){
			"created": w.ledgers["r1"].Assign, "in a dry run": w.ledgers["r1"].Preview,
		} {
			_, err := answer(t.Context(), r)
			var exhausted *macpool.ExhaustedError
			require.ErrorAs(t, err, &exhausted, name)
			assert.False(t, exhausted.Passing(), "%s: %v", name, err)
			assert.ErrorContains(t, err, "and 2 are asked for at once")
		}
		w.has("vmb", false)
		_, err := w.ledgers["r1"].Assign(t.Context(), r)
		var exhausted *macpool.ExhaustedError
		require.ErrorAs(t, err, &exhausted)
		assert.True(t, exhausted.Passing(), "%v", err)
	})
}

// refuseForGood checks that a request is refused as so many addresses are needed and so many used, also in a dry run.
func (w *world) refuseForGood(r macpool.Request, needed, used int) {
	w.t.Helper()
	for name, answer := range map[string]func(context.Context, macpool.Request) (macpool.Grant, error){
		"created": w.ledgers["r1"].Assign, "in a dry run": w.ledgers["r1"].Preview,
	} {
		_, err := answer(w.t.Context(), r)
		var exhausted *macpool.ExhaustedError
		require.ErrorAs(w.t, err, &exhausted, name)
		assert.False(w.t, exhausted.Passing(), "%s: %v", name, err)
		assert.EqualValues(w.t, needed, exhausted.Needed, name)
		assert.EqualValues(w.t, used, exhausted.Used, name)
		w.finishWrites()
	}
}

func TestWhatARequestTookItselfIsNotWhatMayComeBack(t *testing.T) {
	for _, size := range []int{1, 2} {
		in(t, size, []string{"r1"}, func(t *testing.T, w *world) {
			if size > 1 {
				w.warm()
				w.has("vma", true)
				w.pass(2 * MaxAdmission)
			}
			last := macpool.Ask{Interface: "a", MAC: w.pool.Set.At(uint64(size - 1))}
			r := macpool.Request{Holder: vmNamed("vmb"), Pool: w.pool, Asks: append(anyFor("b"), last)}
			w.refuseForGood(r, 2, size-1)
		})
	}
}

func TestWhatAVMHadBeforeItWasMadeAgainIsNotWhatMayComeBack(t *testing.T) {
	in(t, 3, []string{"r1"}, func(t *testing.T, w *world) {
		for vm, asks := range map[string][]macpool.Ask{"vma": anyFor("x", "y"), "vmb": anyFor("net")} {
			_, err := w.assign("r1", vm, asks...)
			require.NoError(t, err)
			w.has(vm, true)
		}
		w.pass(2 * MaxAdmission)
		w.has("vma", false)
		r := macpool.Request{Holder: vmNamed("vma"), Pool: w.pool, Asks: anyFor("x", "y", "z")}
		w.refuseForGood(r, 3, 1)
	})
}

func TestAnAddressThatTwoHaveComesBackOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, "r1")
		w.pool.Tolerate = true
		for vm, i := range map[string]uint64{"vma": 0, "vmc": 1} {
			_, err := w.assign("r1", vm, macpool.Ask{Interface: "net", MAC: w.pool.Set.At(i)})
			require.NoError(t, err)
		}
		w.has("vmc", true)
		_, err := w.assign("r1", "vmb", macpool.Ask{Interface: "net", MAC: w.pool.Set.At(0)})
		require.NoError(t, err)
		w.finishWrites()
		w.refuseForGood(macpool.Request{Holder: vmNamed("vmd"), Pool: w.pool, Asks: anyFor("x", "y")}, 2, 2)
	})
}

func TestNobodyIsRefusedForWhatThePoolWasBeforeItGrew(t *testing.T) {
	in(t, 2, []string{"r1"}, func(t *testing.T, w *world) {
		for _, vm := range []string{"vma", "vmb"} {
			_, err := w.assign("r1", vm, anyFor("net")...)
			require.NoError(t, err)
			w.has(vm, true)
		}
		w.pass(2 * MaxAdmission)
		refused := make(chan error, 1)
		go func() {
			_, err := w.assign("r1", "vmc", anyFor("net")...)
			refused <- err
		}()
		w.pass(patience / 2)
		w.pool.Set = macpool.NewSet([]macpool.Range{{First: macpool.MAC{2}, Last: macpool.MAC{2, 0, 0, 0, 0, 7}}}, nil)
		_, err := w.assign("r1", "vmd", anyFor("net")...)
		require.NoError(t, err)
		require.NoError(t, <-refused)
	})
}

func TestARowThatCannotBeReadIsNotSaidToBeReserved(t *testing.T) {
	for _, size := range []int{1, 256} {
		in(t, size, []string{"r1"}, func(t *testing.T, w *world) {
			b := macpool.NewBlock(macpool.Prefix{2})
			for i := range uint64(size) {
				b.Set(w.pool.Set.At(i), macpool.Entry{Unread: "?"})
			}
			_, err := w.store.Put(t.Context(), b)
			require.NoError(t, err)
			w.pass(0)
			assert.Equal(
				t, macpool.Usage{Total: uint64(size), Unread: uint64(size)}, w.ledgers["r1"].Usage(w.pool),
			)
			_, err = w.assign("r1", "vma", anyFor("net")...)
			var exhausted *macpool.ExhaustedError
			require.ErrorAs(t, err, &exhausted)
			assert.False(t, exhausted.Passing(), "%v", err)
			assert.ErrorContains(t, err, "have a row in MACBlock 02-00-00-00-00 that cannot be read; correct or remove")
			_, err = w.assign("r1", "vma", macpool.Ask{Interface: "net", MAC: w.pool.Set.At(0)})
			assert.ErrorContains(t, err, "has a row in MACBlock 02-00-00-00-00 that cannot be read")
		})
	}
}

func TestAFullPoolRefusesNothingForGoodWhileItsHoldersCannotBeLookedFor(t *testing.T) {
	in(t, 2, []string{"r1"}, func(t *testing.T, w *world) {
		w.warm()
		w.has("vma", true)
		_, err := w.assign("r1", "vma", anyFor("more")...)
		require.NoError(t, err)
		w.pass(2 * MaxAdmission)
		w.hidden.Store(true)
		_, assigned := w.assign("r1", "vmb", anyFor("net")...)
		_, previewed := w.ledgers["r1"].Preview(
			t.Context(), macpool.Request{Holder: vmNamed("vmb"), Pool: w.pool, Asks: anyFor("net")},
		)
		for _, err := range []error{assigned, previewed} {
			require.ErrorIs(t, err, errHidden)
		}
	})
}

// A lateReader tells what objects had a while ago.
type lateReader struct {
	ObjectReader
	takes time.Duration
}

func (r lateReader) Having(ctx context.Context, o macpool.Object, macs ...macpool.MAC) ([]macpool.MAC, error) {
	had, err := r.ObjectReader.Having(ctx, o, macs...)
	<-time.After(r.takes)
	return had, err
}

func TestNobodyIsRefusedForWhatWasSeenBeforeTheyAsked(t *testing.T) {
	in(t, 1, []string{"r1"}, func(t *testing.T, w *world) {
		l := w.ledgers["r1"]
		_, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		w.has("vma", true)
		w.pass(2 * MaxAdmission)
		l.objects = lateReader{ObjectReader: w, takes: 2 * patience}
		refused := make(chan error, 1)
		go func() {
			_, err := w.assign("r1", "vmb", anyFor("net")...)
			refused <- err
		}()
		w.pass(patience + patience/2)
		w.has("vma", false)
		_, err = w.assign("r1", "vmc", anyFor("net")...)
		var exhausted *macpool.ExhaustedError
		require.ErrorAs(t, err, &exhausted)
		assert.True(t, exhausted.Passing(), "%v", err)
		require.ErrorAs(t, <-refused, &exhausted)
		assert.False(t, exhausted.Passing(), "it was so when it was looked at")
	})
}

func TestALargePoolIsExhaustedForGoodOnlyOnceAllItsHoldersWereSeen(t *testing.T) {
	const size = 3*maxOldLooks + 1
	in(t, size, []string{"r1"}, func(t *testing.T, w *world) {
		w.fill(size)
		ask := func(name string) *macpool.ExhaustedError {
			w.looks = 0
			_, err := w.assign("r1", name, anyFor("net")...)
			var exhausted *macpool.ExhaustedError
			require.ErrorAs(t, err, &exhausted)
			assert.LessOrEqual(t, w.looks, maxOldLooks)
			assert.Zero(t, exhausted.Wait())
			return exhausted
		}
		for _, name := range []string{"vma", "vmb"} {
			w.pass(time.Millisecond) // what was seen before does not count
			for range size / maxOldLooks {
				err := ask(name)
				assert.True(t, err.Passing(), "%s: %v", name, err)
			}
			err := ask(name)
			assert.False(t, err.Passing(), "%s: %v", name, err)
		}
		assert.True(t, ask("vmd").Passing())
		w.hidden.Store(true)
		for range size / maxOldLooks {
			_, err := w.assign("r1", "vmd", anyFor("net")...)
			require.ErrorIs(t, err, errHidden)
		}
		w.hidden.Store(false)
		assert.True(t, ask("vmd").Passing(), "most were not seen")
		w.has("vm0", false)
		for range 1 + size/maxOldLooks {
			err := ask("vmc")
			assert.True(t, err.Passing(), "%v", err)
		}
		assert.NotZero(t, ask("vmc").Left, "all were looked for")
	})
}

func TestWhyAPoolIsExhaustedIsSaidInTimeWhereReadsAreSlow(t *testing.T) {
	for _, young := range []bool{true, false} {
		in(t, 16, []string{"r1"}, func(t *testing.T, w *world) {
			for i := range 16 {
				vm := fmt.Sprint("vm", i)
				_, err := w.assign("r1", vm, anyFor("net")...)
				require.NoError(t, err)
				w.has(vm, true)
			}
			w.finishWrites()
			if !young {
				w.pass(2 * MaxAdmission)
			}
			w.ledgers["r1"].objects = lateReader{ObjectReader: w, takes: 250 * time.Millisecond}
			ctx, cancel := context.WithTimeout(t.Context(), 4500*time.Millisecond) // as the webhook has it
			defer cancel()
			_, err := w.ledgers["r1"].Assign(ctx, macpool.Request{Holder: vmNamed("vma"), Pool: w.pool, Asks: anyFor("net")})
			var exhausted *macpool.ExhaustedError
			assert.ErrorAs(t, err, &exhausted, "young: %v", young)
			w.pass(2 * flushTimeout)
		})
	}
}
