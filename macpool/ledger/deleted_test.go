// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// deleteAll has somebody delete every block.
func (w *world) deleteAll() {
	for _, b := range w.store.Blocks() {
		w.store.Delete(b.Prefix)
	}
}

// assignPatiently asks again, for as long as a watch may be silent, where a replica is not ready.
func (w *world) assignPatiently(replica, vm string, asks ...macpool.Ask) (macpool.Grant, error) {
	for begun := time.Now(); ; w.pass(time.Second) {
		grant, err := w.assign(replica, vm, asks...)
		if !errors.Is(err, macpool.ErrNotReady) || time.Since(begun) > 2*maxSilence {
			return grant, err
		}
	}
}

func TestABlockThatIsDeletedByHandIsNotWrittenByWhoHasMissedWhatItHad(t *testing.T) {
	for name, spoil := range map[string]func(w *world){
		"deleted":                         (*world).deleteAll,
		"deleted, and made anew by a new": (*world).makeAnew,
		"spoiled":                         (*world).removeRows,
	} {
		for _, first := range []string{"r1", "r2"} {
			t.Run(name+", first asked is "+first, func(t *testing.T) {
				in(t, 16, []string{"r1", "r2"}, func(t *testing.T, w *world) {
					second := map[string]string{"r1": "r2", "r2": "r1"}[first]
					owner := map[macpool.MAC]string{}
					give := func(replica, vm string) error {
						grant, err := w.assign(replica, vm, anyFor("net")...)
						if err != nil {
							return err
						}
						w.has(vm, true)
						require.Empty(t, owner[grant.MACs[0]], "%s is that of another VM", grant.MACs[0])
						owner[grant.MACs[0]] = vm
						return nil
					}
					for i := range 4 {
						require.NoError(t, give([]string{"r1", "r2"}[i%2], fmt.Sprint("early", i)))
					}
					w.finishWrites()
					w.stall("r1")
					w.stall("r2")
					for i := range 2 {
						require.NoError(t, give([]string{"r1", "r2"}[i%2], fmt.Sprint("missed", i)))
					}
					w.finishWrites()
					spoil(w)
					for i := range 6 {
						if err := give([]string{first, second}[i%2], fmt.Sprint("late", i)); err != nil {
							require.ErrorIs(t, err, macpool.ErrNotReady)
						}
						w.pass(time.Second)
					}
					w.goOn(first)
					w.pass(time.Second)
					w.goOn(second)
					w.finishWrites()
					require.NoError(t, give(first, "last"), "nobody is refused once the watch goes on")
					require.NoError(t, give(second, "last of all"))
					w.finishWrites()
					for m, vm := range owner {
						assert.Contains(t, w.holds(), fmt.Sprintf("%s %s/", m, vm))
					}
				})
			})
		}
	}
}

func TestEachSilenceOfTheWatchIsWaitedFor(t *testing.T) {
	in(t, 1, []string{"r1"}, func(t *testing.T, w *world) {
		m := w.pool.Set.At(0)
		_, err := w.assign("r1", "vma", macpool.Ask{Interface: "net", MAC: m})
		require.NoError(t, err)
		w.has("vma", true)
		for range 2 {
			w.stall("r1")
			w.deleteAll()
			_, err := w.assign("r1", "vmb", macpool.Ask{Interface: "net", MAC: m})
			require.ErrorIs(t, err, macpool.ErrNotReady)
			assert.EqualError(t, err, fmt.Sprintf("MACBlock %s was deleted or changed by hand, and the watch has not told of "+
				"it yet: try again in a moment", m.Prefix()))
			w.goOn("r1")
			w.pass(2 * maxSilence)
			require.Contains(t, w.holds(), "vma/net")
		}
	})
}

func TestABlockThatIsDeletedByHandTakesNoAddressFromItsHolderWhereTheWatchStaysSilent(t *testing.T) {
	in(t, 1, []string{"r1"}, func(t *testing.T, w *world) {
		m := w.pool.Set.At(0)
		_, err := w.assign("r1", "vma", macpool.Ask{Interface: "net", MAC: m})
		require.NoError(t, err)
		w.has("vma", true)
		w.stall("r1")
		w.deleteAll()
		_, err = w.assignPatiently("r1", "vmb", macpool.Ask{Interface: "net", MAC: m})
		var taken *macpool.TakenError
		require.ErrorAs(t, err, &taken)
		w.finishWrites()
		assert.Contains(t, w.holds(), "vma/net")
		w.goOn("r1")
	})
}

