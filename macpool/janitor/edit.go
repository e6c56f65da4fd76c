// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// An edit is what the janitor has decided to change about one address: it makes somebody a holder, ends a hold, or
// passes that on.
type edit struct {
	mac     macpool.MAC
	adopt   macpool.Holder // the zero Holder is none
	release macpool.Hold   // the zero Hold is none
}

func (e edit) apply(b *macpool.Block, now time.Time) {
	if e.release != (macpool.Hold{}) { // first: a full block records no second holder
		b.Release(e.mac, e.release)
	}
	if e.adopt != (macpool.Holder{}) {
		b.Adopt(e.mac, e.adopt, now)
	}
}

// byBlock sorts edits by the blocks they change.
func byBlock(edits []edit) map[macpool.Prefix][]edit {
	sorted := map[macpool.Prefix][]edit{}
	for _, e := range edits {
		sorted[e.mac.Prefix()] = append(sorted[e.mac.Prefix()], e)
	}
	return sorted
}

// write makes edits, in one write a block, and returns when each block was tried. Those that could not be written are
// tried again, with the error of the last attempt in failed; finish waits until all are.
func (j *Janitor) write(ctx context.Context, edits []edit, failed *atomic.Pointer[error]) (finish func() error) {
	again, ctx := errgroup.WithContext(ctx)
	var first errgroup.Group
	first.SetLimit(importWorkers)
	for prefix, edits := range byBlock(edits) {
		edit := func(ctx context.Context) error {
			return j.Ledger.Edit(ctx, prefix, func(b *macpool.Block) { j.applyAll(edits, b) })
		}
		first.Go(func() error {
			if err := safely(ctx, edit); err != nil {
				failed.Store(&err)
				again.Go(func() error { return retry(ctx, failed, edit) })
			}
			return nil
		})
	}
	_ = first.Wait() // it never fails
	return again.Wait
}

func (j *Janitor) applyAll(edits []edit, b *macpool.Block) {
	now := j.Ledger.Now()
	for _, e := range edits {
		e.apply(b, now)
	}
}

// writeLater has the edits of a subject made together with others, and returns at once. Where addresses become free
// they are made soon: who asks an exhausted pool waits no longer.
func (j *Janitor) writeLater(who subject, edits []edit) {
	for prefix, edits := range byBlock(edits) {
		w := write{who: who, prefix: prefix}
		frees := slices.ContainsFunc(edits, func(e edit) bool { return e.release != (macpool.Hold{}) })
		j.unwritten.add(w, 1)
		j.Ledger.EditLater(prefix, frees, func(b *macpool.Block) { j.applyAll(edits, b) }, func(err error) {
			j.unwritten.add(w, -1)
			if err != nil {
				j.Log.Error(err, "Cannot record the addresses of an object", "pod", who.pod, "key", who.key)
			}
		})
	}
}

// A write is of what one subject has in one block.
type write struct {
	who    subject
	prefix macpool.Prefix
}

// A tally counts the writes under way, so that what they are about is not decided on again before. The zero tally is
// empty.
type tally struct {
	mu     sync.Mutex // guards writes
	writes map[write]int
}

func (t *tally) add(w write, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.writes == nil {
		t.writes = map[write]int{}
	}
	if t.writes[w] += n; t.writes[w] == 0 {
		delete(t.writes, w)
	}
}

func (t *tally) has(w write) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.writes[w] > 0
}

// retry does something again and again until it succeeds, with the error of the last attempt in failed.
func retry(ctx context.Context, failed *atomic.Pointer[error], do func(context.Context) error) error {
	return wait.PollUntilContextCancel(ctx, retryInterval, true, func(ctx context.Context) (bool, error) {
		err := safely(ctx, do)
		if err != nil {
			failed.Store(&err)
		}
		return err == nil, nil
	})
}

// importAll takes the addresses of many subjects into the ledger; finish waits until that is written. It returns
// before, once all was tried: a block that cannot be written keeps nothing but the import from its end.
func (j *Janitor) importAll(ctx context.Context, all map[subject]bool) (finish func() error, err error) {
	begun := j.Clock.Now()
	var failed atomic.Pointer[error] // the last error of any subject or block
	said := j.sayWhile(ctx, fmt.Sprintf("Importing the addresses of %d objects", len(all)), &failed)
	edits, err := j.decideAll(ctx, all, &failed)
	if err != nil {
		said()
		return nil, fmt.Errorf("import addresses: %w", err)
	}
	written := j.write(ctx, edits, &failed)
	return func() error {
		defer said()
		if err := written(); err != nil {
			return fmt.Errorf("import addresses: %w", err)
		}
		j.Log.Info("Imported the addresses in use", "objects", len(all), "took", j.Clock.Since(begun).String())
		return nil
	}, nil
}

// decideAll decides about many subjects, a number of them at a time.
func (j *Janitor) decideAll(ctx context.Context, all map[subject]bool, failed *atomic.Pointer[error]) ([]edit, error) {
	var mu sync.Mutex // guards edits
	var edits []edit
	decisions, ctx := errgroup.WithContext(ctx)
	decisions.SetLimit(importWorkers)
	for who := range all {
		decisions.Go(func() error {
			return retry(ctx, failed, func(ctx context.Context) error {
				decided, _, err := j.decide(ctx, who)
				mu.Lock()
				defer mu.Unlock()
				edits = append(edits, decided...)
				return err
			})
		})
	}
	return edits, decisions.Wait()
}
