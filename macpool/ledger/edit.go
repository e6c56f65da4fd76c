// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"maps"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// Edit changes a block as the janitor sees fit and waits until that is written.
func (l *Ledger) Edit(ctx context.Context, p macpool.Prefix, alter func(*macpool.Block)) error {
	written := make(chan error, 1)
	l.writer.enqueue(p, change{
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

// EditLater changes a block as the janitor sees fit together with others, soon if somebody may wait for it, and returns
// at once. It is tried until it succeeds; done is called then, or with an error when the ledger ends before.
func (l *Ledger) EditLater(p macpool.Prefix, soon bool, alter func(*macpool.Block), done func(error)) {
	l.writer.enqueue(p, change{
		lazy: true, soon: soon,
		apply: func(b *macpool.Block) error { alter(b); return nil },
		done:  func(_ *macpool.Block, err error) { done(err) },
	})
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
