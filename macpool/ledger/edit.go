// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"maps"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// Edit changes a block as the janitor sees fit and waits until that is written. A lazy edit waits for company.
func (l *Ledger) Edit(ctx context.Context, p macpool.Prefix, lazy bool, alter func(*macpool.Block)) error {
	written := make(chan error, 1)
	l.writer.enqueue(p, change{
		lazy:  lazy,
		apply: func(b *macpool.Block) error { alter(b); return nil },
		done:  func(_ *macpool.Block, err error) { written <- err },
	})
	select {
	case err := <-written:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// HoldsOf returns the holds of an object by address.
func (l *Ledger) HoldsOf(o macpool.Object) map[macpool.MAC]macpool.Hold {
	holds := map[macpool.MAC]macpool.Hold{}
	for m := range maps.Keys(l.cache.heldBy(o)) {
		if h, ok := l.cache.block(m.Prefix()).Entry(m).HoldOf(o); ok {
			holds[m] = h
		}
	}
	return holds
}
