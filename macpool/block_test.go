// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func vmNamed(name string) Object {
	return Object{Kind: KindVM, Namespace: "default", Name: name}
}

func holderOf(name, iface string) Holder {
	return Holder{Object: vmNamed(name), Interface: iface}
}

// show writes the state of a block as text: one line an address.
func show(b *Block) string {
	var lines []string
	for m, e := range b.Entries() {
		line := m.String()[len("02:00:00:00:00:"):]
		for _, h := range e.Holds {
			line += " " + h.Name
			if h.Shared {
				line += "(shared)"
			}
		}
		if e.Reservation.Replica != "" {
			line += " [" + e.Reservation.Replica
			if e.Reservation.Contested {
				line += "!"
			}
			line += "]"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func everything() Set {
	return NewSet([]Range{{First: MAC{}, Last: macOf(1<<48 - 1)}}, nil)
}

func TestBlockReserveTakesFreeAddressesOfThePoolOnly(t *testing.T) {
	b := NewBlock(Prefix{2})
	require.NoError(t, b.Claim(Claim{MAC: MAC{2, 0, 0, 0, 0, 0x10}, Holder: holderOf("vma", "net")}))
	pool := NewSet([]Range{rangeOf(t, "02:00:00:00:00:0f", "02:00:00:00:00:12")}, nil)
	got := b.Reserve(10, pool, "r1", time.Unix(1, 0))
	assert.Equal(t, "0f [r1]\n10 vma\n11 [r1]\n12 [r1]", show(b))
	assert.Len(t, got, 3)
	assert.Zero(t, b.FreeIn(pool))
	held, reserved := b.Counts()
	assert.Equal(t, [2]int{1, 3}, [2]int{held, reserved})
	b.Contest(got[0])
	b.Unreserve(got[1], "r2")
	b.Unreserve(got[2], "r1")
	assert.Equal(t, "0f [r1!]\n10 vma\n11 [r1]", show(b))
}

func TestBlockReleaseEndsOneGiftOnly(t *testing.T) {
	m := MAC{2, 0, 0, 0, 0, 1}
	first, second := time.Unix(1, 0), time.Unix(2, 0)
	b := NewBlock(m.Prefix())
	require.NoError(t, b.Claim(Claim{MAC: m, Holder: holderOf("vma", "net"), Since: first}))
	old := b.Entry(m).Holds[0]
	require.NoError(t, b.Claim(Claim{MAC: m, Holder: holderOf("vma", "net"), Since: second}))
	b.Release(m, old)
	assert.Equal(t, "01 vma", show(b), "it was renewed since")
	b.Release(m, b.Entry(m).Holds[0])
	assert.Empty(t, show(b))
}

func TestAHoldIsAsOldAsThisProcessHasSeenIt(t *testing.T) {
	m := MAC{2, 0, 0, 0, 0, 1}
	claim := func(b *Block, since int64) *Block {
		require.NoError(t, b.Claim(Claim{MAC: m, Holder: holderOf("vma", "net"), Since: time.Unix(since, 0)}))
		return b
	}
	first := claim(NewBlock(m.Prefix()), 1)
	first.StampSeen(nil, time.Unix(100, 0))
	again := claim(NewBlock(m.Prefix()), 1)
	again.StampSeen(first, time.Unix(200, 0))
	assert.Equal(t, time.Unix(100, 0), again.Entry(m).Holds[0].Seen)
	renewed := claim(NewBlock(m.Prefix()), 2)
	renewed.StampSeen(first, time.Unix(300, 0))
	assert.Equal(t, time.Unix(300, 0), renewed.Entry(m).Holds[0].Seen, "it is another gift")
	assert.True(t, first.Equal(again))
	assert.False(t, first.Equal(renewed), "a renewal is to be written")
}

func TestCountsAreThoseOfTheEntries(t *testing.T) {
	now := time.Unix(1, 0)
	b := NewBlock(Prefix{2})
	b.Reserve(4, NewSet([]Range{{First: MAC{2}, Last: MAC{2, 0, 0, 0, 0, 9}}}, nil), "r1", now)
	b.Contest(MAC{2, 0, 0, 0, 0, 1})
	holder := func(name string) Holder { return Holder{Object: Object{Kind: KindVM, Namespace: "n", Name: name}} }
	b.Adopt(MAC{2, 0, 0, 0, 0, 2}, holder("a"), now)
	b.Adopt(MAC{2, 0, 0, 0, 0, 2}, holder("b"), now)
	b.Adopt(MAC{2, 0, 0, 0, 0, 8}, holder("a"), now)
	before := b.Clone()
	check := func(b *Block, held, reserved int, contested bool, replicas ...string) {
		t.Helper()
		h, r := b.Counts()
		assert.Equal(t, held, h)
		assert.Equal(t, reserved, r)
		assert.Equal(t, contested, b.Contested())
		assert.ElementsMatch(t, replicas, slices.Collect(b.Replicas()))
	}
	check(b, 2, 3, true, "r1")
	for i := range byte(4) {
		b.Unreserve(MAC{2, 0, 0, 0, 0, i}, "r1")
	}
	check(b, 2, 0, false)
	check(before, 2, 3, true, "r1")
	has, running := func(MAC, Object) bool { return true }, func(Object) Condition { return Condition{Running: true} }
	assert.Len(t, Collisions([]*Block{b}, has, running), 1)
	b.Set(MAC{2, 0, 0, 0, 0, 2}, Entry{})
	check(b, 1, 0, false)
	assert.Empty(t, Collisions([]*Block{b}, has, running))
}
