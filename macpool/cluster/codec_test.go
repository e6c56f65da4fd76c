// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestBlockSurvivesEncoding(t *testing.T) {
	b := macpool.NewBlock(macpool.Prefix{2, 0x4a, 0xbe})
	b.Version = "7"
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	require.NoError(
		t,
		b.Claim(
			macpool.Claim{
				MAC: b.Prefix.Address(1),
				Holder: macpool.Holder{
					Object:    macpool.Object{Kind: macpool.KindVM, Namespace: "n", GenerateName: "g", Claim: "c"},
					Interface: "i",
				},
				Since: now,
			},
		),
	)
	require.NoError(
		t,
		b.Claim(
			macpool.Claim{
				MAC:    b.Prefix.Address(1),
				Holder: holderOf("vma", "net"),
				Share:  macpool.Sharing{Anyone: true},
				Since:  now,
			},
		),
	)
	b.Reserve(2, everything(), "r1", now)
	b.Contest(b.Prefix.Address(2))
	o := EncodeBlock(b)
	assert.Equal(t, "02-4a-be-00-00", o.Name)
	assert.Equal(t, "02:4a:be:00:00", o.Prefix)
	assert.EqualValues(t, 1, o.Held)
	assert.EqualValues(t, 2, o.Reserved)
	again, err := DecodeBlock(o)
	require.NoError(t, err)
	assert.True(t, b.Equal(again))
	assert.Equal(t, "7", again.Version)
}

func TestDecodeBlockRefusesWhatContradictsItself(t *testing.T) {
	good := func() *macpool.Block {
		b := macpool.NewBlock(macpool.Prefix{2})
		b.Reserve(1, everything(), "r", time.Unix(1, 0))
		return b
	}
	for name, spoil := range map[string]func() error{
		"a name that is no prefix": func() error { o := EncodeBlock(good()); o.Name = "x"; _, err := DecodeBlock(o); return err },
		"an address of another block": func() error {
			o := EncodeBlock(good())
			o.Rows[0] = strings.Replace(o.Rows[0], "02:00:00:00:00:00", "02:00:00:00:01:00", 1)
			_, err := DecodeBlock(o)
			return err
		},
		"an address that is not one": func() error {
			o := EncodeBlock(good())
			o.Rows[0] = "?"
			_, err := DecodeBlock(o)
			return err
		},
		"an address of too many octets": func() error {
			o := EncodeBlock(good())
			o.Rows[0] = strings.Replace(o.Rows[0], "02:00:00:00:00:00", "02:00:00:00:00:00:00:00", 1)
			_, err := DecodeBlock(o)
			return err
		},
		"an address that is there twice": func() error {
			o := EncodeBlock(good())
			o.Rows = append(o.Rows, o.Rows[0])
			_, err := DecodeBlock(o)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Error(t, spoil()) })
	}
}

func TestTwoRowsOfOneAddressAreOneWithTheHoldersOfBoth(t *testing.T) {
	row := func(name string) *v1alpha1.MACBlock {
		b := macpool.NewBlock(macpool.Prefix{2})
		require.NoError(t, b.Claim(macpool.Claim{MAC: macpool.MAC{2}, Holder: holderOf(name, "net"), Since: time.Unix(1, 0)}))
		return EncodeBlock(b)
	}
	o := row("vma")
	o.Rows = append(o.Rows, row("vmb").Rows...)
	b, err := DecodeBlock(o)
	require.Error(t, err)
	assert.Len(t, b.Entry(macpool.MAC{2}).Holds, 2)
}

func TestAnAddressWhoseRowCannotBeReadStaysTaken(t *testing.T) {
	held := "02:00:00:00:00:01 VirtualMachine default/vma"
	since := " since=2026-01-02T03:04:05.000000Z"
	for name, row := range map[string]string{
		"since is not there":           held + " interface=net1",
		"since is a day":               held + " since=2026-01-02",
		"a setting of a later release": held + since + " note=by-hand",
		"two spaces":                   held + " " + since,
		"a line break at the end":      held + since + "\n",
		"a bar at the end":             held + since + " |",
		"half of a second holder":      held + since + " | VirtualMachine default/vmb",
		"half of a reservation":        "02:00:00:00:00:01 reserved replica=r1",
	} {
		t.Run(name, func(t *testing.T) {
			m := macpool.MAC{2, 0, 0, 0, 0, 1}
			o := EncodeBlock(macpool.NewBlock(m.Prefix()))
			o.Rows = []string{row}
			b, err := DecodeBlock(o)
			require.Error(t, err)
			require.NotNil(t, b)
			assert.Equal(t, 1, b.Len())
			pool := macpool.NewSet([]macpool.Range{{First: m, Last: m}}, nil)
			assert.Empty(t, b.Reserve(1, pool, "r2", time.Now()), "nobody reserves it")
			other := macpool.Holder{Object: macpool.Object{Kind: macpool.KindVM, Namespace: "default", Name: "other"}}
			var busy *macpool.BusyError
			require.ErrorAs(t, b.Claim(macpool.Claim{MAC: m, Holder: other, Replica: "r2", Since: time.Now()}), &busy)
			assert.Equal(t, []string{row}, EncodeBlock(b).Rows, "a write leaves it as it is")
			b.Adopt(m, other, time.Now())
			assert.Contains(t, EncodeBlock(b).Rows[0], "default/other", "once it is known who has it")
		})
	}
}

