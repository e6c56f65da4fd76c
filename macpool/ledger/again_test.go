// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// nameless returns a VM created by generateName that goes by this claim.
func nameless(claim string) macpool.Object {
	return macpool.Object{Kind: macpool.KindVM, Namespace: "default", GenerateName: "vm-", Claim: claim}
}

// again is a second look at a creation, with the address that the first gave it.
func (w *world) again(replica, claim string, m macpool.MAC) error {
	w.t.Helper()
	grant, err := w.ledgers[replica].Assign(w.t.Context(), macpool.Request{
		Holder: nameless(claim), Again: true, Pool: w.pool, Asks: []macpool.Ask{{Interface: "net", MAC: m}},
	})
	if err == nil {
		assert.Equal(w.t, []macpool.MAC{m}, grant.MACs)
	}
	return err
}

// lendTo returns the address that replica r1 lends to a creation without a name.
func (w *world) lendTo(claim string) macpool.MAC {
	w.t.Helper()
	grant, err := w.ledgers["r1"].Assign(w.t.Context(), macpool.Request{
		Holder: nameless(claim), Pool: w.pool, Asks: anyFor("net"),
	})
	require.NoError(w.t, err)
	return grant.MACs[0]
}

func TestASecondLookKeepsItsAddressAndAThirdDoesNot(t *testing.T) {
	for name, c := range map[string]struct {
		second, third string
		recorded      bool // before the second look
	}{
		"at the replica that lent it, at once":           {"r1", "r1", false},
		"at the replica that lent it, later":             {"r1", "r1", true},
		"at another replica, at once":                    {"r2", "r1", false},
		"at another replica, later":                      {"r2", "r2", true},
		"at the replica that lent it, and then another":  {"r1", "r2", false},
		"at another replica, and then at one more, late": {"r2", "r3", true},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, 4096, []string{"r1", "r2", "r3"}, func(t *testing.T, w *world) {
				m := w.lendTo("c")
				if c.recorded {
					w.finishWrites()
				}
				require.NoError(t, w.again(c.second, "c", m))
				var busy *macpool.BusyError
				require.ErrorAs(t, w.again(c.third, "c", m), &busy, "it may be taken again, or never")
				w.finishWrites()
				b, err := w.store.Get(t.Context(), m.Prefix())
				require.NoError(t, err)
				assert.Len(t, b.Entry(m).Holds, 1)
				assert.Error(t, w.again(c.third, "c", m))
			})
		})
	}
}

func TestOfTwoSecondLooksAtOnceOneIsRefused(t *testing.T) {
	in(t, 4096, []string{"r1", "r2", "r3"}, func(t *testing.T, w *world) {
		for i := range 50 {
			claim := fmt.Sprint("c", i)
			m := w.lendTo(claim)
			if i%2 == 0 {
				w.finishWrites()
			}
			var granted atomic.Int32
			var looks sync.WaitGroup
			for _, replica := range []string{"r1", "r2", "r3"} {
				looks.Go(func() {
					if w.again(replica, claim, m) == nil {
						granted.Add(1)
					}
				})
			}
			looks.Wait()
			assert.EqualValues(t, 1, granted.Load(), "copies of one creation have %s", m)
		}
	})
}

func TestASecondLookAtACreationThatIsOverGivesNothing(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		m := w.lendTo("c")
		w.mu.Lock()
		w.exists[nameless("c")] = true
		w.mu.Unlock()
		var taken *macpool.TakenError
		require.ErrorAs(t, w.again("r1", "c", m), &taken)
	})
}

// To look is to list the objects of a namespace.
func TestWhetherACreationIsOverIsLookedUpOnceForAllItsAddresses(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		r := macpool.Request{Holder: nameless("c"), Pool: w.pool, Asks: anyFor("a", "b", "c")}
		grant, err := w.ledgers["r1"].Assign(t.Context(), r)
		require.NoError(t, err)
		for i, m := range grant.MACs {
			r.Asks[i].MAC = m
		}
		r.Again = true
		before := w.looks
		_, err = w.ledgers["r1"].Assign(t.Context(), r)
		require.NoError(t, err)
		assert.Equal(t, before+1, w.looks)
	})
}

