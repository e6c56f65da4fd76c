// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

const (
	// batchDelay is how long a change that nobody waits for waits for company.
	batchDelay = 100 * time.Millisecond
	// busyDelay is how long it waits where at least busyChanges have come by then, unless there are fullBatch before.
	busyDelay   = 2 * time.Second
	busyChanges = 4
	fullBatch   = 256
)

// flushTimeout bounds one attempt to write a batch. It is shorter than the time-out of the webhook, so that a request
// learns of the failure.
const flushTimeout = 4 * time.Second

// minRetry and maxRetry bound the pause before the next write of a block of which one has failed: it doubles each time.
const minRetry, maxRetry = batchDelay, busyDelay

// maxConflicts is how often a batch is decided again because the block changed before it was written.
const maxConflicts = 32

// A change is one alteration of a block, to be made together with others in one write.
type change struct {
	// apply alters a copy of the block or, returning an error, leaves it as it is. It is called again, on a newer state,
	// if the block turns out to have changed.
	apply func(*macpool.Block) error
	// lazy changes wait for others, up to busyDelay; unless once is set they are tried again until they are written.
	lazy bool
	// soon is true for lazy changes that wait no longer than batchDelay.
	soon bool
	// once is true for lazy changes that are not tried again.
	once bool
	// alone is true for lazy changes that no company is worth waiting for. They wait only after a write that failed.
	alone bool
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

	mu      sync.Mutex // guards what follows, unless it says otherwise
	queue   []change
	running bool
	pause   time.Duration // until the next write, if the last one has failed; run's alone
	urgent  chan struct{} // made once
}

// add queues a change and returns at once.
func (c *committer) add(ctx context.Context, ch change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, ch)
	if !ch.lazy || ch.alone || len(c.queue) >= fullBatch {
		c.hurryLocked()
	}
	if !c.running {
		c.running = true
		go c.run(ctx)
	}
}

// hurry makes the queued changes go now.
func (c *committer) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) > 0 {
		c.hurryLocked()
	}
}

func (c *committer) hurryLocked() {
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
	if c.pause > 0 {
		c.rest(ctx)
	} else {
		for waited := batchDelay; c.wait(ctx, batchDelay) && waited < busyDelay && c.busy(waited > batchDelay); {
			waited += batchDelay
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.urgent: // for changes that are in this batch
	default:
	}
	batch := c.queue
	c.queue = nil
	return batch
}

// rest lets the pause after a write that failed go by. A change that somebody waits for ends it.
func (c *committer) rest(ctx context.Context) {
	select {
	case <-c.urgent: // for changes that failed, and for as many more
	default:
	}
	c.mu.Lock()
	awaited := slices.ContainsFunc(c.queue, func(ch change) bool { return !ch.lazy })
	c.mu.Unlock()
	if !awaited {
		c.wait(ctx, c.pause)
	}
}

// wait returns after d, or false as soon as something is urgent.
func (c *committer) wait(ctx context.Context, d time.Duration) bool {
	timer := c.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
		return true
	case <-c.urgent:
	case <-ctx.Done():
	}
	return false
}

// busy reports whether so many changes have come that more company is worth waiting for, which none of them forbids.
// One that is not tried again does not once a crowd is being waited for: whoever needs it meanwhile hurries the write.
func (c *committer) busy(already bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	forbids := func(ch change) bool { return ch.soon && (!already || !ch.once) }
	return len(c.queue) >= busyChanges && !slices.ContainsFunc(c.queue, forbids)
}

// flush makes a batch of changes in one write. Lazy changes that could not be written are queued again. Where the block
// would be too large with all of them, each is written by itself, and one that has no room even then is given up: its
// address stays reserved for this replica, which remembers whom it was lent to.
func (c *committer) flush(ctx context.Context, batch []change) {
	before := c.pause
	flushCtx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	written, verdicts, err := c.write(flushCtx, batch)
	if c.pause = 0; err != nil {
		c.pause = min(maxRetry, max(minRetry, 2*before))
	}
	noRoom := errors.Is(err, macpool.ErrTooLarge)
	if noRoom && len(batch) > 1 {
		for i := range batch {
			c.flush(ctx, batch[i:i+1])
		}
		return
	}
	for i, ch := range batch {
		switch {
		case err != nil && ch.lazy && !ch.once && !noRoom && ctx.Err() == nil:
			c.add(ctx, ch)
		case err != nil:
			ch.done(nil, err)
		default:
			ch.done(written, verdicts[i])
		}
	}
}

// write applies the batch to the block, on newer and newer states until one is written, and returns that state with
// the error of each change. What was lost with a block that somebody deleted is written back with it.
func (c *committer) write(ctx context.Context, batch []change) (*macpool.Block, []error, error) {
	current, lost := c.cache.base(c.prefix)
	live := false
	for range maxConflicts {
		next := current.Clone()
		next.Lacking = false
		if lost != nil {
			next.Restore(lost)
		}
		verdicts := make([]error, len(batch))
		for i, ch := range batch {
			verdicts[i] = ch.apply(next)
		}
		// What the cache says may be old: nothing is refused on its word alone.
		refused := errors.Join(verdicts...) != nil
		if !refused || live {
			written, err := c.put(ctx, current, next)
			if err == nil {
				c.cache.found(c.prefix, lost)
				return written, verdicts, nil
			}
			if ctx.Err() != nil || !errors.Is(err, macpool.ErrConflict) {
				return nil, nil, err
			}
		}
		fresh, err := c.look(ctx)
		if err != nil {
			return nil, nil, err
		}
		_, lost = c.cache.base(c.prefix)
		current, live = fresh, true
	}
	return nil, nil, fmt.Errorf("write MACBlock %s, which changed %d times meanwhile: %w",
		c.prefix, maxConflicts, macpool.ErrConflict)
}

// look reads the block from the store.
func (c *committer) look(ctx context.Context) (*macpool.Block, error) {
	known := c.cache.block(c.prefix).Version
	fresh, err := c.store.Get(ctx, c.prefix)
	if err != nil {
		return nil, err
	}
	c.onVersions(c.prefix, known, fresh.Version)
	if err := c.awaitWatch(ctx, fresh); err != nil {
		return nil, err
	}
	if fresh.Version == "" {
		c.cache.forget(c.prefix, known)
	}
	c.learn(fresh)
	return fresh, nil
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
