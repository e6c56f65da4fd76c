// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBlockAdopt(t *testing.T) {
	m := MAC{2, 0, 0, 0, 0, 1}
	nameless := Holder{Object: Object{Kind: KindVM, Namespace: "default", GenerateName: "vm-", Claim: "c"}}
	long := nameless
	long.GenerateName = strings.Repeat("x", 60) + "-"
	cutOff := strings.Repeat("x", 58) + "abcde"
	for name, tc := range map[string]struct {
		before []Holder
		adopt  Holder
		want   string
	}{
		"the API server cuts off the end of a long generateName": {
			before: []Holder{long}, adopt: holderOf(cutOff, "net"), want: "01 " + cutOff,
		},
		"a VM that passed admission by becomes a holder": {adopt: holderOf("vm-1", "net"), want: "01 vm-1"},
		"beside another": {before: []Holder{holderOf("vma", "net")}, adopt: holderOf("vm-1", "net"), want: "01 vma vm-1"},
		"a VM created by generateName takes over what it asked": {before: []Holder{nameless}, adopt: holderOf("vm-1", "net"), want: "01 vm-1"},
		"another one does not":         {before: []Holder{nameless}, adopt: holderOf("db-1", "net"), want: "01  db-1"},
		"who holds it already goes on": {before: []Holder{holderOf("vm-1", "net")}, adopt: holderOf("vm-1", "x"), want: "01 vm-1"},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBlock(m.Prefix())
			for _, h := range tc.before {
				require.NoError(t, b.Claim(Claim{MAC: m, Holder: h}))
			}
			b.Adopt(m, tc.adopt, time.Unix(1, 0))
			assert.Equal(t, tc.want, show(b))
		})
	}
}

func TestABlockIsNotMadeTooLargeByWhoPassedAdmissionBy(t *testing.T) {
	b, long := NewBlock(Prefix{2}), strings.Repeat("x", 1<<20)
	for i := range 2 * maxBeside {
		b.Adopt(b.Prefix.Address(byte(i%3)), holderOf(fmt.Sprint("vm", i), long), time.Unix(1, 0))
	}
	b.Adopt(b.Prefix.Address(9), holderOf("vma", "net"), time.Unix(1, 0))
	holds := 0
	for _, h := range b.Holds() {
		holds++
		assert.LessOrEqual(t, len(h.Interface), maxInterface)
	}
	assert.Equal(t, 4+maxBeside, holds)
	assert.Len(t, b.Entry(b.Prefix.Address(9)).Holds, 1, "an address that nobody had is always taken")
}

func TestReservationsOfADeadReplicaEnd(t *testing.T) {
	b := NewBlock(Prefix{2})
	got := b.Reserve(3, everything(), "dead", time.Unix(1, 0))
	b.Reserve(1, everything(), "alive", time.Unix(1, 0))
	b.EndReservations("dead", map[MAC][]Holder{got[0]: nil, got[1]: {holderOf("vma", "net")}}, time.Unix(2, 0))
	assert.Equal(t, "01 vma\n02 [dead]\n03 [alive]", show(b), "who has the third was not asked")
}

func TestWhatABlockHadIsTakenInAgain(t *testing.T) {
	m := func(suffix byte) MAC { return MAC{0x02, 0, 0, 0, 0, suffix} }
	since := time.Unix(1000, 0)
	claim := func(b *Block, suffix byte, name string) {
		require.NoError(t, b.Claim(Claim{MAC: m(suffix), Holder: holderOf(name, "net"), Since: since}))
	}
	lost := NewBlock(m(0).Prefix())
	claim(lost, 1, "vma")
	claim(lost, 2, "vmb")
	claim(lost, 3, "vmc")
	lost.Set(m(4), Entry{Reservation: Reservation{Replica: "r1", Since: since}})
	lost.Set(m(5), Entry{Reservation: Reservation{Replica: "r1", Since: since}})
	lost.Set(m(6), Entry{Unread: "02:00:00:00:00:06 ?"})
	b := NewBlock(m(0).Prefix())
	claim(b, 2, "vmb")
	claim(b, 3, "vmx")
	b.Set(m(4), Entry{Reservation: Reservation{Replica: "r2", Since: since}})
	claim(b, 5, "vmy")
	b.Restore(lost)
	assert.Equal(t, "01 vma\n02 vmb\n03 vmx vmc\n04 [r2]\n05 vmy [r1]\n06", show(b))
	assert.Equal(t, "02:00:00:00:00:06 ?", b.Entry(m(6)).Unread)
	before := b.Clone()
	b.Restore(lost)
	assert.True(t, b.Equal(before), "once more changes nothing")
}