func TestABlockThatIsNotKnownAndLacksRowsIsNotWrittenBeforeTheWatchHasTold(t *testing.T) {
	in(t, 1, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		w.stall("r1")
		m := w.pool.Set.At(0)
		_, err := w.assign("r2", "vma", macpool.Ask{Interface: "net", MAC: m})
		require.NoError(t, err)
		w.has("vma", true)
		w.finishWrites()
		w.stall("r2")
		w.removeRow(m)
		_, err = w.assign("r1", "vmb", macpool.Ask{Interface: "net", MAC: m})
		require.ErrorIs(t, err, macpool.ErrNotReady)
		w.goOn("r1")
		w.goOn("r2")
		w.finishWrites()
		require.Contains(t, w.holds(), "vma/net")
	})
}

// makeAnew has every block deleted and made anew by a replica that knew nothing of it.
func (w *world) makeAnew() {
	blocks := w.store.Blocks()
	w.deleteAll()
	for _, b := range blocks {
		anew := macpool.NewBlock(b.Prefix)
		anew.Reserve(3, w.pool.Set, "r3", w.ledgers["r1"].Now())
		_, err := w.store.Put(w.t.Context(), anew)
		require.NoError(w.t, err)
	}
}

// removeRows has somebody remove the rows of all addresses by hand, but for the first.
func (w *world) removeRows() {
	for _, b := range w.store.Blocks() {
		for i, m := range keys(maps.Collect(b.Entries())) {
			if i > 0 {
				w.removeRow(m)
			}
		}
	}
}

func TestBlocksThatAreDeletedByHandTakeNoAddressFromItsHolder(t *testing.T) {
	for name, remove := range map[string]func(t *testing.T, w *world){
		"and the watch tells at once": func(_ *testing.T, w *world) {
			w.deleteAll()
			synctest.Wait()
		},
		"while addresses are asked for": func(_ *testing.T, w *world) { w.deleteAll() },
		"and the watch is cut off": func(_ *testing.T, w *world) {
			w.stall("r1")
			w.stall("r2")
			w.deleteAll()
		},
		"twice": func(_ *testing.T, w *world) {
			w.deleteAll()
			synctest.Wait()
			w.deleteAll()
		},
		"and the store is down for a moment": func(_ *testing.T, w *world) {
			w.down.Store(true)
			w.deleteAll()
			w.pass(maxRetry)
			w.down.Store(false)
		},
		"and a replica that knew nothing of them was faster": func(_ *testing.T, w *world) {
			w.stall("r1")
			w.stall("r2")
			w.makeAnew()
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
				owner := map[macpool.MAC]string{}
				give := func(replica, vm string) {
					grant, err := w.assignPatiently(replica, vm, anyFor("a", "b")...)
					require.NoError(t, err)
					w.has(vm, true)
					for _, m := range grant.MACs {
						require.Empty(t, owner[m], "%s is that of another VM", m)
						owner[m] = vm
					}
				}
				for i := range 20 {
					give([]string{"r1", "r2"}[i%2], fmt.Sprint("early", i))
				}
				w.finishWrites()
				remove(t, w)
				for i := range 20 {
					give([]string{"r1", "r2"}[i%2], fmt.Sprint("late", i))
				}
				for m, vm := range owner {
					_, err := w.assign("r2", "thief", macpool.Ask{Interface: "net", MAC: m})
					require.Error(t, err, "%s is had by %s", m, vm)
				}
				w.finishWrites()
				for m, vm := range owner {
					assert.Contains(t, w.holds(), fmt.Sprintf("%s %s/", m, vm))
				}
			})
		})
	}
}

func TestABlockThatIsDeletedByHandIsBackBeforeAnybodyAsks(t *testing.T) {
	in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", named(t, "net", "52:54:00:00:00:01"))
		require.NoError(t, err)
		w.finishWrites()
		w.deleteAll()
		w.pass(batchDelay)
		assert.Equal(t, "52:54:00:00:00:01 vma/net", w.holds())
	})
}

// removeRow has somebody remove the row of an address from its block by hand.
func (w *world) removeRow(m macpool.MAC) {
	w.t.Helper()
	b, err := w.store.Get(w.t.Context(), m.Prefix())
	require.NoError(w.t, err)
	b.Set(m, macpool.Entry{})
	b.Lacking = true
	_, err = w.store.Put(w.t.Context(), b)
	require.NoError(w.t, err)
}

