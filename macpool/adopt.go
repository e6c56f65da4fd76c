// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

const (
	// maxInterface is how much of the name of an interface is recorded of an object that passed admission by, in bytes.
	maxInterface = 253
	// maxBeside is how many holders of that kind a block records beside the first of each address.
	maxBeside = 1024
)

// Adopt makes an object that is known to have an address its holder, whoever else has it: admission was passed by, or
// the object was created by generateName and has got its name. A replica that has reserved the address keeps the
// reservation until it notices. What would make the block too large to be stored is left out: the end of a long name,
// and holders that come when there are many already. The address is taken all the same.
func (b *Block) Adopt(m MAC, to Holder, now time.Time) {
	to.Interface = to.Interface[:min(len(to.Interface), maxInterface)]
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
	if len(e.Holds) > 0 && b.counts.holds-b.counts.held >= maxBeside {
		return
	}
	e.Holds = append(append([]Hold{}, e.Holds...), Hold{Holder: to, Since: now})
	b.Set(m, e)
}

const (
	// maxGenerated is how much of a generateName the API server makes a name of: the first 58 bytes, before as many random
	// characters as randomLength, which are among those of randomOf (k8s.io/apiserver/pkg/storage/names).
	maxGenerated = 58
	randomLength = 5
	randomOf     = "bcdfghjklmnpqrstvwxz2456789"
)

// Becomes reports whether an object created by generateName may be the named one, now that it has its name.
func (o Object) Becomes(named Object) bool {
	return o.Name == "" && o.GenerateName != "" && o.Kind == named.Kind && o.Namespace == named.Namespace &&
		strings.HasPrefix(named.Name, begin(o.GenerateName))
}

// NameIsGenerated reports whether the API server made the name of an object with this generateName: no other object has
// it again. The controller of StatefulSets sets both, and makes the next pod by the same name.
func NameIsGenerated(name, generateName string) bool {
	random, ok := strings.CutPrefix(name, begin(generateName))
	return ok && generateName != "" && len(random) == randomLength && strings.Trim(random, randomOf) == ""
}

// begin returns what the names begin with that the API server makes of a generateName.
func begin(generateName string) string { return generateName[:min(len(generateName), maxGenerated)] }

// EndReservations ends the reservations of a replica that is dead: its addresses go to those who have them, the others
// become free. Those that are not in has were not looked for, and stay.
func (b *Block) EndReservations(replica string, has map[MAC][]Holder, now time.Time) {
	for m, e := range b.Clone().Entries() {
		holders, looked := has[m]
		if e.Reservation.Replica != replica || !looked {
			continue
		}
		for _, holder := range holders {
			b.Adopt(m, holder, now)
		}
		b.Unreserve(m, replica)
	}
}

// Restore takes in what a block had before somebody deleted it. Whoever held an address then still has it, and what a
// replica had reserved it may have lent; what others were given since, on the block that was thought to be empty, they
// keep as well.
func (b *Block) Restore(lost *Block) {
	for m, was := range lost.Entries() {
		e := b.Entry(m)
		if e.Free() {
			b.Set(m, was)
			continue
		}
		e.Holds = slices.Clone(e.Holds)
		for _, h := range was.Holds {
			if _, held := e.HoldOf(h.Object); !held {
				e.Holds = append(e.Holds, h)
			}
		}
		e.Reservation = cmp.Or(e.Reservation, was.Reservation)
		b.Set(m, e)
	}
}

// Moved returns what an earlier state of the block had at addresses whose rows somebody gave to other addresses since:
// a gift of the same date is at an address now where it was not, and its own has none of that holder. It is nil where
// there is none. Nothing but a person moves a gift, which is of one address.
func (b *Block) Moved(before *Block) *Block {
	came := map[gift]bool{}
	for suffix, e := range b.entries {
		was := before.entries[suffix].gifts()
		for _, g := range e.gifts() {
			if !slices.Contains(was, g) {
				came[g] = true
			}
		}
	}
	if len(came) == 0 {
		return nil
	}
	var moved *Block
	for m, was := range before.Entries() {
		now := b.Entry(m)
		gone := slices.ContainsFunc(was.gifts(), func(g gift) bool { return came[g] && !g.standsIn(now) })
		if !gone {
			continue
		}
		if moved == nil {
			moved = NewBlock(b.Prefix)
		}
		moved.Set(m, was)
	}
	return moved
}