func TestARowWhoseAddressWasEditedIsToldFromOthers(t *testing.T) {
	m := func(suffix byte) MAC { return MAC{0x02, 0, 0, 0, 0, suffix} }
	early, late := time.Unix(1000, 0), time.Unix(2000, 0)
	held := func(name string, since time.Time) Entry {
		return Entry{Holds: []Hold{{Holder: holderOf(name, "net"), Since: since}}}
	}
	both := Entry{Holds: append(held("vmb", early).Holds, held("vma", early).Holds...)}
	reserved := func(replica string, since time.Time) Entry {
		return Entry{Reservation: Reservation{Replica: replica, Since: since}}
	}
	for name, tc := range map[string]struct {
		before, now map[byte]Entry
		want        string
	}{
		"a hold that ended":                         {before: map[byte]Entry{1: held("vma", early)}},
		"a hold of another date":                    {before: map[byte]Entry{1: held("vma", early)}, now: map[byte]Entry{2: held("vma", late)}},
		"one of two of the same date":               {before: map[byte]Entry{1: held("vma", early), 2: held("vma", early)}, now: map[byte]Entry{2: held("vma", early)}},
		"a hold that was renewed":                   {before: map[byte]Entry{1: held("vma", early)}, now: map[byte]Entry{1: held("vma", late), 2: held("vma", early)}},
		"a hold that got its name":                  {before: map[byte]Entry{1: held("", early)}, now: map[byte]Entry{1: held("vma", early)}},
		"a hold at another address":                 {before: map[byte]Entry{1: held("vma", early)}, now: map[byte]Entry{2: held("vma", early)}, want: "01 vma"},
		"a hold at an address of others":            {before: map[byte]Entry{1: held("vma", early), 2: held("vmb", early)}, now: map[byte]Entry{2: both}, want: "01 vma"},
		"and others were given its own":             {before: map[byte]Entry{1: held("vma", early)}, now: map[byte]Entry{1: held("vmb", late), 2: held("vma", early)}, want: "01 vma"},
		"a reservation that ended, and a later one": {before: map[byte]Entry{1: reserved("r1", early)}, now: map[byte]Entry{2: reserved("r1", late)}},
		"a reservation at another address": {
			before: map[byte]Entry{1: reserved("r1", early), 3: reserved("r1", early)},
			now:    map[byte]Entry{2: reserved("r1", early), 3: reserved("r1", early)}, want: "01 [r1]",
		},
		"and its own was reserved by others": {before: map[byte]Entry{1: reserved("r1", early)}, now: map[byte]Entry{1: reserved("r2", late), 2: reserved("r1", early)}},
	} {
		t.Run(name, func(t *testing.T) {
			blockOf := func(entries map[byte]Entry) *Block {
				b := NewBlock(m(0).Prefix())
				for suffix, e := range entries {
					b.Set(m(suffix), e)
				}
				return b
			}
			moved := blockOf(tc.now).Moved(blockOf(tc.before))
			if tc.want == "" {
				assert.Nil(t, moved)
				return
			}
			require.NotNil(t, moved)
			assert.Equal(t, tc.want, show(moved))
		})
	}
}

func TestWhetherTheAPIServerMadeAName(t *testing.T) {
	long := strings.Repeat("a", maxGenerated)
	for name, c := range map[string]struct {
		generateName string
		want         bool
	}{
		"job-x2b4c":            {"job-", true},
		long + "x2b4c":         {long + "-0-", true},
		"web-0":                {"web-", false}, // StatefulSets
		"web-10000":            {"web-", false},
		"job-x2b4c7":           {"job-", false},
		"other-x2b4c":          {"job-", false},
		"x2b4c":                {"", false},
		"":                     {"job-", false},
		"job-":                 {"job-", false},
		long + "-0-" + "x2b4c": {long + "-0-", false},
	} {
		assert.Equal(t, c.want, NameIsGenerated(name, c.generateName), "%s of %s", name, c.generateName)
	}
}
