// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"slices"
	"time"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A correction is what to do so that the ledger agrees with one object.
type correction struct {
	// adopt are addresses the object has and does not hold.
	adopt map[macpool.MAC]string
	// release are holds on addresses the object does not have, old enough that it is not about to come into being.
	release map[macpool.MAC]macpool.Hold
	// recheck is when a hold that is too young to be released will be old enough; zero if there is none.
	recheck time.Duration
}

// compare compares the addresses that an object has with its holds.
func compare(
	has map[macpool.MAC]string, holds map[macpool.MAC]macpool.Hold, now time.Time, grace time.Duration,
) correction {
	s := correction{adopt: map[macpool.MAC]string{}, release: map[macpool.MAC]macpool.Hold{}}
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

// unheld returns the objects that have an address and do not hold it.
func unheld(blocks []*macpool.Block, has map[macpool.MAC][]macpool.Holder) map[macpool.Object]bool {
	byPrefix := map[macpool.Prefix]*macpool.Block{}
	for _, b := range blocks {
		byPrefix[b.Prefix] = b
	}
	found := map[macpool.Object]bool{}
	for m, holders := range has {
		var e macpool.Entry
		if b := byPrefix[m.Prefix()]; b != nil {
			e = b.Entry(m)
		}
		for _, h := range holders {
			if _, held := e.HoldOf(h.Object); !held {
				found[h.Object] = true
			}
		}
	}
	return found
}

// A stray is a hold whose object was not seen to have the address.
type stray struct {
	mac  macpool.MAC
	hold macpool.Hold
}

// strays returns the holds, old enough that their object is not about to come into being, on addresses that it does not
// have. Nothing is said of kinds that are not seen now.
func strays(
	blocks []*macpool.Block, has map[macpool.MAC][]macpool.Holder, unseen map[string]bool, now time.Time,
	grace time.Duration,
) []stray {
	var found []stray
	for _, b := range blocks {
		for m, h := range b.Holds() {
			there := slices.ContainsFunc(has[m], func(o macpool.Holder) bool { return o.Object == h.Object })
			if !there && !unseen[h.Kind] && now.Sub(h.Seen) >= grace {
				found = append(found, stray{mac: m, hold: h})
			}
		}
	}
	return found
}
