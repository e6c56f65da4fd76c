// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"time"
)

// A leaseMonitor notices which replicas have stopped renewing their Leases, on this process's own clock: what a Lease
// says of time is only compared with what it said before.
type leaseMonitor struct {
	patience time.Duration
	seen     map[string]pulse
}

type pulse struct {
	renewal string
	at      time.Time
}

// dead takes in the renewals of all Leases that exist now, by replica, and the replicas that have reservations, and
// returns those of the latter whose Lease has not changed, or has been missing, for as long as the patience.
func (w *leaseMonitor) dead(renewals map[string]string, reserving map[string]bool, now time.Time) []string {
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
