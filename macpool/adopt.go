// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"strings"
	"time"
)

// Adopt makes an object that is known to have an address its holder, whoever else has it: admission was passed by, or
// the object was created by generateName and has got its name. A replica that has reserved the address keeps the
// reservation until it notices.
func (b *Block) Adopt(m MAC, to Holder, now time.Time) {
	e := b.Entry(m)
	if _, held := e.HoldOf(to.Object); held {
		return
	}
	for _, h := range e.Holds {
		if h.Becomes(to.Object) {
			b.Rename(m, h, to)
			return
		}
	}
	e.Holds = append(append([]Hold{}, e.Holds...), Hold{Holder: to, Since: now})
	b.Set(m, e)
}

// Becomes reports whether an object created by generateName may be the named one, now that it has its name.
func (o Object) Becomes(named Object) bool {
	return o.Name == "" && o.GenerateName != "" && o.Kind == named.Kind && o.Namespace == named.Namespace &&
		strings.HasPrefix(named.Name, o.GenerateName)
}

// EndReservations ends the reservations of a replica that is dead: its addresses go to those who have them, the others
// become free.
func (b *Block) EndReservations(replica string, has map[MAC][]Holder, now time.Time) {
	for m, e := range b.Clone().Entries() {
		if e.Reservation.Replica != replica {
			continue
		}
		for _, holder := range has[m] {
			b.Adopt(m, holder, now)
		}
		b.Unreserve(m, replica)
	}
}
