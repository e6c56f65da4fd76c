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

// claims is how far the explicit part of a request has come.
type claims struct {
	// macs has the address of every ask that was answered, zero for the others.
	macs []macpool.MAC
	// fresh are the claims that made somebody a holder who was none before.
	fresh      []freshClaim
	collisions []*macpool.TakenError
}

// leaveOut has an *ExhaustedError count what the request itself was given, and gives back, as needed and not as used.
func (c claims) leaveOut(err error, pool macpool.Pool) {
	var exhausted *macpool.ExhaustedError
	if !errors.As(err, &exhausted) {
		return
	}
	for _, given := range c.fresh {
		if pool.Set.Contains(given.MAC) {
			exhausted.Used -= min(exhausted.Used, 1)
			exhausted.Young -= min(exhausted.Young, 1)
			exhausted.Needed++
		}
	}
}

// A freshClaim made somebody a holder who was none before, by a write that began no earlier than this.
type freshClaim struct {
	macpool.Claim
	begun time.Time
}

// claimAll holds the addresses that the request names and those its interfaces had before. It gives all back if one
// cannot be had.
func (l *Ledger) claimAll(ctx context.Context, r macpool.Request) (claims, error) {
	if err := l.checkUnborn(ctx, r); err != nil {
		return claims{}, err
	}
	var named, recalled []int
	macs := make([]macpool.MAC, len(r.Asks))
	known := l.recall(r)
	for i, a := range r.Asks {
		if a.MAC != (macpool.MAC{}) {
			macs[i], named = a.MAC, append(named, i)
		} else if m, ok := known[a.Interface]; ok {
			macs[i], recalled = m, append(recalled, i)
		}
	}
	all := claims{macs: macs}
	outcomes := make(chan outcome, len(named)+len(recalled))
	for _, i := range append(named, recalled...) {
		go func() { outcomes <- l.claim(ctx, r, i, macs[i]) }()
	}
	var failures []error
	passedOn := false
	for range cap(outcomes) {
		out := <-outcomes
		passedOn = passedOn || out.renewal
		if out.fresh != nil {
			all.fresh = append(all.fresh, *out.fresh)
		}
		if out.collision != nil {
			all.collisions = append(all.collisions, out.collision)
		}
		switch {
		case out.err == nil:
		case r.Asks[out.ask].MAC == (macpool.MAC{}) && isRefusal(out.err):
			macs[out.ask] = macpool.MAC{} // somebody has it now: the interface gets another one
		default:
			failures = append(failures, out.err)
		}
	}
	if r.Again && !passedOn && len(failures) == 0 {
		failures = append(failures, macpool.ErrStaleClaim)
	}
	if len(failures) > 0 {
		l.takeBack(all.fresh)
		return claims{}, errors.Join(failures...)
	}
	return all, nil
}

// isRefusal reports whether the ledger decided against a claim, rather than failing to decide.
func isRefusal(err error) bool {
	var taken *macpool.TakenError
	var busy *macpool.BusyError
	return errors.As(err, &taken) || errors.As(err, &busy)
}

// An outcome is what became of one claim.
type outcome struct {
	ask       int
	renewal   bool // the object held the address before
	fresh     *freshClaim
	collision *macpool.TakenError
	err       error
}

// claim holds one address for the interface of an ask.
func (l *Ledger) claim(ctx context.Context, r macpool.Request, ask int, m macpool.MAC) outcome {
	out := outcome{ask: ask}
	if !r.Again && l.justGiven(m, r.Holder) {
		return out
	}
	c := macpool.Claim{
		MAC:    m,
		Holder: macpool.Holder{Object: r.Holder, Interface: r.Asks[ask].Interface},
		Again:  r.Again,
		Share:  r.Asks[ask].Share,
	}
	begun := l.clock.Now()
	renewal, err := l.claimOrContest(ctx, &c)
	var taken *macpool.TakenError
	for looks := 0; errors.As(err, &taken); looks++ {
		err = l.checkTaken(ctx, &c, taken, looks)
		if r.Tolerates(r.Asks[ask]) && isRefusal(err) {
			_ = errors.As(err, &taken) // it may name another holder
			out.collision, c.Regardless, err = taken, true, nil
		}
		if err != nil {
			break
		}
		begun = l.clock.Now()
		renewal, err = l.claimOrContest(ctx, &c)
	}
	out.err, out.renewal = err, err == nil && renewal
	if err == nil && !renewal {
		out.fresh = &freshClaim{Claim: c, begun: begun}
	}
	return out
}

