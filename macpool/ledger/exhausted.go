// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

const (
	// maxLooks is how many of those that have their addresses since a moment ago, and how many blocks, are looked at, at
	// most, to say whether an exhausted pool will stay so. Those who have addresses are looked at for no longer than half
	// of patience: who asks is to hear that the pool is exhausted before the webhook's time is up.
	maxLooks = 16
	// maxOldLooks is the same for those that have theirs for longer: each is one that somebody may have deleted.
	// They are looked at for no longer than patience.
	maxOldLooks = 64
	// seenFor is how long it is remembered that a holder was seen to have its address.
	seenFor = time.Minute
	// refusedFor is how long it is remembered that somebody was refused for now: clients ask again before.
	refusedFor = 15 * time.Second
)

// An exhaustion is a pool that has nothing to lend. Whether that is final depends on who asks, and since when: for who
// came before a holder was looked for, see refusalLocked.
type exhaustion struct {
	macpool.ExhaustedError
	// seen is when each of the holders, but for those that may never have existed, was last seen to have its address,
	// ascending; zero for those that were not looked for lately.
	seen []time.Time
}

// A tenant is an object and an address that it holds.
type tenant struct {
	macpool.Object
	mac macpool.MAC
}

// A sighting is when a tenant was last seen to have its address.
type sighting struct {
	tenant
	at time.Time
}

// A refusal is since when somebody asks in vain, and when it did last.
type refusal struct{ since, last time.Time }

// exhausted describes a pool that has nothing to lend. What is reserved, held by objects that were not there long
// enough to be known to exist, or by objects that are gone, may come back soon. It is another error where a holder
// could not be looked for: nothing is refused for good on what is remembered. What is the own of who asks is neither
// used nor about to come back.
func (l *Ledger) exhausted(pool macpool.Pool, own ...tenant) error {
	e := &exhaustion{ExhaustedError: macpool.ExhaustedError{Pool: pool.Name, Usage: l.Usage(pool)}}
	ctx, cancel := context.WithTimeout(l.writer.ctx, flushTimeout)
	defer cancel()
	looking, enough := context.WithTimeout(ctx, patience/2)
	defer enough()
	looks := maxLooks
	var old []tenant
	young := map[macpool.MAC]bool{} // several may have one address, which comes back once
	for _, b := range l.cache.all() {
		if b.HasUnread(pool.Set) {
			e.Unreadable = append(e.Unreadable, b.Prefix)
		}
		for m, h := range b.Holds() {
			switch {
			case !pool.Set.Contains(m):
			case slices.Contains(own, tenant{Object: h.Object, mac: m}):
				e.Used -= min(e.Used, 1)
			case h.Name == "" || l.clock.Since(h.Seen) < l.Grace: // the janitor frees or names what has no name
				if !young[m] && !l.isThere(looking, h.Object, m, &looks) {
					young[m] = true
					l.noteYoung(&e.ExhaustedError, h)
				}
			default:
				old = append(old, tenant{Object: h.Object, mac: m})
			}
		}
	}
	slices.SortFunc(e.Unreadable, func(a, b macpool.Prefix) int { return bytes.Compare(a[:], b[:]) })
	if err := l.lookForOld(ctx, e, old); err != nil {
		return err
	}
	return e
}

// lookForOld looks whether tenants still have their addresses: those first that were not looked for for the longest
// time, so that who asks again and again has all of them looked for.
func (l *Ledger) lookForOld(ctx context.Context, e *exhaustion, old []tenant) error {
	var failed error
	begun := time.Now()
	for i, s := range l.sightings(old) {
		if now := time.Now(); e.Left == 0 && i < maxOldLooks && now.Sub(begun) < patience {
			switch has, err := l.has(ctx, s.Object, s.mac); {
			case err != nil:
				failed = err
			case has:
				s.at = now
				l.noteSeen(s)
			default:
				e.Left++
			}
		}
		e.seen = append(e.seen, s.at)
	}
	slices.SortFunc(e.seen, time.Time.Compare)
	if e.Left > 0 {
		return nil
	}
	return failed
}

// isThere reports whether a young holder has an address. Where it cannot be known, or after so many looks or so much
// time, it has not.
func (l *Ledger) isThere(ctx context.Context, o macpool.Object, m macpool.MAC, looks *int) bool {
	if o.Name == "" || *looks == 0 || ctx.Err() != nil {
		return false
	}
	*looks--
	has, err := l.has(ctx, o, m)
	return err == nil && has
}

// sightings returns when tenants were last seen to have their addresses, those first that were not lately.
func (l *Ledger) sightings(of []tenant) []sighting {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.memory.seen, func(_ tenant, at time.Time) bool { return time.Since(at) > seenFor })
	found := make([]sighting, 0, len(of))
	for _, t := range of {
		found = append(found, sighting{tenant: t, at: l.memory.seen[t]})
	}
	slices.SortFunc(found, func(a, b sighting) int { return a.at.Compare(b.at) })
	return found
}

func (l *Ledger) noteSeen(s sighting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.memory.seen[s.tenant] = s.at
}

// refusalLocked returns the refusal of an object that asks for so many addresses of an exhausted pool, and came then.
// It is final only if every holder was seen to have its address since the object asked first: clients that are told to
// try again do, and each time others are looked for.
func (l *Ledger) refusalLocked(
	e *exhaustion, o macpool.Object, needed uint64, came time.Time,
) *macpool.ExhaustedError {
	now := time.Now()
	maps.DeleteFunc(l.memory.refused, func(_ macpool.Object, r refusal) bool { return now.Sub(r.last) > refusedFor })
	o.Claim = "" // each attempt has another
	r, again := l.memory.refused[o]
	if !again {
		r.since = came
	}
	r.last = now
	own := e.ExhaustedError
	own.Needed = needed
	unseen, _ := slices.BinarySearchFunc(e.seen, r.since, time.Time.Compare)
	own.Unseen = uint64(unseen)
	if unseen > 0 {
		l.memory.refused[o] = r
	} else {
		delete(l.memory.refused, o)
	}
	return &own
}

// noteYoung counts a hold whose object may never come to exist.
func (l *Ledger) noteYoung(e *macpool.ExhaustedError, h macpool.Hold) {
	after := max(0, l.Grace-l.clock.Since(h.Seen))
	if e.Young == 0 || after < e.After {
		e.After = after
	}
	e.Young++
}
