package macpool

import (
	"slices"
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