// claimOrContest writes a claim. An address that another replica has reserved is asked for first.
func (l *Ledger) claimOrContest(ctx context.Context, c *macpool.Claim) (renewal bool, err error) {
	began := l.clock.Now()
	renewal, err = l.tryClaim(ctx, c)
	var reserved *macpool.ReservedError
	if errors.As(err, &reserved) {
		return l.contest(ctx, c, began)
	}
	return renewal, err
}

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

// tryClaim writes a claim together with others on the same block. It reports whether the object held the address
// before.
func (l *Ledger) tryClaim(ctx context.Context, c *macpool.Claim) (renewal bool, err error) {
	replica, ok := l.lease.Replica()
	if !ok {
		return false, macpool.ErrNotReady
	}
	c.Replica, c.Since = replica, l.Now()
	claim := *c
	type answer struct {
		renewal bool
		err     error
	}
	answers := make(chan answer, 1)
	var before bool
	var begun time.Time
	l.writer.enqueue(c.MAC.Prefix(), change{
		apply: func(b *macpool.Block) error {
			begun = l.clock.Now()
			if err := l.checkOwnWindow(claim); err != nil {
				return err
			}
			_, before = b.Entry(claim.MAC).HoldOf(claim.Holder.Object)
			return b.Claim(claim)
		},
		done: func(_ *macpool.Block, err error) {
			switch {
			case err != nil:
			case before:
				l.noteRecorded(claim, begun)
			default: // it is no answer before the request has all that it asks for
				l.noteHeld(claim)
			}
			answers <- answer{renewal: before, err: err}
		},
	})
	select {
	case a := <-answers:
		return a.renewal, a.err
	case <-ctx.Done():
		// Nobody waits for the answer any more. Should the write succeed all the same, it is undone.
		go func() {
			if a := <-answers; a.err == nil && !a.renewal {
				l.takeBack([]freshClaim{{Claim: claim}})
			}
		}()
		return false, fmt.Errorf("claim %s: %w", claim.MAC, ctx.Err())
	}
}

// checkOwnWindow takes an address that is asked for out of this replica's window, and refuses it if it was lent from
// there and the store does not know yet.
func (l *Ledger) checkOwnWindow(c macpool.Claim) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.withdrawLocked(c.MAC)
	return l.lentToAnotherLocked(c)
}

// withdrawLocked takes an address out of this replica's windows and reports whether it was in one.
func (l *Ledger) withdrawLocked(m macpool.MAC) bool {
	found := false
	for _, w := range l.windows {
		found = w.withdraw(m) || found
	}
	return found
}

// lentToAnotherLocked refuses a claim to an address that was lent to another object, which the store does not know yet.
func (l *Ledger) lentToAnotherLocked(c macpool.Claim) error {
	given, lent := l.memory.lent[c.MAC]
	if lent && given.holder.Object != c.Holder.Object && !c.Regardless {
		return &macpool.TakenError{MAC: c.MAC, Holder: given.holder, Asker: c.Holder.Object}
	}
	return nil
}