func TestARefusalOfANamelessHoldersAddressIsFinalOnceTheObjectExists(t *testing.T) {
	in(t, 4096, []string{"r1", "r2"}, func(t *testing.T, w *world) {
		m := w.lendTo("c")
		w.finishWrites()
		ask := macpool.Ask{Interface: "net", MAC: m}
		var busy *macpool.BusyError
		var taken *macpool.TakenError
		_, err := w.assign("r2", "other", ask)
		require.ErrorAs(t, err, &busy, "its object may never come to exist")
		w.mu.Lock()
		w.exists[nameless("c")] = true
		w.mu.Unlock()
		_, err = w.assign("r2", "other", ask)
		require.ErrorAs(t, err, &taken)
		w.mu.Lock()
		delete(w.exists, nameless("c"))
		w.mu.Unlock()
		w.pass(w.ledgers["r2"].Grace)
		_, err = w.assign("r2", "other", ask)
		require.NoError(t, err, "it has never come to exist")
	})
}

func TestASecondLookByAClaimThatHoldsNothingIsNone(t *testing.T) {
	m := macpool.MAC{0x52, 0x54, 0, 0, 0, 1}
	for name, asks := range map[string][]macpool.Ask{
		"that asks for an address that is free": {{Interface: "net", MAC: m}},
		"that asks for any":                     {{Interface: "net"}},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
				request := macpool.Request{Holder: nameless("c"), Again: true, Pool: w.pool, Asks: asks}
				_, err := w.ledgers["r1"].Assign(t.Context(), request)
				require.ErrorIs(t, err, macpool.ErrStaleClaim)
				_, err = w.assign("r1", "other", asks...)
				require.NoError(t, err, "nothing was given")
			})
		})
	}
}

func TestASecondLookAsksForMoreThanTheFirstGave(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		m := w.lendTo("c")
		grant, err := w.ledgers["r1"].Assign(t.Context(), macpool.Request{
			Holder: nameless("c"), Again: true, Pool: w.pool,
			Asks: []macpool.Ask{
				{Interface: "net", MAC: m}, named(t, "written by a webhook", "52:54:00:00:00:01"), {Interface: "any"},
			},
		})
		require.NoError(t, err)
		assert.Equal(t, m, grant.MACs[0])
		assert.NotZero(t, grant.MACs[2])
		_, err = w.assign("r1", "other", named(t, "net", "52:54:00:00:00:01"))
		require.Error(t, err)
	})
}

func TestASecondLookThatFailsKeepsWhatItHad(t *testing.T) {
	in(t, 4096, []string{"r1"}, func(t *testing.T, w *world) {
		m := w.lendTo("c")
		w.finishWrites()
		_, err := w.assign("r1", "vma", named(t, "net", "52:54:00:00:00:01"))
		require.NoError(t, err)
		w.has("vma", true)
		_, err = w.ledgers["r1"].Assign(t.Context(), macpool.Request{
			Holder: nameless("c"), Again: true, Pool: w.pool,
			Asks: []macpool.Ask{
				{Interface: "net", MAC: m}, {Interface: "fresh", MAC: macpool.MAC{0x52, 0x54, 0, 0, 0, 2}},
				named(t, "taken", "52:54:00:00:00:01"),
			},
		})
		var taken *macpool.TakenError
		require.True(t, errors.As(err, &taken), "%v", err)
		w.finishWrites()
		b, err := w.store.Get(t.Context(), m.Prefix())
		require.NoError(t, err)
		assert.Len(t, b.Entry(m).Holds, 1)
		fresh, err := w.store.Get(t.Context(), macpool.MAC{0x52, 0x54}.Prefix())
		require.NoError(t, err)
		assert.Empty(t, fresh.Entry(macpool.MAC{0x52, 0x54, 0, 0, 0, 2}).Holds, "what the failed look took is given back")
	})
}
