package macpool

import (
	"slices"
	"strings"
	"time"
)

// A settlement is what to do so that the ledger agrees with one object.
type settlement struct {
	// adopt are addresses the object has and does not hold.
	adopt map[MAC]string
	// release are holds on addresses the object does not have, old enough that it is not about to come into being.
	release map[MAC]Hold
	// recheck is when a hold that is too young to be released will be old enough; zero if there is none.
	recheck time.Duration
}

// settle compares the addresses that an object has with its holds.
func settle(has map[MAC]string, holds map[MAC]Hold, now time.Time, grace time.Duration) settlement {
	s := settlement{adopt: map[MAC]string{}, release: map[MAC]Hold{}}
	for m, iface := range has {
		if _, held := holds[m]; !held {
			s.adopt[m] = iface
		}
	}
	for m, hold := range holds {
		if _, there := has[m]; there {
			continue
		}
		if wait := grace - now.Sub(hold.Seen); wait > 0 {
			if s.recheck == 0 || wait < s.recheck {
				s.recheck = wait
			}
			continue
		}
		s.release[m] = hold
	}
	return s
}

// A stray is a hold whose object was not seen to have the address.
type stray struct {
	mac  MAC
	hold Hold
}

// strays are the holds, old enough that their object is not about to come into being, on addresses that it does not
// have.
func strays(blocks []*Block, has map[MAC][]Holder, now time.Time, grace time.Duration) []stray {
	var found []stray
	for _, b := range blocks {
		for m, e := range b.Entries() {
			for _, h := range e.Holds {
				there := slices.ContainsFunc(has[m], func(o Holder) bool { return o.Object == h.Object })
				if !there && now.Sub(h.Seen) >= grace {
					found = append(found, stray{mac: m, hold: h})
				}
			}
		}
	}
	return found
}

// Adopt makes an object that is known to have an address its holder, whoever else has it: admission was passed by, or
// the object was created by generateName and has got its name. A replica that has reserved the address keeps the
// reservation until it notices.
func (b *Block) Adopt(m MAC, to Holder, now time.Time) {
	e := b.Entry(m)
	if _, held := e.HoldOf(to.Object); held {
		return
	}
	for _, h := range e.Holds {
		if h.nameless(to.Object) {
			b.Rename(m, h, to)
			return
		}
	}
	e.Holds = append(append([]Hold{}, e.Holds...), Hold{Holder: to, Since: now})
	b.set(m, e)
}

// nameless says whether the hold is of an object created by generateName that may be o.
func (h Hold) nameless(o Object) bool {
	return h.Name == "" && h.GenerateName != "" && h.Kind == o.Kind && h.Namespace == o.Namespace &&
		strings.HasPrefix(o.Name, h.GenerateName)
}

// Settle ends the reservations of a replica that is dead: its addresses go to those who have them, the others become
// free.
func (b *Block) Settle(replica string, has map[MAC][]Holder, now time.Time) {
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

// A watchman notices which replicas have stopped renewing their Leases, on this process's own clock: what a Lease says
// of time is only compared with what it said before.
type watchman struct {
	patience time.Duration
	seen     map[string]pulse
}

type pulse struct {
	renewal string
	at      time.Time
}

// dead takes in the renewals of all Leases that exist now, by replica, and the replicas that have reservations, and
// returns those of the latter whose Lease has not changed, or has been missing, for as long as the patience.
func (w *watchman) dead(renewals map[string]string, reserving map[string]bool, now time.Time) []string {
	next := map[string]pulse{}
	var dead []string
	for replica := range reserving {
		renewal := renewals[replica]
		last, known := w.seen[replica]
		if !known || last.renewal != renewal {
			last = pulse{renewal: renewal, at: now}
		}
		next[replica] = last
		if now.Sub(last.at) >= w.patience {
			dead = append(dead, replica)
		}
	}
	w.seen = next
	return dead
}
