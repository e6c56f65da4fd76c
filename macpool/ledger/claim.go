// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// claims is how far the explicit part of a request has come.
type claims struct {
	// macs has the address of every ask that was answered, zero for the others.
	macs []macpool.MAC
	// fresh are the claims that made somebody a holder who was none before.
	fresh      []freshClaim
	collisions []*macpool.TakenError
}

// leaveOut has an *ExhaustedError count what the request itself was given, or had before and has again, as needed and
// not as used, nor as what may come back: each attempt would have it come back later.
func (l *Ledger) leaveOut(ctx context.Context, err error, r macpool.Request, given []macpool.MAC) {
	var exhausted *macpool.ExhaustedError
	if !errors.As(err, &exhausted) {
		return
	}
	given = slices.DeleteFunc(slices.Clone(given), func(m macpool.MAC) bool { return !r.Pool.Set.Contains(m) })
	var there []macpool.MAC // are not among those that may come back
	if r.Holder.Name != "" && len(given) > 0 {
		if there, err = l.objects.Having(ctx, r.Holder, given...); err != nil {
			there = given
		}
	}
	for _, m := range given {
		e := l.cache.block(m.Prefix()).Entry(m)
		if !e.HeldBeside(r.Holder) {
			exhausted.Needed++
		}
		switch {
		case len(e.Holds) == 0: // it was lent, which the store does not know yet
			exhausted.Reserved -= min(exhausted.Reserved, 1)
			continue
		case !e.HeldBeside(r.Holder):
			exhausted.Used -= min(exhausted.Used, 1)
		}
		if !slices.Contains(there, m) {
			exhausted.Young -= min(exhausted.Young, 1)
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
		Alone:  r.Asks[ask].Any(),
	}
	begun := l.clock.Now()
	renewal, err := l.claimOrContest(ctx, &c)
	var taken *macpool.TakenError
	for looks := 0; errors.As(err, &taken); looks++ {
		err = l.checkTaken(ctx, &c, taken, looks)
		if r.Tolerates(r.Asks[ask]) && isRefusal(err) {
			out.collision, c.Regardless, err = tolerated(err, *taken), true, nil
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

// tolerated returns the collision that a refusal is where the pool tolerates it. The refusal comes of a look whether
// the holder that was found has the address, and may name another one.
func tolerated(refusal error, found macpool.TakenError) *macpool.TakenError {
	if taken := (*macpool.TakenError)(nil); errors.As(refusal, &taken) {
		return taken
	}
	var busy *macpool.BusyError // about one that shared it, perhaps
	found.Unseen = !errors.As(refusal, &busy) || busy.Holder == (macpool.Object{}) || busy.Holder == found.Holder.Object
	return &found
}

// tryClaim writes a claim together with others on the same block. It reports whether the object held the address
// before.
func (l *Ledger) tryClaim(ctx context.Context, c *macpool.Claim) (renewal bool, err error) {
	replica, ok := l.claimant()
	if !ok {
		return false, macpool.ErrNotReady
	}
	since := l.Now()
	c.Replica, c.Since = replica, since
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
			begun, claim.Since = l.clock.Now(), since
			if err := l.checkOwnWindow(claim); err != nil {
				return err
			}
			_, before = b.Entry(claim.MAC).HoldOf(claim.Holder.Object)
			before = before || claim.Own
			err := b.Claim(claim)
			if hold, held := b.Entry(claim.MAC).HoldOf(claim.Holder.Object); held {
				claim.Since = hold.Since
			}
			return err
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

// claimant returns the name that this replica reserves by now. An address that is asked for is free then if it was in a
// window of an earlier name. The name is read under the mutex: by an old one, the window of a newer one would be given
// back.
func (l *Ledger) claimant() (replica string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if replica, ok = l.lease.Replica(); ok {
		l.giveBackEarlierLocked(replica)
	}
	return replica, ok
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