func TestARowThatIsRemovedByHandTakesNoAddressFromItsHolder(t *testing.T) {
	for name, blind := range map[string]bool{"and the watch tells at once": false, "and the watch is cut off": true} {
		t.Run(name, func(t *testing.T) {
			in(t, 16, []string{"r1", "r2"}, func(t *testing.T, w *world) {
				grant, err := w.assign("r1", "vma", anyFor("net")...)
				require.NoError(t, err)
				w.has("vma", true)
				_, err = w.assign("r1", "vmb", anyFor("net")...)
				require.NoError(t, err)
				w.finishWrites()
				if blind {
					w.stall("r1")
					w.stall("r2")
				}
				w.removeRow(grant.MACs[0])
				if !blind {
					w.pass(batchDelay)
					assert.Contains(t, w.holds(), "vma/net", "it is back before anybody asks")
				}
				for i := range 10 {
					other, err := w.assignPatiently([]string{"r1", "r2"}[i%2], fmt.Sprint("late", i), anyFor("net")...)
					require.NoError(t, err)
					assert.NotEqual(t, grant.MACs, other.MACs)
				}
				w.free("r1", "vmb")
				w.finishWrites()
				assert.Contains(t, w.holds(), "vma/net")
				assert.NotContains(t, w.holds(), "vmb", "what is freed later stays free")
			})
		})
	}
}

func TestARowWhoseAddressIsEditedTakesNoAddressFromItsHolder(t *testing.T) {
	for name, tc := range map[string]struct {
		written bool // who has the address is in its row
		blind   bool
	}{
		"and the watch tells at once":                        {written: true},
		"and the watch is cut off":                           {written: true, blind: true},
		"while it says that a replica has lent it":           {},
		"while it says that, and while the watch is cut off": {blind: true},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, 16, []string{"r1", "r2"}, func(t *testing.T, w *world) {
				w.warm()
				grant, err := w.assign("r1", "vmb", anyFor("net")...)
				require.NoError(t, err)
				m, to := grant.MACs[0], w.pool.Set.At(13)
				w.has("vmb", true)
				if tc.written {
					w.finishWrites()
				}
				if tc.blind {
					w.stall("r1")
					w.stall("r2")
				}
				b, err := w.store.Get(t.Context(), m.Prefix())
				require.NoError(t, err)
				b.Set(to, b.Entry(m))
				b.Set(m, macpool.Entry{})
				_, err = w.store.Put(t.Context(), b)
				require.NoError(t, err)
				if !tc.blind {
					w.pass(batchDelay)
					assert.True(t, w.ownedInStore(m, vmNamed("vmb"), "r1"), "it is back before anybody asks")
				}
				for i := range 10 {
					other, err := w.assign([]string{"r2", "r1"}[i%2], fmt.Sprint("late", i), anyFor("net")...)
					require.NoError(t, err)
					assert.NotEqual(t, grant.MACs, other.MACs)
				}
				w.finishWrites()
				assert.True(t, w.ownedInStore(m, vmNamed("vmb"), "nobody"))
			})
		})
	}
}

func TestARowThatCannotBeReadMayBeRemovedByHand(t *testing.T) {
	in(t, 16, []string{"r1"}, func(t *testing.T, w *world) {
		m := w.pool.Set.At(3)
		_, err := w.assign("r1", "vma", macpool.Ask{Interface: "net", MAC: w.pool.Set.At(4)})
		require.NoError(t, err)
		b, err := w.store.Get(t.Context(), m.Prefix())
		require.NoError(t, err)
		b.Set(m, macpool.Entry{Unread: m.String() + " ?"})
		_, err = w.store.Put(t.Context(), b)
		require.NoError(t, err)
		w.finishWrites()
		w.removeRow(m)
		w.finishWrites()
		b, err = w.store.Get(t.Context(), m.Prefix())
		require.NoError(t, err)
		assert.True(t, b.Entry(m).Free())
		assert.Contains(t, w.holds(), "vma/net")
	})
}

func TestABlockThatTheJanitorDeletesStaysDeleted(t *testing.T) {
	in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", named(t, "net", "52:54:00:00:00:01"))
		require.NoError(t, err)
		w.finishWrites()
		w.free("r2", "vma")
		w.deleteAll()
		w.finishWrites()
		assert.Empty(t, w.store.Blocks())
	})
}