// checkTaken looks whether the holder that a refusal would name still has the address, after so many looks at others.
// If it has given it up for good it notes in c that it makes room and returns nil.
func (l *Ledger) checkTaken(ctx context.Context, c *macpool.Claim, taken *macpool.TakenError, looks int) error {
	if looks >= maxGone {
		return &macpool.BusyError{MAC: c.MAC, After: time.Second, Why: "was given up by several holders and is being freed"}
	}
	holder := taken.Holder.Object
	has, err := l.has(ctx, holder, c.MAC)
	if err != nil {
		return err
	}
	if has {
		return taken
	}
	hold, ok := l.cache.block(c.MAC.Prefix()).Entry(c.MAC).HoldOf(holder)
	if !ok && l.isLent(c.MAC, holder) {
		return &macpool.BusyError{MAC: c.MAC, After: time.Second, Why: why(c.Holder.Object, holder), Holder: holder}
	}
	if !ok {
		return nil // freed meanwhile
	}
	if age := l.clock.Since(hold.Seen); age < l.Grace {
		if err := l.checkOthers(ctx, *c, hold); err != nil {
			return err
		}
		return &macpool.BusyError{MAC: c.MAC, After: l.Grace - age, Why: why(c.Holder.Object, holder), Holder: holder}
	}
	c.Gone = append(c.Gone, hold)
	return nil
}

// checkOthers refuses a claim for good where another than one holder, which is gone but not for long enough, has the
// address and keeps it: to wait would be in vain.
func (l *Ledger) checkOthers(ctx context.Context, c macpool.Claim, gone macpool.Hold) error {
	known := l.cache.block(c.MAC.Prefix())
	c.Gone = append(slices.Clone(c.Gone), gone)
	for range maxGone {
		var taken *macpool.TakenError
		if !errors.As(known.Clone().Claim(c), &taken) {
			return nil
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
	return nil
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

// contest asks the replica that reserved an address for it, and waits a moment for the outcome: the replica records
// whom it lent the address to, or gives it up. The store said after began that nobody holds the address.
func (l *Ledger) contest(ctx context.Context, c *macpool.Claim, began time.Time) (renewal bool, err error) {
	m := c.MAC
	l.writer.enqueue(
		m.Prefix(),
		change{apply: func(b *macpool.Block) error { b.Contest(m); return nil }, done: func(*macpool.Block, error) {}},
	)
	deadline := l.clock.NewTimer(contestFor)
	defer deadline.Stop()
	for {
		changed := l.cache.change()
		if e := l.cache.block(m.Prefix()).Entry(m); e.Reservation.Replica == "" || len(e.Holds) > 0 {
			if l.takeAnswer(e, *c, began) {
				return true, nil
			}
			renewal, err = l.tryClaim(ctx, c)
			var reserved *macpool.ReservedError
			if !errors.As(err, &reserved) {
				return renewal, err
			}
		}
		select {
		case <-changed:
		case <-deadline.C():
			return false, &macpool.BusyError{
				MAC:   m,
				After: time.Second,
				Why:   "is set aside for automatic assignment and is being released",
			}
		case <-ctx.Done():
			return false, fmt.Errorf("wait for %s: %w", m, ctx.Err())
		}
	}
}

// takeAnswer reports whether the replica that was asked has recorded that it lent the address to the very interface
// that asks. Such a hold was written after began and is as good as one that this replica wrote then: it is remembered
// as such and not renewed. A second look at a creation is not answered so: it uses the hold up.
func (l *Ledger) takeAnswer(e macpool.Entry, c macpool.Claim, began time.Time) bool {
	replica, ok := l.lease.Replica()
	hold, held := e.HoldOf(c.Holder.Object)
	if !ok || c.Again || !held || hold.Interface != c.Holder.Interface {
		return false
	}
	c.Replica, c.Since = replica, hold.Since
	l.noteRecorded(c, began)
	return true
}

// takeBack undoes claims of a request that failed.
func (l *Ledger) takeBack(fresh []freshClaim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range fresh {
		hold := macpool.Hold{Holder: c.Recipient(), Since: c.Since}
		l.writer.enqueue(c.MAC.Prefix(), change{
			apply: func(b *macpool.Block) error { b.Release(c.MAC, hold); return nil },
			done:  func(*macpool.Block, error) {},
		})
	}
}
