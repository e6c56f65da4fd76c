// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// maxLooks is how many holders are looked for, at most, to say whether an exhausted pool will stay so: of those that
// have their addresses since a moment ago, and of the others.
const maxLooks = 16

// exhausted describes a pool that has nothing to lend where so many are needed. What is reserved, held by objects that
// were not there long enough to be known to exist, or by objects that are gone, may come back soon. It is another error
// where a holder could not be looked for: nothing is refused for good on what is remembered.
func (l *Ledger) exhausted(pool macpool.Pool, needed uint64) error {
	e := &macpool.ExhaustedError{Pool: pool.Name, Usage: l.Usage(pool), Needed: needed}
	ctx, cancel := context.WithTimeout(l.writer.ctx, flushTimeout)
	defer cancel()
	young, old := looks{ledger: l, left: maxLooks}, looks{ledger: l, left: maxLooks}
	for _, b := range l.cache.all() {
		for m, h := range b.Holds() {
			switch {
			case !pool.Set.Contains(m):
			case h.Name == "" || l.clock.Since(h.Seen) < l.Grace: // the janitor frees or names what has no name
				if !young.find(ctx, h, m, true) {
					l.noteYoung(e, h)
				}
			case e.Left == 0 && !old.find(ctx, h, m, false):
				e.Left++
			}
		}
	}
	if old.failed != nil && e.Left == 0 {
		return old.failed
	}
	return e
}

// noteYoung counts a hold whose object may never come to exist.
func (l *Ledger) noteYoung(e *macpool.ExhaustedError, h macpool.Hold) {
	after := max(0, l.Grace-l.clock.Since(h.Seen))
	if e.Young == 0 || after < e.After {
		e.After = after
	}
	e.Young++
}

// looks are a number of live reads that may be made to say something about a pool.
type looks struct {
	ledger *Ledger
	left   int
	failed error // the last one that did
}

// find reports whether a holder has an address. Where it cannot be known, a young one has not, and another has.
func (k *looks) find(ctx context.Context, h macpool.Hold, m macpool.MAC, young bool) bool {
	if h.Name == "" || k.left == 0 {
		return !young
	}
	k.left--
	has, err := k.ledger.has(ctx, h.Object, m)
	if err != nil {
		k.failed = err
		return !young
	}
	return has
}
