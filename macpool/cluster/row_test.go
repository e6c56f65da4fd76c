// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestRowsAreReadAsTheyAreWritten(t *testing.T) {
	m := macpool.MAC{2, 0x4a, 0xbe, 0, 0, 0x0b}
	since := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	hold := func(h macpool.Hold) macpool.Hold {
		if h.Kind == "" {
			h.Kind, h.Namespace = macpool.KindVM, "default"
		}
		h.Since = since
		return h
	}
	reservation := macpool.Reservation{Replica: "bridgehead-5c9f-x1y2", Since: since}
	contested := reservation
	contested.Contested = true
	const date = " since=2026-01-02T03:04:05.000006Z"
	for name, tc := range map[string]struct {
		entry macpool.Entry
		row   string
	}{
		"an interface of a VM": {
			entry: macpool.Entry{Holds: []macpool.Hold{hold(macpool.Hold{Holder: holderOf("vma", "net1")})}},
			row:   "VirtualMachine default/vma interface=net1" + date,
		},
		"a pod without a name": {
			entry: macpool.Entry{Holds: []macpool.Hold{hold(macpool.Hold{Holder: macpool.Holder{Object: macpool.Object{
				Kind: macpool.KindPod, Namespace: "n", GenerateName: "web-", Claim: "c1",
			}}})}},
			row: "Pod n/ generateName=web- claim=c1" + date,
		},
		"two that share": {
			entry: macpool.Entry{Holds: []macpool.Hold{
				hold(macpool.Hold{Holder: holderOf("vma", "net1")}),
				hold(macpool.Hold{Holder: holderOf("vmb", "net1"), Shared: true}),
			}},
			row: "VirtualMachine default/vma interface=net1" + date + " | VirtualMachine default/vmb interface=net1" + date + " shared",
		},
		"a reservation":            {entry: macpool.Entry{Reservation: reservation}, row: "reserved replica=bridgehead-5c9f-x1y2" + date},
		"one that is asked for":    {entry: macpool.Entry{Reservation: contested}, row: "reserved replica=bridgehead-5c9f-x1y2" + date + " contested"},
		"a hold and a reservation": {entry: macpool.Entry{Holds: []macpool.Hold{hold(macpool.Hold{Holder: holderOf("vma", "net1")})}, Reservation: reservation}, row: "VirtualMachine default/vma interface=net1" + date + " | reserved replica=bridgehead-5c9f-x1y2" + date},
		"names that look like the rest of the row": {
			entry: macpool.Entry{Holds: []macpool.Hold{hold(macpool.Hold{Holder: macpool.Holder{
				Object:    macpool.Object{Kind: macpool.KindVMI, Namespace: "default", Name: `a | "reserved" shared=`, Claim: "MTIz=="},
				Interface: "ü net=1",
			}})}},
			row: `VirtualMachineInstance "default/a | \"reserved\" shared=" claim="MTIz==" interface="\u00fc net=1"` + date,
		},
	} {
		t.Run(name, func(t *testing.T) {
			written := row{first: m, last: m[5], entry: tc.entry}
			assert.Equal(t, "02:4a:be:00:00:0b "+tc.row, written.String())
			again, err := parseRow("02:4a:be:00:00:0b " + tc.row)
			require.NoError(t, err)
			assert.Equal(t, written, again)
		})
	}
}

