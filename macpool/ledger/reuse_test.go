// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestWhatAnObjectLeavesServesItWhereThePoolHasNoOthers(t *testing.T) {
	at := func(n byte) macpool.MAC { return macpool.MAC{2, 0, 0, 0, 0, n} }
	for name, tc := range map[string]struct {
		size int
		asks []macpool.Ask
		left []macpool.MAC
		want []macpool.MAC // none if the pool is exhausted
	}{
		"a renamed interface has the address of before": {
			size: 2, asks: anyFor("c"), left: []macpool.MAC{at(0)}, want: []macpool.MAC{at(0)},
		},
		"one of two that are new has what is free": {
			size: 3, asks: anyFor("c", "d"), left: []macpool.MAC{at(0)}, want: []macpool.MAC{at(0), at(2)},
		},
		"one that asks for it by itself has it": {
			size: 3, asks: []macpool.Ask{{Interface: "c"}, {Interface: "d", MAC: at(0)}}, left: []macpool.MAC{at(0)},
			want: []macpool.MAC{at(2), at(0)},
		},
		"where there are others, one has another": {
			size: 3, asks: anyFor("c"), left: []macpool.MAC{at(0)}, want: []macpool.MAC{at(2)},
		},
		"one that it had before is found again": {
			size: 2, asks: anyFor("a", "c"), left: []macpool.MAC{at(0), at(1)}, want: []macpool.MAC{at(0), at(1)},
		},
		"what is left is too little":     {size: 2, asks: anyFor("c", "d"), left: []macpool.MAC{at(0)}},
		"what is left is no more its":    {size: 3, asks: anyFor("c", "d"), left: []macpool.MAC{at(2)}},
		"what is left is none of a pool": {size: 2, asks: anyFor("c"), left: []macpool.MAC{{6}}},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, tc.size, []string{"r1"}, func(t *testing.T, w *world) {
				asks := []macpool.Ask{
					{Interface: "a", MAC: at(0)}, {Interface: "b", MAC: at(1)}, {Interface: "outside", MAC: macpool.MAC{6}},
				}
				_, err := w.assign("r1", "vma", asks...)
				require.NoError(t, err)
				w.has("vma", true)
				w.pass(2 * MaxAdmission)
				r := macpool.Request{Holder: vmNamed("vma"), Pool: w.pool, Asks: tc.asks, Left: tc.left}
				for _, answer := range []func(context.Context, macpool.Request) (macpool.Grant, error){
					w.ledgers["r1"].Preview, w.ledgers["r1"].Assign,
				} {
					grant, err := answer(t.Context(), r)
					w.finishWrites()
					if tc.want == nil {
						var exhausted *macpool.ExhaustedError
						require.ErrorAs(t, err, &exhausted)
						assert.False(t, exhausted.Passing(), "%v", err)
						continue
					}
					require.NoError(t, err)
					assert.Equal(t, tc.want, grant.MACs)
				}
			})
		})
	}
}

func TestWhatAnObjectLeavesServesItBesideACollisionThatThePoolTolerates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, "r1", "r2")
		w.pool.Tolerate = true
		for _, vm := range []string{"vma", "vmb"} {
			_, err := w.assign("r1", vm, anyFor("a")...)
			require.NoError(t, err)
			w.has(vm, true)
		}
		w.pass(2 * MaxAdmission)
		own, other := w.pool.Set.At(0), w.pool.Set.At(1)
		r := macpool.Request{
			Holder: vmNamed("vma"), Pool: w.pool, Left: []macpool.MAC{own},
			Asks: []macpool.Ask{{Interface: "b"}, {Interface: "c", MAC: other}},
		}
		for _, answer := range []func(context.Context, macpool.Request) (macpool.Grant, error){
			w.ledgers["r1"].Preview, w.ledgers["r1"].Assign,
		} {
			grant, err := answer(t.Context(), r)
			require.NoError(t, err)
			assert.Equal(t, []macpool.MAC{own, other}, grant.MACs)
			assert.Len(t, grant.Collisions, 1)
		}
		w.finishWrites()
		w.stall("r2") // it goes on to think that vma alone has the address
		_, err := w.assign("r1", "vmc", macpool.Ask{Interface: "a", MAC: own})
		require.NoError(t, err)
		w.has("vmc", true)
		r.Asks = anyFor("d")
		for _, answer := range []func(context.Context, macpool.Request) (macpool.Grant, error){
			w.ledgers["r2"].Preview, w.ledgers["r2"].Assign,
		} {
			grant, err := answer(t.Context(), r)
			var exhausted *macpool.ExhaustedError
			assert.ErrorAs(t, err, &exhausted, "%v", grant)
		}
		w.finishWrites()
	})
}
