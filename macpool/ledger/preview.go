// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// Preview answers a request as Assign would at this moment, and changes nothing: neither the store nor a window. The
// addresses it names for interfaces that ask for any are ones that are free now, not a promise.
func (l *Ledger) Preview(ctx context.Context, r macpool.Request) (macpool.Grant, error) {
	return l.reusing(ctx, r, l.preview)
}

func (l *Ledger) preview(ctx context.Context, r macpool.Request) (macpool.Grant, error) {
	came := time.Now()
	grant := macpool.Grant{MACs: make([]macpool.MAC, len(r.Asks))}
	known := l.recall(r)
	chosen := map[macpool.MAC]bool{}
	for _, m := range r.Kept {
		chosen[m] = true
	}
	var failures []error
	for i, a := range r.Asks {
		m, recalled := known[a.Interface]
		if a.MAC != (macpool.MAC{}) {
			m = a.MAC
		}
		if m == (macpool.MAC{}) {
			continue
		}
		collision, err := l.previewClaim(ctx, r, a, m)
		switch {
		case err == nil:
			grant.MACs[i], chosen[m] = m, true
		case !recalled || a.MAC != (macpool.MAC{}) || !isRefusal(err):
			failures = append(failures, err)
		}
		if collision != nil {
			grant.Collisions = append(grant.Collisions, collision)
		}
	}
	if len(failures) > 0 {
		return macpool.Grant{}, errors.Join(failures...)
	}
	needed := uint64(0) // of what nobody else holds
	var own []tenant
	for _, m := range grant.MACs {
		e := l.cache.block(m.Prefix()).Entry(m)
		_, holds := e.HoldOf(r.Holder)
		if mine := holds && len(e.Holds) == 1 && r.Pool.Set.Contains(m); mine {
			own = append(own, tenant{Object: r.Holder, mac: m})
		}
		if m == (macpool.MAC{}) || r.Pool.Set.Contains(m) && len(e.Holds) == 0 {
			needed++
		}
	}
	needed += uint64(len(own))
	for i := range grant.MACs {
		if grant.MACs[i] != (macpool.MAC{}) {
			continue
		}
		m, ok := l.previewFree(ctx, r.Pool, chosen)
		if !ok {
			return macpool.Grant{}, l.previewRefusal(r, needed, own, came)
		}
		grant.MACs[i], chosen[m] = m, true
	}
	return grant, nil
}

// previewRefusal returns why a pool has not got the addresses that a request needs, among them those that its object
// holds.
func (l *Ledger) previewRefusal(r macpool.Request, needed uint64, own []tenant, came time.Time) error {
	err := l.exhausted(r.Pool, own...)
	var exhausted *exhaustion
	if !errors.As(err, &exhausted) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refusalLocked(exhausted, r.Holder, needed, came)
}

func (l *Ledger) previewClaim(
	ctx context.Context, r macpool.Request, a macpool.Ask, m macpool.MAC,
) (*macpool.TakenError, error) {
	c := macpool.Claim{
		MAC:    m,
		Holder: macpool.Holder{Object: r.Holder, Interface: a.Interface},
		Share:  a.Share,
		Alone:  a.Any(),
		Since:  l.Now(),
	}
	c.Replica, _ = l.lease.Replica()
	current, err := l.store.Get(ctx, m.Prefix())
	if err != nil {
		return nil, err
	}
	if err := l.cache.checkTold(current); err != nil {
		return nil, err
	}
	known, lost := l.cache.base(m.Prefix())
	if spoiled(known, current) {
		current.Restore(known)
	}
	if lost != nil {
		current.Restore(lost)
	}
	err = l.previewOn(current, c)
	var taken *macpool.TakenError
	for looks := 0; errors.As(err, &taken); looks++ {
		if err = l.checkTaken(ctx, &c, taken, looks); r.Tolerates(a) && isRefusal(err) {
			return tolerated(err, *taken), nil
		}
		if err != nil {
			break
		}
		err = l.previewOn(current, c)
	}
	var reserved *macpool.ReservedError
	if errors.As(err, &reserved) {
		return nil, nil // the replica gives it up when it is really asked for
	}
	return nil, err
}

// previewOn returns what a claim on a block would come to now.
func (l *Ledger) previewOn(b *macpool.Block, c macpool.Claim) error {
	l.mu.Lock()
	err := l.lentToAnotherLocked(c)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return b.Clone().Claim(c)
}

// previewFree returns an address that could be lent next and is not among those already chosen: one that is free, or
// else one that is set aside, which is given up to who needs it. Blocks that seem to have neither are looked at again.
func (l *Ledger) previewFree(
	ctx context.Context, pool macpool.Pool, chosen map[macpool.MAC]bool,
) (macpool.MAC, bool) {
	if m, ok := l.previewWindow(pool, chosen); ok {
		return m, true
	}
	free := func(_ macpool.MAC, e macpool.Entry) bool { return e.Free() }
	for _, suits := range []func(macpool.MAC, macpool.Entry) bool{free, l.isSetAside} {
		for prefix := range pool.Set.Prefixes(macpool.Prefix{}) {
			if m, ok := firstOf(l.cache.block(prefix), pool, chosen, suits); ok {
				return m, true
			}
		}
	}
	looks := 0
	for prefix := range pool.Set.Prefixes(macpool.Prefix{}) {
		fresh, err := l.store.Get(ctx, prefix)
		if err != nil {
			break
		}
		if m, ok := firstOf(fresh, pool, chosen, free); ok {
			return m, true
		}
		if looks++; looks == maxLooks {
			break
		}
	}
	return macpool.MAC{}, false
}

// firstOf returns the first address of a block that is in the pool, not among those already chosen, and suits.
func firstOf(
	b *macpool.Block, pool macpool.Pool, chosen map[macpool.MAC]bool, suits func(macpool.MAC, macpool.Entry) bool,
) (macpool.MAC, bool) {
	for suffix := range 256 {
		m := b.Prefix.Address(byte(suffix))
		if pool.Set.Contains(m) && !chosen[m] && suits(m, b.Entry(m)) {
			return m, true
		}
	}
	return macpool.MAC{}, false
}

// isSetAside reports whether an address is reserved and, as far as is known, not lent.
func (l *Ledger) isSetAside(m macpool.MAC, e macpool.Entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, lent := l.memory.lent[m]
	return e.Reservation.Replica != "" && len(e.Holds) == 0 && !lent
}

// previewWindow returns an address of a window, of the pool's own if that has one.
func (l *Ledger) previewWindow(pool macpool.Pool, chosen map[macpool.MAC]bool) (macpool.MAC, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	windows := slices.Collect(maps.Values(l.windows))
	if own := l.windows[pool.Name]; own != nil {
		windows = append([]*window{own}, windows...)
	}
	for _, w := range windows {
		for _, m := range w.free {
			if pool.Set.Contains(m) && !chosen[m] {
				return m, true
			}
		}
	}
	return macpool.MAC{}, false
}
