package macpool

import (
	"context"
	"maps"
)

// edit changes a block as the janitor sees fit and waits until that is written. A lazy edit waits for company.
func (l *Ledger) edit(ctx context.Context, p Prefix, lazy bool, alter func(*Block)) error {
	written := make(chan error, 1)
	l.enqueue(p, change{
		lazy:  lazy,
		apply: func(b *Block) error { alter(b); return nil },
		done:  func(_ *Block, err error) { written <- err },
	})
	select {
	case err := <-written:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// holdsOf are the holds of an object by address.
func (l *Ledger) holdsOf(o Object) map[MAC]Hold {
	holds := map[MAC]Hold{}
	for m := range maps.Keys(l.book.heldBy(o)) {
		if h, ok := l.book.block(m.Prefix()).Entry(m).HoldOf(o); ok {
			holds[m] = h
		}
	}
	return holds
}