func TestEveryAddressOfARowThatCannotBeReadStaysTaken(t *testing.T) {
	const since = " since=2026-01-02T03:04:05.000000Z"
	o := EncodeBlock(macpool.NewBlock(macpool.Prefix{2}))
	o.Rows, o.Reserved = []string{"02:00:00:00:00:01-03 reserved color=red" + since}, 3
	b, err := DecodeBlock(o)
	require.Error(t, err)
	assert.Equal(t, 3, b.Unread())
	assert.False(t, b.Lacking)
	holder := holderOf("vma", "net")
	b.Adopt(macpool.MAC{2, 0, 0, 0, 0, 2}, holder, time.Unix(1, 0))
	o = EncodeBlock(b)
	require.Len(t, o.Rows, 3, "the others are written as they were read, each by itself")
	assert.Equal(t, "02:00:00:00:00:01 reserved color=red"+since, o.Rows[0])
	assert.Contains(t, o.Rows[1], "default/vma")
	assert.Equal(t, "02:00:00:00:00:03 reserved color=red"+since, o.Rows[2])
}

func TestARowOfSeveralThatWasCutShortIsMissed(t *testing.T) {
	for name, end := range map[string]string{"to fewer": "-0f ", "to one": " ", "to what is no octet": "-?? "} {
		t.Run(name, func(t *testing.T) {
			b := macpool.NewBlock(macpool.Prefix{2})
			b.Reserve(256, everything(), "r1", time.Unix(1, 0))
			o := EncodeBlock(b)
			o.Rows[0] = strings.Replace(o.Rows[0], "-ff ", end, 1)
			again, err := DecodeBlock(o)
			assert.Equal(t, end == "-?? ", err != nil)
			assert.True(t, again.Lacking)
		})
	}
}

func TestAHoldThatWasEditedIntoAReservationIsMissed(t *testing.T) {
	b := macpool.NewBlock(macpool.Prefix{2})
	b.Reserve(8, everything(), "r1", time.Unix(1, 0))
	held := macpool.Claim{MAC: macpool.MAC{2, 0, 0, 0, 0, 4}, Holder: holderOf("vma", "net"), Replica: "r1"}
	held.Since = time.Unix(1, 0)
	require.NoError(t, b.Claim(held))
	o := EncodeBlock(b)
	require.Len(t, o.Rows, 3)
	o.Rows = []string{strings.Replace(o.Rows[0], "-03 ", "-07 ", 1)}
	again, err := DecodeBlock(o)
	require.NoError(t, err)
	assert.Equal(t, b.Len(), again.Len())
	assert.True(t, again.Lacking)
}

func TestADateThatIsMissingIsTheSameForAll(t *testing.T) {
	var o v1alpha1.MACBlock
	require.NoError(t, o.Addresses.UnmarshalJSON([]byte(`[
		{"address":"02:00:00:00:00:01","holders":[{"kind":"VirtualMachine","namespace":"default","name":"vma","since":null}]},
		{"address":"02:00:00:00:00:02","holders":[{"kind":"VirtualMachine","namespace":"default","name":"vmb"}]},
		{"address":"02:00:00:00:00:03","reservation":{"replica":"r1","since":"0001-01-01T00:00:00.000000Z"}}]`)))
	o.Name = "02-00-00-00-00"
	b, err := DecodeBlock(&o)
	require.NoError(t, err)
	require.Equal(t, 3, b.Len())
	for name, encode := range map[string]func(*macpool.Block) *v1alpha1.MACBlock{
		"rows": EncodeBlock, "structures": encodeStructures,
	} {
		t.Run(name, func(t *testing.T) {
			written := encode(b)
			text, err := json.Marshal(written)
			require.NoError(t, err)
			assert.NotContains(t, string(text), `"since":null`, "the API server would refuse it")
			again, err := DecodeBlock(written)
			require.NoError(t, err, "what was written is read")
			assert.True(t, again.Equal(b))
		})
	}
	t.Run("a row that the release before this one wrote", func(t *testing.T) {
		o := EncodeBlock(macpool.NewBlock(macpool.Prefix{2}))
		o.Rows = []string{"02:00:00:00:00:01 VirtualMachine default/vma since=0001-01-01T00:00:00.000000Z"}
		b, err := DecodeBlock(o)
		require.NoError(t, err)
		assert.Equal(t, o.Name, b.Prefix.String())
		assert.Empty(t, b.Entry(macpool.MAC{2, 0, 0, 0, 0, 1}).Unread)
	})
}

func TestAnAddressWhoseRowCannotBeReadIsTakenForTheReleaseBefore(t *testing.T) {
	m := macpool.MAC{2, 0, 0, 0, 0, 1}
	o := EncodeBlock(macpool.NewBlock(m.Prefix()))
	o.Rows = []string{m.String() + " VirtualMachine default/vma note=by-hand"}
	b, err := DecodeBlock(o)
	require.Error(t, err)
	old := encodeStructures(b)
	require.Len(t, old.Addresses.Structures, 1)
	require.NotNil(t, old.Addresses.Structures[0].Reservation, "that release takes what nobody has for free")
	b, err = DecodeBlock(old)
	require.NoError(t, err)
	assert.False(t, b.Entry(m).Free())
	assert.Empty(t, b.Reserve(1, macpool.NewSet([]macpool.Range{{First: m, Last: m}}, nil), "r2", time.Now()))
}
