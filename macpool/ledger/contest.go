// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// claimOrContest writes a claim. An address that another replica has reserved is asked for first.
func (l *Ledger) claimOrContest(ctx context.Context, c *macpool.Claim) (renewal bool, err error) {
	began := l.clock.Now()
	renewal, err = l.tryClaim(ctx, c)
	var reserved *macpool.ReservedError
	if errors.As(err, &reserved) {
		return l.contest(ctx, c, began)
	}
	return renewal, err
}

// contest asks the replica that reserved an address for it, and waits a moment for the outcome: the replica records
// whom it lent the address to, or gives it up. The store said after began that nobody holds the address.
func (l *Ledger) contest(ctx context.Context, c *macpool.Claim, began time.Time) (renewal bool, err error) {
	m := c.MAC
	l.writer.enqueue(
		m.Prefix(),
		change{apply: func(b *macpool.Block) error { b.Contest(m); return nil }, done: func(*macpool.Block, error) {}},
	)
	deadline := l.clock.NewTimer(contestFor)
	defer deadline.Stop()
	for {
		changed := l.cache.change()
		if e := l.cache.block(m.Prefix()).Entry(m); e.Reservation.Replica == "" || len(e.Holds) > 0 {
			if l.takeAnswer(e, *c, began) {
				return true, nil
			}
			renewal, err = l.tryClaim(ctx, c)
			var reserved *macpool.ReservedError
			if !errors.As(err, &reserved) {
				return renewal, err
			}
		}
		select {
		case <-changed:
		case <-deadline.C():
			return false, &macpool.BusyError{
				MAC:   m,
				After: time.Second,
				Why:   "is set aside for automatic assignment and is being released",
			}
		case <-ctx.Done():
			return false, fmt.Errorf("wait for %s: %w", m, ctx.Err())
		}
	}
}

// takeAnswer reports whether the replica that was asked has recorded that it lent the address to the very interface
// that asks. Such a hold was written after began and is as good as one that this replica wrote then: it is remembered
// as such and not renewed. A second look at a creation is not answered so: it uses the hold up.
func (l *Ledger) takeAnswer(e macpool.Entry, c macpool.Claim, began time.Time) bool {
	replica, ok := l.lease.Replica()
	hold, held := e.HoldOf(c.Holder.Object)
	if !ok || c.Again || !held || hold.Interface != c.Holder.Interface {
		return false
	}
	c.Replica, c.Since = replica, hold.Since
	l.noteRecorded(c, began)
	return true
}
