// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"fmt"
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

func TestBlockClaim(t *testing.T) {
	const mine = "r1"
	address := MAC{0x02, 0, 0, 0, 0, 0x0a}
	base := time.Unix(1000, 0)
	held := func(b *Block) {
		require.NoError(t, b.Claim(Claim{MAC: address, Holder: holderOf("vma", "net"), Since: base}))
	}
	for name, tc := range map[string]struct {
		before func(*Block)
		claim  Claim
		want   string
		err    string
	}{
		"a free address is held": {
			claim: Claim{Holder: holderOf("vma", "net")}, want: "0a vma",
		},
		"a held one is refused with the holder": {
			before: held, claim: Claim{Holder: holderOf("vmb", "net")}, want: "0a vma",
			err: "02:00:00:00:00:0a is held by VirtualMachine default/vma for its interface net",
		},
		"a holder in another namespace is not named": {
			before: held, claim: Claim{Holder: Holder{Object: Object{Kind: KindVM, Namespace: "other", Name: "vmb"}}}, want: "0a vma",
			err: "02:00:00:00:00:0a is held by another VM, in another namespace",
		},
		"the holder itself may ask again, for another interface too": {
			before: held, claim: Claim{Holder: holderOf("vma", "other")}, want: "0a vma",
		},
		"a receiver of a migration shares it": {
			before: held, claim: Claim{Holder: holderOf("vmb", "net"), Share: Sharing{Anyone: true}}, want: "0a vma vmb(shared)",
		},
		"it is shared with the VM that is named": {
			before: held, claim: Claim{Holder: holderOf("vmb", "net"), Share: Sharing{With: vmNamed("vma")}}, want: "0a vma vmb(shared)",
		},
		"it is not shared with another VM than the one named": {
			before: held, claim: Claim{Holder: holderOf("vmb", "net"), Share: Sharing{With: vmNamed("vmc")}}, want: "0a vma",
			err: "is held by",
		},
		"a third may not share it, whomever it names": {
			before: func(b *Block) {
				held(b)
				require.NoError(t, b.Claim(Claim{
					MAC: address, Holder: holderOf("vmb", "net"), Share: Sharing{With: vmNamed("vma")}, Since: base,
				}))
			},
			claim: Claim{Holder: holderOf("vmc", "net"), Share: Sharing{With: vmNamed("vma")}}, want: "0a vma vmb(shared)",
			err: "is held by VirtualMachine default/vmb",
		},
		"a VM is given what the instance has that it is about to take over": {
			before: func(b *Block) {
				b.Adopt(address, Holder{Object: Object{Kind: KindVMI, Namespace: "default", Name: "vma"}}, base)
			},
			claim: Claim{Holder: holderOf("vma", "net")}, want: "0a vma vma",
		},
		"a VM is not given what an instance of another name has": {
			before: func(b *Block) {
				b.Adopt(address, Holder{Object: Object{Kind: KindVMI, Namespace: "default", Name: "vma"}}, base)
			},
			claim: Claim{Holder: holderOf("vmb", "net")}, want: "0a vma",
			err: "is held by VirtualMachineInstance default/vma",
		},
		"nor one in another namespace": {
			before: func(b *Block) {
				b.Adopt(address, Holder{Object: Object{Kind: KindVMI, Namespace: "other", Name: "vma"}}, base)
			},
			claim: Claim{Holder: holderOf("vma", "net")}, want: "0a vma", err: "in another namespace",
		},
		"the second of two that share it may ask again": {
			before: func(b *Block) {
				held(b)
				require.NoError(t, b.Claim(Claim{
					MAC: address, Holder: holderOf("vmb", "net"), Share: Sharing{With: vmNamed("vma")}, Since: base,
				}))
			},
			claim: Claim{Holder: holderOf("vmb", "net"), Share: Sharing{With: vmNamed("vma")}}, want: "0a vma vmb(shared)",
		},
		"a holder that is gone makes room": {
			before: held,
			claim:  Claim{Holder: holderOf("vmb", "net"), Gone: []Hold{{Holder: holderOf("vma", "net"), Since: base}}}, want: "0a vmb",
		},
		"a holder that was renewed since it was found gone does not": {
			before: held,
			claim:  Claim{Holder: holderOf("vmb", "net"), Gone: []Hold{{Holder: holderOf("vma", "net"), Since: base.Add(-1)}}}, want: "0a vma",
			err: "is held by",
		},
		"where collisions are tolerated both hold it": {
			before: held, claim: Claim{Holder: holderOf("vmb", "net"), Regardless: true}, want: "0a vma vmb",
		},
		"another replica's reservation is in the way": {
			before: func(b *Block) { b.Reserve(256, everything(), "r2", base) },
			claim:  Claim{Holder: holderOf("vma", "net"), Replica: mine}, want: "[r2]",
			err: "is reserved by replica r2",
		},
		"one's own reservation becomes a hold": {
			before: func(b *Block) { b.Reserve(256, everything(), mine, base) },
			claim:  Claim{Holder: holderOf("vma", "net"), Replica: mine}, want: "0a vma\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBlock(address.Prefix())
			if tc.before != nil {
				tc.before(b)
			}
			before := b.Clone()
			tc.claim.MAC, tc.claim.Since = address, base.Add(time.Second)
			err := b.Claim(tc.claim)
			if tc.err != "" {
				assert.ErrorContains(t, err, tc.err)
				assert.True(t, b.Equal(before), "a claim that failed has changed nothing")
			} else {
				require.NoError(t, err)
				assert.False(t, b.Equal(before))
			}
			assert.Contains(t, show(b)+"\n", tc.want)
		})
	}
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

