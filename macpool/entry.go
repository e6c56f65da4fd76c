// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"slices"
	"time"
)

// A Reservation sets an address aside for one replica, which alone may lend it. The zero Reservation is none.
type Reservation struct {
	// Replica is the name of the Lease the replica renews.
	Replica string
	Since   time.Time
	// Contested is true when somebody asked for this very address: the replica gives it up unless it has lent it.
	Contested bool
}

// Same reports whether two reservations are one.
func (r Reservation) Same(other Reservation) bool {
	return r.Replica == other.Replica && r.Contested == other.Contested && r.Since.Equal(other.Since)
}

// An Entry is the state of one address. The zero Entry is free. An entry may be held and reserved at once, while a
// replica that lent the address has yet to drop its reservation, or when somebody took the address past admission.
type Entry struct {
	Holds       []Hold
	Reservation Reservation
	// Unread is the stored text of an address that could not be read, empty for others. Somebody has the address, and
	// the text stays as it is until it turns out who.
	Unread string
}

// Free reports whether nobody has a claim to the address.
func (e Entry) Free() bool {
	return len(e.Holds) == 0 && e.Reservation.Replica == "" && e.Unread == ""
}

// LendableBy reports whether the address is reserved for the replica, and for nothing else.
func (e Entry) LendableBy(replica string) bool {
	return replica != "" && e.Reservation.Replica == replica && !e.Reservation.Contested && len(e.Holds) == 0
}

// HoldOf returns the hold of an object on the address, if it has one.
func (e Entry) HoldOf(o Object) (Hold, bool) {
	i := slices.IndexFunc(e.Holds, func(h Hold) bool { return h.Object == o })
	if i < 0 {
		return Hold{}, false
	}
	return e.Holds[i], true
}

// HeldBeside reports whether somebody else than an object, and the instance that it runs, holds the address.
func (e Entry) HeldBeside(o Object) bool {
	return slices.ContainsFunc(e.Holds, func(h Hold) bool { return h.Object != o && !h.isInstanceOf(o) })
}

// A gift is a hold or a reservation by whom it was given to, and when.
type gift struct {
	to      Object
	replica string
	since   int64 // in microseconds
}

func (e Entry) gifts() []gift {
	var all []gift
	for _, h := range e.Holds {
		all = append(all, gift{to: h.Object, since: h.Since.UnixMicro()})
	}
	if r := e.Reservation; r.Replica != "" {
		all = append(all, gift{replica: r.Replica, since: r.Since.UnixMicro()})
	}
	return all
}

// standsIn reports whether an address is not free for others than the holder of a gift: it holds the address, or the
// address that was reserved is somebody's.
func (g gift) standsIn(e Entry) bool {
	if g.replica != "" {
		return !e.Free()
	}
	_, held := e.HoldOf(g.to)
	return held
}
