// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
		"who asked for any is not given again what another has, too": {
			before: func(b *Block) {
				held(b)
				require.NoError(t, b.Claim(Claim{MAC: address, Holder: holderOf("vmb", "net"), Regardless: true, Since: base}))
			},
			claim: Claim{Holder: holderOf("vma", "net"), Alone: true}, want: "0a vma vmb",
			err: "is held by VirtualMachine default/vmb",
		},
		"who asked for any is given again what it alone has": {
			before: held, claim: Claim{Holder: holderOf("vma", "net"), Alone: true}, want: "0a vma",
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

func TestALateRecordMakesNoSecondHolder(t *testing.T) {
	m := MAC{2, 0, 0, 0, 0, 1}
	b := NewBlock(m.Prefix())
	require.Equal(t, []MAC{m}, b.Reserve(1, NewSet([]Range{{First: m, Last: m}}, nil), "r1", time.Unix(1, 0)))
	b.Adopt(m, holderOf("vm-1", "net"), time.Unix(2, 0)) // the janitor sees the VM before the replica has recorded it
	assert.Equal(t, "01 vm-1 [r1]", show(b))
	nameless := Holder{Object: Object{Kind: KindVM, Namespace: "default", GenerateName: "vm-", Claim: "c"}}
	require.NoError(t, b.Claim(Claim{MAC: m, Holder: nameless, Replica: "r1", Regardless: true, Lent: true}))
	assert.Equal(t, "01 vm-1", show(b))
	nameless.Namespace = "other"
	require.NoError(t, b.Claim(Claim{MAC: m, Holder: nameless, Regardless: true, Lent: true}))
	assert.Equal(t, "01 vm-1 ", show(b), "a VM of another namespace is another one")
}

func TestWhoAsksForAnAddressWhoseRowCannotBeReadIsToldSoSoon(t *testing.T) {
	m := MAC{2, 0, 0, 0, 0, 1}
	b := NewBlock(m.Prefix())
	b.Set(m, Entry{Unread: "?"})
	var busy *BusyError
	require.ErrorAs(t, b.Claim(Claim{MAC: m, Holder: holderOf("vma", "net")}), &busy)
	assert.LessOrEqual(t, 10*busy.After, 2*time.Minute, "kubectl says so only when it has asked ten times more")
}
