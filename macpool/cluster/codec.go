// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A noRowsError says that a block must have rows and shows none: the API server hides them, or somebody removed them.
type noRowsError struct{ block *v1alpha1.MACBlock }

func (e *noRowsError) Error() string {
	return fmt.Sprintf("MACBlock %s: %d addresses are held and %d reserved, but there are no rows: "+
		"apply the CRD of this release, or delete the block", e.block.Name, e.block.Held, e.block.Reserved)
}

// DecodeBlock reads a block from its API object. The error tells of rows that cannot be read. If their address can be,
// it is taken, and its row is written as it was read, one for each address; the others are left out. Two rows of one
// address are one with the holders of both. A block that has fewer addresses than it says, or fewer that are held, as
// somebody removed rows or changed the addresses of some, is Lacking. The block is nil if the object's name is no
// prefix, or if there must be rows and the API server shows none, as it does by the CRD of an earlier release.
func DecodeBlock(o *v1alpha1.MACBlock) (*macpool.Block, error) {
	prefix, err := macpool.ParsePrefix(o.Name)
	if err != nil {
		return nil, err
	}
	if len(o.Rows) == 0 && o.Addresses.Structures == nil && o.Held+o.Reserved > 0 {
		return nil, &noRowsError{o}
	}
	b := macpool.NewBlock(prefix)
	b.Version, b.ID = o.ResourceVersion, string(o.UID)
	var problems []error
	fail := func(err error) { problems = append(problems, fmt.Errorf("MACBlock %s: %w", o.Name, err)) }
	for _, text := range o.Rows {
		r, err := parseRow(text)
		if err == nil {
			err = take(b, r)
		} else {
			leaveUnread(b, r, text)
		}
		if err != nil {
			fail(err)
		}
	}
	for _, a := range o.Addresses.Structures {
		m, e, err := decodeEntry(a)
		if err == nil {
			err = take(b, row{first: m, last: m[5], entry: e})
		}
		if err != nil {
			fail(err)
		}
	}
	held, _ := b.Counts()
	b.Lacking = o.Addresses.Structures == nil &&
		(b.Len() < int(o.Held+o.Reserved) || held+b.Unread() < int(o.Held))
	return b, errors.Join(problems...)
}

// take sets the addresses of a row. Those that are set already get what the row says as well, which the error tells.
func take(b *macpool.Block, r row) error {
	if r.first.Prefix() != b.Prefix {
		return fmt.Errorf("address %s belongs to another block", r.first)
	}
	var err error
	for m := range r.addresses() {
		if !b.Entry(m).Free() {
			err = fmt.Errorf("address %s is listed twice", m)
		}
		b.Set(m, join(b.Entry(m), r.entry))
	}
	return err
}

// leaveUnread keeps those addresses of a row that cannot be read taken of which no other row tells.
func leaveUnread(b *macpool.Block, r row, text string) {
	if r.first.Prefix() != b.Prefix {
		return
	}
	for m := range r.addresses() {
		if b.Entry(m).Free() {
			b.Set(m, macpool.Entry{Unread: r.unread(m, text)})
		}
	}
}

// join returns an entry with the holders of two, and the reservation of the first that has one.
func join(e, other macpool.Entry) macpool.Entry {
	for _, h := range other.Holds {
		if _, ok := e.HoldOf(h.Object); !ok {
			e.Holds = append(e.Holds, h)
		}
	}
	e.Reservation = cmp.Or(e.Reservation, other.Reservation)
	return e
}

// decodeEntry reads a row of the release before this one.
func decodeEntry(a v1alpha1.MACAddress) (macpool.MAC, macpool.Entry, error) {
	var e macpool.Entry
	m, err := macpool.ParseMAC(a.Address)
	if err != nil {
		return m, e, fmt.Errorf("address %q %w", a.Address, err)
	}
	if len(a.Holders) > 0 {
		e.Holds = make([]macpool.Hold, 0, len(a.Holders))
	}
	for _, h := range a.Holders {
		e.Holds = append(e.Holds, macpool.Hold{
			Holder: macpool.Holder{
				Object: macpool.Object{
					Kind:         h.Kind,
					Namespace:    h.Namespace,
					Name:         h.Name,
					GenerateName: h.GenerateName,
					Claim:        h.Claim,
				},
				Interface: h.Interface,
			},
			Shared: h.Shared,
			Since:  dated(h.Since.Time),
		})
	}
	if r := a.Reservation; r != nil {
		e.Reservation = macpool.Reservation{Replica: r.Replica, Since: dated(r.Since.Time), Contested: r.Contested}
	}
	return m, e, nil
}

// EncodeBlock writes a block as its API object.
func EncodeBlock(b *macpool.Block) *v1alpha1.MACBlock {
	held, reserved := b.Counts()
	o := &v1alpha1.MACBlock{
		ObjectMeta: metav1.ObjectMeta{Name: b.Prefix.String(), ResourceVersion: b.Version},
		Prefix:     b.Prefix.Address(0).String()[:len("02:4a:be:00:00")],
		Held:       int32(held),
		Reserved:   int32(reserved),
	}
	for _, r := range rowsOf(b) {
		o.Rows = append(o.Rows, r.String())
	}
	return o
}

// dated is the date of a gift. One that somebody removed by hand is the same for all who read the block: the block
// could not be written again without.
func dated(since time.Time) time.Time {
	if since.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return since
}

// unreadReplica is in the place of whoever has an address whose row cannot be read, where a block is written as
// structures. No replica has the name, so a janitor looks who has the address before it is free.
const unreadReplica = "row-that-cannot-be-read"

// encodeStructures writes a block as its API object in the way that the release before this one can read.
func encodeStructures(b *macpool.Block) *v1alpha1.MACBlock {
	o := EncodeBlock(b)
	o.Rows, o.Addresses.Structures = nil, []v1alpha1.MACAddress{}
	for m, e := range b.Entries() {
		o.Addresses.Structures = append(o.Addresses.Structures, encodeEntry(m, e))
	}
	return o
}

func encodeEntry(m macpool.MAC, e macpool.Entry) v1alpha1.MACAddress {
	a := v1alpha1.MACAddress{Address: m.String()}
	for _, h := range e.Holds {
		a.Holders = append(a.Holders, v1alpha1.MACHolder{
			Kind: h.Kind, Namespace: h.Namespace, Name: h.Name, GenerateName: h.GenerateName, Claim: h.Claim,
			Interface: h.Interface, Shared: h.Shared, Since: metav1.NewMicroTime(h.Since),
		})
	}
	r := e.Reservation
	if e.Unread != "" {
		r = macpool.Reservation{Replica: unreadReplica, Since: dated(time.Time{})}
	}
	if r.Replica != "" {
		a.Reservation = &v1alpha1.MACReservation{
			Replica:   r.Replica,
			Since:     metav1.NewMicroTime(r.Since),
			Contested: r.Contested,
		}
	}
	return a
}
