// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// maxGone is how many holders of an address one request finds gone: all that shared it, or collided, may be. If there
// are more, it is refused for now: the janitor frees them.
const maxGone = 4

// checkUnborn refuses a second look at a creation that is over: an object that it may have been of has the addresses.
func (l *Ledger) checkUnborn(ctx context.Context, r macpool.Request) error {
	holders := map[macpool.MAC]macpool.Holder{}
	for _, a := range r.Asks {
		if a.MAC != (macpool.MAC{}) {
			holders[a.MAC] = macpool.Holder{Object: r.Holder, Interface: a.Interface}
		}
	}
	if !r.Again || len(holders) == 0 {
		return nil
	}
	had, err := l.objects.Having(ctx, r.Holder, slices.Collect(maps.Keys(holders))...)
	if err != nil {
		return fmt.Errorf("look whether %s came to exist: %w", r.Holder, err)
	}
	var taken []error
	for _, m := range had {
		taken = append(taken, &macpool.TakenError{MAC: m, Holder: holders[m], Asker: r.Holder})
	}
	return errors.Join(taken...)
}

// checkTaken looks whether the holder that a refusal would name still has the address, after so many looks at others.
// If it has given it up for good, or is the one who asks, it notes in c that it makes room and returns nil.
func (l *Ledger) checkTaken(ctx context.Context, c *macpool.Claim, taken *macpool.TakenError, looks int) error {
	if looks >= maxGone {
		return &macpool.BusyError{MAC: c.MAC, After: time.Second, Why: "was given up by several holders and is being freed"}
	}
	holder := taken.Holder.Object
	has, err := l.has(ctx, holder, c.MAC)
	if err != nil {
		return err
	}
	own := false // by a name that the janitor has yet to write
	if has && holder.Becomes(c.Holder.Object) {
		if own, err = l.has(ctx, c.Holder.Object, c.MAC); err != nil {
			return err
		}
	}
	if has && !own {
		return l.checkSharers(ctx, c, taken)
	}
	hold, ok := l.cache.block(c.MAC.Prefix()).Entry(c.MAC).HoldOf(holder)
	if !ok && l.isLent(c.MAC, holder) {
		return &macpool.BusyError{MAC: c.MAC, After: time.Second, Why: why(c.Holder.Object, holder), Holder: holder}
	}
	if !ok {
		return nil // freed meanwhile
	}
	c.Own = c.Own || own
	return l.checkGone(ctx, c, hold, own)
}

// checkGone notes in c that a hold makes room whose object has not got the address, unless the object may be about to
// come to exist. It is certain that it is not if the hold is the own of who asks.
func (l *Ledger) checkGone(ctx context.Context, c *macpool.Claim, hold macpool.Hold, own bool) error {
	if age := l.clock.Since(hold.Seen); age < l.Grace && !own {
		ended, err := l.objects.Ended(ctx, hold.Object, c.MAC)
		if err != nil {
			return fmt.Errorf("look whether %s has ended: %w", hold.Object, err)
		}
		if !ended {
			return l.checkOthers(ctx, *c, hold, l.Grace-age)
		}
	}
	c.Gone = append(c.Gone, hold)
	return nil
}

// checkSharers refuses a claim as somebody has the address, unless others that shared it are gone: who asks may be one
// of two then, and not a third.
func (l *Ledger) checkSharers(ctx context.Context, c *macpool.Claim, taken *macpool.TakenError) error {
	if !taken.Several {
		return taken
	}
	known := l.cache.block(c.MAC.Prefix())
	for _, h := range known.Entry(c.MAC).Holds {
		if h.Object == taken.Holder.Object || h.Object == c.Holder.Object || slices.Contains(c.Gone, h) {
			continue
		}
		switch has, err := l.has(ctx, h.Object, c.MAC); {
		case err != nil:
			return err
		case !has:
			return l.checkGone(ctx, c, h, false)
		}
	}
	return taken
}

// checkOthers refuses a claim for now, as one holder is gone but not for long enough; or for good where another one has
// the address and keeps it: to wait would be in vain.
func (l *Ledger) checkOthers(ctx context.Context, c macpool.Claim, gone macpool.Hold, wait time.Duration) error {
	busy := &macpool.BusyError{
		MAC: c.MAC, After: wait, Why: why(c.Holder.Object, gone.Object), Holder: gone.Object,
	}
	known := l.cache.block(c.MAC.Prefix())
	c.Gone = append(slices.Clone(c.Gone), gone)
	for range maxGone {
		var taken *macpool.TakenError
		if !errors.As(known.Clone().Claim(c), &taken) {
			return busy
		}
		switch has, err := l.has(ctx, taken.Holder.Object, c.MAC); {
		case err != nil:
			return err
		case has:
			return taken
		}
		other, _ := known.Entry(c.MAC).HoldOf(taken.Holder.Object)
		c.Gone = append(c.Gone, other)
	}
	return busy
}

// why says to who asks for it why an address is not free yet although its holder has not got it.
func why(asker, holder macpool.Object) string {
	return "is held by " + holder.NameFor(asker) + ", which does not exist or does not have this address: it was deleted or changed just now, or is about to be written"
}

func (l *Ledger) isLent(m macpool.MAC, o macpool.Object) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	lent, ok := l.memory.lent[m]
	return ok && lent.holder.Object == o
}
