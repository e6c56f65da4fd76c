// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"sync"

	"k8s.io/utils/clock"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A writer has changes of blocks written, each block by a committer of its own, and knows when nothing is left to be
// written. Its methods take its own mutex and never wait for the store, so that they may be called with the ledger's
// mutex held; what it calls back is called with neither.
type writer struct {
	ctx   context.Context //nolint:containedctx // bounds the writes that outlive the requests that caused them
	store Store
	cache *blockCache
	clock clock.Clock
	// onNews is told of each block that a write or a read turned out to be newer than was known.
	onNews func(*macpool.Block)
	// onVersions is told of a version that the store has after it had another.
	onVersions func(p macpool.Prefix, before, now string)

	mu         sync.Mutex // guards what follows
	committers map[macpool.Prefix]*committer
	unwritten  int           // changes that are queued or being written
	closing    bool          // no company will come for lazy changes
	drained    chan struct{} // closed when nothing is left to be written after that
}

// enqueue has a change written together with others of its block, and returns at once.
func (w *writer) enqueue(p macpool.Prefix, ch change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.committers[p]
	if c == nil {
		c = &committer{
			prefix:     p,
			store:      w.store,
			cache:      w.cache,
			clock:      w.clock,
			onNews:     w.onNews,
			onVersions: w.onVersions,
			urgent:     make(chan struct{}, 1),
		}
		w.committers[p] = c
	}
	w.unwritten++
	done := ch.done
	ch.done = func(b *macpool.Block, err error) {
		done(b, err)
		w.noteWritten()
	}
	c.add(w.ctx, ch)
	if w.closing {
		c.hurry()
	}
}

// hurry makes the changes of a block that wait for company go now.
func (w *writer) hurry(p macpool.Prefix) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.committers[p]; c != nil {
		c.hurry()
	}
}

// close has everything written at once from now on. The channel drained is closed when that is done.
func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closing = true
	for _, c := range w.committers {
		c.hurry()
	}
	w.noteDrainedLocked()
}

func (w *writer) noteWritten() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unwritten--
	w.noteDrainedLocked()
}

func (w *writer) noteDrainedLocked() {
	if !w.closing || w.unwritten > 0 {
		return
	}
	select {
	case <-w.drained: // a request that was cut off came late
	default:
		close(w.drained)
	}
}
