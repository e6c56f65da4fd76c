// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"slices"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// reusing answers a request, with the addresses that its object leaves where the pool has no others. They stay with
// their holder, which is the same whether the change comes to be or not.
func (l *Ledger) reusing(
	ctx context.Context, r macpool.Request, answer func(context.Context, macpool.Request) (macpool.Grant, error),
) (macpool.Grant, error) {
	grant, err := answer(ctx, r)
	var exhausted *macpool.ExhaustedError
	if !errors.As(err, &exhausted) || !l.reuse(&r) {
		return grant, err
	}
	again, failed := answer(ctx, r)
	if taken := (*macpool.TakenError)(nil); errors.As(failed, &taken) { // nobody asked for that one
		return grant, err
	}
	return again, failed
}

// reuse has interfaces that ask for any address ask for those that the object leaves and holds alone, and reports
// whether there are any.
func (l *Ledger) reuse(r *macpool.Request) bool {
	known, held := l.recall(*r), l.cache.heldBy(r.Holder)
	left := slices.DeleteFunc(slices.Clone(r.Left), func(m macpool.MAC) bool {
		_, holds := held[m]
		asked := slices.ContainsFunc(r.Asks, func(a macpool.Ask) bool { return a.MAC == m || known[a.Interface] == m })
		return !holds || asked || !r.Pool.Set.Contains(m) || slices.Contains(r.Kept, m) ||
			len(l.cache.block(m.Prefix()).Entry(m).Holds) > 1
	})
	r.Asks = slices.Clone(r.Asks)
	reused := false
	for i := range r.Asks {
		a := &r.Asks[i]
		had, again := known[a.Interface]
		switch {
		case a.MAC != (macpool.MAC{}):
		case again: // by another replica, perhaps, since it was asked for here
			reused = reused || slices.Contains(r.Left, had)
		case len(left) > 0:
			a.MAC, a.Own, left, reused = left[0], true, left[1:], true
		}
	}
	return reused
}