func TestALateRecordMakesNoSecondHolder(t *testing.T) {
	m := MAC{2, 0, 0, 0, 0, 1}
	b := NewBlock(m.Prefix())
	require.Equal(t, []MAC{m}, b.Reserve(1, NewSet([]Range{{First: m, Last: m}}, nil), "r1", time.Unix(1, 0)))
	b.Adopt(m, holderOf("vm-1", "net"), time.Unix(2, 0)) // the janitor sees the VM before the replica has recorded it
	assert.Equal(t, "01 vm-1 [r1]", show(b))
	nameless := Holder{Object: Object{Kind: KindVM, Namespace: "default", GenerateName: "vm-", Claim: "c"}}
	require.NoError(t, b.Claim(Claim{MAC: m, Holder: nameless, Replica: "r1", Regardless: true}))
	assert.Equal(t, "01 vm-1", show(b))
	nameless.Namespace = "other"
	require.NoError(t, b.Claim(Claim{MAC: m, Holder: nameless, Regardless: true}))
	assert.Equal(t, "01 vm-1 ", show(b), "a VM of another namespace is another one")
}

func TestAnAddressIsLendableOnlyIfItIsReservedAndNothingElse(t *testing.T) {
	ours := Reservation{Replica: "r1"}
	for name, tc := range map[string]struct {
		entry Entry
		want  bool
	}{
		"reserved":               {entry: Entry{Reservation: ours}, want: true},
		"reserved for another":   {entry: Entry{Reservation: Reservation{Replica: "r2"}}},
		"reserved and contested": {entry: Entry{Reservation: Reservation{Replica: "r1", Contested: true}}},
		"reserved and held":      {entry: Entry{Reservation: ours, Holds: []Hold{{Holder: holderOf("vma", "net")}}}},
		"free":                   {},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tc.want, tc.entry.LendableBy("r1"))
			assert.False(t, tc.entry.LendableBy(""), "a replica without a name lends nothing")
		})
	}
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

func TestWhetherAnAddressIsHeldBesideAnObject(t *testing.T) {
	vm := Hold{Holder: Holder{Object: vmNamed("vma")}}
	other := Hold{Holder: Holder{Object: vmNamed("vmb")}, Shared: true}
	instance := Hold{Holder: Holder{Object: Object{Kind: KindVMI, Namespace: "default", Name: "vma"}}}
	for name, c := range map[string]struct {
		holds []Hold
		want  bool
	}{
		"it alone":                      {holds: []Hold{vm}},
		"it, and the instance it runs":  {holds: []Hold{instance, vm}},
		"it, and one that shares it":    {holds: []Hold{vm, other}, want: true},
		"another":                       {holds: []Hold{other}, want: true},
		"the instance it runs":          {holds: []Hold{instance}},
		"nobody":                        {},
		"it, its instance, and another": {holds: []Hold{vm, instance, other}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, Entry{Holds: c.holds}.HeldBeside(vm.Object))
		})
	}
}
