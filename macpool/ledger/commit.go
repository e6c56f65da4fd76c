// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// batchDelay is how long a change that nobody waits for may wait for company.
const batchDelay = 100 * time.Millisecond

// flushTimeout bounds one attempt to write a batch. It is shorter than the time-out of the webhook, so that a request
// learns of the failure.
const flushTimeout = 4 * time.Second

// maxConflicts is how often a batch is decided anew because the block changed before it was written.
const maxConflicts = 32

// A change is one alteration of a block, to be made together with others in one write.
type change struct {
	// apply alters a copy of the block or, returning an error, leaves it as it is. It is called again, on a newer state,
	// if the block turns out to have changed.
	apply func(*macpool.Block) error
	// lazy changes wait up to batchDelay for others; they are tried again until they are written.
	lazy bool
	// done is called once, with the block as written, or with the error of apply or of the write.
	done func(*macpool.Block, error)
}

// A committer writes the changes of one block, as many in one write as have gathered (group commit).
type committer struct {
	prefix macpool.Prefix
	store  Store
	cache  *blockCache
	clock  clock.Clock
	onNews func(*macpool.Block)
	// onVersions is told of a version that the store has after it had another.
	onVersions func(p macpool.Prefix, before, now string)

	mu      sync.Mutex
	queue   []change
	running bool
	urgent  chan struct{}
}

// add queues a change and returns at once.
func (c *committer) add(ctx context.Context, ch change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, ch)
	if !ch.lazy {
		c.hurry()
	}
	if !c.running {
		c.running = true
		go c.run(ctx)
	}
}

// hurry makes the queued changes go now.
func (c *committer) hurry() {
	select {
	case c.urgent <- struct{}{}:
	default:
	}
}

func (c *committer) run(ctx context.Context) {
	for {
		batch := c.next(ctx)
		if batch == nil {
			return
		}
		c.flush(ctx, batch)
	}
}

// next waits until a write is due and returns its changes; nil when there is nothing left to do.
func (c *committer) next(ctx context.Context) []change {
	c.mu.Lock()
	if len(c.queue) == 0 {
		c.running = false
		c.mu.Unlock()
		return nil
	}
	c.mu.Unlock()
	timer := c.clock.NewTimer(batchDelay)
	defer timer.Stop()
	select {
	case <-c.urgent:
	case <-timer.C():
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	batch := c.queue
	c.queue = nil
	return batch
}

// flush makes a batch of changes in one write. Lazy changes that could not be written are queued again.
func (c *committer) flush(ctx context.Context, batch []change) {
	flushCtx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	written, verdicts, err := c.write(flushCtx, batch)
	for i, ch := range batch {
		switch {
		case err != nil && ch.lazy && ctx.Err() == nil:
			c.add(ctx, ch)
		case err != nil:
			ch.done(nil, err)
		default:
			ch.done(written, verdicts[i])
		}
	}
}

// write applies the batch to the block, on newer and newer states until one is written, and returns that state with
// the error of each change.
func (c *committer) write(ctx context.Context, batch []change) (*macpool.Block, []error, error) {
	current, live := c.cache.block(c.prefix), false
	for range maxConflicts {
		next := current.Clone()
		verdicts := make([]error, len(batch))
		for i, ch := range batch {
			verdicts[i] = ch.apply(next)
		}
		// What the cache says may be old: nothing is refused on its word alone.
		refused := errors.Join(verdicts...) != nil
		if !refused || live {
			written, err := c.put(ctx, current, next)
			if err == nil {
				return written, verdicts, nil
			}
			if ctx.Err() != nil || !errors.Is(err, macpool.ErrConflict) {
				return nil, nil, err
			}
		}
		known := c.cache.block(c.prefix).Version
		fresh, err := c.store.Get(ctx, c.prefix)
		if err != nil {
			return nil, nil, err
		}
		c.onVersions(c.prefix, known, fresh.Version)
		c.learn(fresh)
		current, live = fresh, true
	}
	return nil, nil, fmt.Errorf("write MACBlock %s, which changed %d times meanwhile: %w",
		c.prefix, maxConflicts, macpool.ErrConflict)
}

func (c *committer) put(ctx context.Context, current, next *macpool.Block) (*macpool.Block, error) {
	if next.Equal(current) {
		return current, nil
	}
	written, err := c.store.Put(ctx, next)
	if err != nil {
		return nil, err
	}
	c.onVersions(c.prefix, current.Version, written.Version)
	c.learn(written)
	return written, nil
}

func (c *committer) learn(b *macpool.Block) {
	if b.Version != "" && c.cache.put(b.Clone()) {
		c.onNews(b)
	}
}