func TestRowsThatMakeNoSense(t *testing.T) {
	const date = " since=2026-01-02T03:04:05.000006Z"
	for name, text := range map[string]string{
		"nothing":                       "",
		"an address alone":              "02:4a:be:00:00:0b",
		"no address":                    "? VirtualMachine default/vma" + date,
		"a kind that holds nothing":     "02:4a:be:00:00:0b Node default/vma" + date,
		"no name":                       "02:4a:be:00:00:0b VirtualMachine" + date,
		"no date":                       "02:4a:be:00:00:0b VirtualMachine default/vma",
		"a date that is none":           "02:4a:be:00:00:0b VirtualMachine default/vma since=today",
		"a word that is not known":      "02:4a:be:00:00:0b VirtualMachine default/vma maybe" + date,
		"a setting that is not known":   "02:4a:be:00:00:0b VirtualMachine default/vma color=red" + date,
		"unterminated quotes":           `02:4a:be:00:00:0b VirtualMachine "default/vma` + date,
		"quotes that end within a word": `02:4a:be:00:00:0b VirtualMachine "default/vma"x` + date,
		"reserved for nobody":           "02:4a:be:00:00:0b reserved" + date,
		"reserved twice":                "02:4a:be:00:00:0b reserved replica=a" + date + " | reserved replica=b" + date,
		"a bar with nothing behind":     "02:4a:be:00:00:0b VirtualMachine default/vma" + date + " |",
		"a reservation that is shared":  "02:4a:be:00:00:0b reserved replica=a shared" + date,
		"several that are held":         "02:4a:be:00:00:0b-0c VirtualMachine default/vma" + date,
		"the last before the first":     "02:4a:be:00:00:0b-0a reserved replica=a" + date,
		"the last is the first":         "02:4a:be:00:00:0b-0b reserved replica=a" + date,
		"half an octet":                 "02:4a:be:00:00:0b-c reserved replica=a" + date,
		"more than an octet":            "02:4a:be:00:00:0b-0100 reserved replica=a" + date,
		"a whole address at the end":    "02:4a:be:00:00:0b-02:4a:be:00:00:0c reserved replica=a" + date,
		"no end":                        "02:4a:be:00:00:0b- reserved replica=a" + date,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseRow(text)
			assert.Error(t, err)
		})
	}
}

func FuzzRowsSurvive(f *testing.F) {
	f.Add("default", "vma", "vm-", "claim", "net1", "r1", true)
	f.Add("", "", "", "", "", "", false)
	f.Add("a b", "c|d", "\"", "=", "\x00\xff", " ", true)
	f.Fuzz(func(t *testing.T, namespace, name, generate, claim, iface, replica string, flag bool) {
		ns, _, _ := strings.Cut(namespace, "/")
		since := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
		object := macpool.Object{Kind: macpool.KindPod, Namespace: ns, Name: name, GenerateName: generate, Claim: claim}
		e := macpool.Entry{Holds: []macpool.Hold{{
			Holder: macpool.Holder{Object: object, Interface: iface}, Shared: flag, Since: since,
		}}}
		if replica != "" {
			e.Reservation = macpool.Reservation{Replica: replica, Since: since, Contested: flag}
		}
		written := row{first: macpool.MAC{2, 0, 0, 0, 0, 1}, last: 1, entry: e}
		again, err := parseRow(written.String())
		require.NoError(t, err, written)
		assert.Equal(t, written, again)
	})
}

func TestNeighboursThatWereReservedAtOnceHaveOneRow(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	b := macpool.NewBlock(macpool.Prefix{2, 0x4a, 0xbe})
	b.Reserve(256, everything(), "r1", since)
	const row, date = "02:4a:be:00:00:", " since=2026-01-02T03:04:05.000006Z"
	reads := func(rows ...string) {
		t.Helper()
		o := EncodeBlock(b)
		assert.Equal(t, rows, o.Rows)
		again, err := DecodeBlock(o)
		require.NoError(t, err)
		assert.True(t, b.Equal(again))
		assert.False(t, again.Lacking)
	}
	reads(row + "00-ff reserved replica=r1" + date)
	b.Set(b.Prefix.Address(0xff), macpool.Entry{})
	b.Contest(b.Prefix.Address(1))
	b.Set(b.Prefix.Address(3), macpool.Entry{})
	held := macpool.Claim{MAC: b.Prefix.Address(6), Holder: holderOf("vma", "net"), Replica: "r1", Since: since}
	require.NoError(t, b.Claim(held))
	b.Set(b.Prefix.Address(9), macpool.Entry{Reservation: macpool.Reservation{Replica: "r2", Since: since}})
	later := macpool.Reservation{Replica: "r1", Since: since.Add(time.Microsecond)}
	b.Set(b.Prefix.Address(12), macpool.Entry{Reservation: later})
	reads(
		row+"00 reserved replica=r1"+date,
		row+"01 reserved replica=r1"+date+" contested",
		row+"02 reserved replica=r1"+date,
		row+"04-05 reserved replica=r1"+date,
		row+"06 VirtualMachine default/vma interface=net"+date,
		row+"07-08 reserved replica=r1"+date,
		row+"09 reserved replica=r2"+date,
		row+"0a-0b reserved replica=r1"+date,
		row+"0c reserved replica=r1 since=2026-01-02T03:04:05.000007Z",
		row+"0d-fe reserved replica=r1"+date,
	)
}
