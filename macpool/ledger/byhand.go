// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"time"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// maxSilence is how long a block that somebody deleted or spoiled is not written where the watch does not tell of it. A
// watch that is cut off begins again before.
const maxSilence = time.Minute

// LookAgain has a block read of which the watch does not tell what it has. It returns at once.
func (l *Ledger) LookAgain(p macpool.Prefix) { go l.lookAgain(p) }

// lookAgain reads a block of which the watch does not tell what it has, or says that it is deleted, although this
// process knows a later state: a watch that was cut off tells of the last state that it had seen.
func (l *Ledger) lookAgain(p macpool.Prefix) {
	ctx, cancel := context.WithTimeout(l.writer.ctx, flushTimeout)
	defer cancel()
	before := l.cache.block(p).Version
	fresh, err := l.store.Get(ctx, p)
	if err != nil {
		return // the next write of the block meets a conflict, and learns
	}
	l.noteVersions(p, before, fresh.Version)
	if fresh.Version == "" {
		l.cache.forget(p, before)
	} else {
		l.cache.put(fresh)
	}
	l.writeBack(p)
	l.recheckWindows(p)
}

// writeBack has what was lost with a block that somebody deleted written again: whoever held an address still has it,
// and the janitor would be too late to say so. Every replica does that, as one may know of what another does not.
func (l *Ledger) writeBack(p macpool.Prefix) {
	if !l.cache.isLost(p) || l.Err() != nil {
		return
	}
	l.writer.enqueue(p, change{
		lazy: true, soon: true,
		apply: func(*macpool.Block) error { return nil }, // a write takes it along
		done:  func(*macpool.Block, error) {},
	})
	l.writer.hurry(p)
}

// awaitWatch returns once the watch has told, too, of what a read shows that somebody did by hand: that a block was
// deleted, made anew, or lost rows. What others had in it last, which this process may not know, is told before that,
// and would be lost for good if the block were written without it. A watch that is silent for long is given up.
func (c *committer) awaitWatch(ctx context.Context, fresh *macpool.Block) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		changed := c.cache.change()
		err := c.cache.checkTold(fresh)
		if err == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return err
		}
	}
}

// checkTold fails if the watch has not told of what a read shows that somebody did by hand, unless it is silent for
// long.
func (k *blockCache) checkTold(fresh *macpool.Block) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !spoiled(k.blockLocked(fresh.Prefix), fresh) {
		return nil
	}
	since, silent := k.silent[fresh.Prefix]
	if !silent {
		since = k.clock.Now()
		k.silent[fresh.Prefix] = since
	}
	if k.clock.Since(since) > maxSilence {
		return nil
	}
	return &macpool.NotReadyError{
		Why: "MACBlock " + fresh.Prefix.String() + " was deleted or changed by hand, and the watch has not told of it yet",
	}
}

// spoiled reports whether somebody did to a block by hand, after the state that is known, what loses what it had.
func spoiled(known, fresh *macpool.Block) bool {
	return known.ID != "" && known.ID != fresh.ID || fresh.Lacking && newer(fresh.Version, known.Version)
}