func TestAnAddressThatIsBeingGivenUpIsNoOrphan(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		_, err := w.assign("r1", "vma", anyFor("a")...)
		require.NoError(t, err)
		w.finishWrites()
		l := w.ledgers["r1"]
		window := l.windows["default"]
		w.down.Store(true)
		l.mu.Lock()
		given := window.free[0]
		l.giveBackLocked(window)
		l.mu.Unlock()
		assert.False(t, l.hasOrphans(l.cache.block(given.Prefix()), window), "the write that gives it up may be under way")
		w.down.Store(false)
		w.finishWrites()
		w.pass(maxRetry)
		assert.NotContains(t, w.reserved(), given)
		assert.Empty(t, l.memory.leaving)
	})
}

func TestAnOrphanThatIsAskedForIsGivenUp(t *testing.T) {
	in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		m := w.pool.Set.At(7)
		require.NoError(t, w.ledgers["r2"].Edit(t.Context(), m.Prefix(), func(b *macpool.Block) {
			b.Set(m, macpool.Entry{Reservation: macpool.Reservation{Replica: "r1", Since: w.ledgers["r2"].Now()}})
		}))
		_, err := w.assign("r2", "vma", macpool.Ask{Interface: "net", MAC: m})
		require.NoError(t, err, "r1 has it reserved, and knows nothing of it")
	})
}

func TestAnOrphanInAFullBlockIsTakenUpAtOnce(t *testing.T) {
	in(t, 1, []string{"r1"}, func(t *testing.T, w *world) {
		m := w.pool.Set.At(0)
		require.NoError(t, w.ledgers["r1"].Edit(t.Context(), m.Prefix(), func(b *macpool.Block) {
			b.Set(m, macpool.Entry{Reservation: macpool.Reservation{Replica: "r1", Since: w.ledgers["r1"].Now()}})
		}))
		answer := make(chan error, 1)
		go func() {
			_, err := w.assign("r1", "vma", anyFor("net")...)
			answer <- err
		}()
		w.pass(patience / 2)
		require.Len(t, answer, 1, "what nobody else has is waited for")
		require.NoError(t, <-answer)
	})
}

func TestARecordThatIsGivenUpIsTold(t *testing.T) {
	in(t, 1<<16, []string{"r1"}, func(t *testing.T, w *world) {
		l := w.ledgers["r1"]
		l.writer.store = smallStore{w.store, "vma"}
		told := map[macpool.MAC]string{}
		l.gaveUp = func(m macpool.MAC, h macpool.Holder, err error) {
			require.ErrorIs(t, err, macpool.ErrTooLarge)
			told[m] = h.Name
		}
		grant, err := w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
		_, err = w.assign("r1", "vmb", anyFor("net")...)
		require.NoError(t, err)
		w.finishWrites()
		assert.Equal(t, map[macpool.MAC]string{grant.MACs[0]: "vma"}, told)
		assert.Contains(t, w.reserved(), grant.MACs[0], "nobody else is given it")
	})
}

func TestAnAddressThatIsLentElsewhereIsToleratedWhereThePoolSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1<<24, "r1", "r2")
		w.crowd("early", 200, 0)
		w.finishWrites()
		given := w.crowd("late", busyChanges, 0)
		w.pass(batchDelay + batchDelay/2)
		require.False(t, w.ownedInStore(given[0], vmNamed("late0"), "nobody"), "r2 sees it reserved, and not held")
		w.has("late0", true)
		w.pool.Tolerate = true
		grant, err := w.assign("r2", "vmb", macpool.Ask{Interface: "net", MAC: given[0]})
		require.NoError(t, err)
		assert.Len(t, grant.Collisions, 1)
	})
}

func TestABlockIsNotForgottenForAnEarlierDeletionThanTheStateThatIsKnown(t *testing.T) {
	known := newBlockCache(clock.RealClock{})
	b := macpool.NewBlock(macpool.MAC{2}.Prefix())
	pool := []macpool.Range{{First: macpool.MAC{2}, Last: macpool.MAC{2, 0, 0, 0, 0, 255}}}
	b.Reserve(3, macpool.NewSet(pool, nil), "r1", time.Unix(0, 0))
	b.Version = "10"
	require.True(t, known.put(b))
	require.False(t, known.forget(b.Prefix, "9"))
	require.Equal(t, "10", known.block(b.Prefix).Version)
	require.False(t, known.isLost(b.Prefix), "it is not written again: it is there")
	require.True(t, known.forget(b.Prefix, "11"))
	require.True(t, known.isLost(b.Prefix))
}
