// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"time"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A memory is what this process remembers of the addresses it gave out: a cache in front of the blocks, which is
// believed no longer than they bear it out. It is guarded by the ledger's mutex.
type memory struct {
	// lent are addresses that were answered from a window while the store knows them only as reserved by this replica.
	// They stay until the store has been told, however long that takes.
	lent map[macpool.MAC]lending
	// lentTo are the same addresses by the object that has them.
	lentTo map[macpool.Object]map[macpool.MAC]bool
	// recorded are holds that this process wrote. They count for reuseWithin from the write.
	recorded map[macpool.MAC]recording
	// filling are addresses that are being reserved for a window and are not in it yet.
	filling map[macpool.MAC]bool
	// leaving are addresses that this replica gives up, and that the store may still say are reserved by it, with the
	// number of writes under way.
	leaving map[macpool.MAC]int
	// seen is when tenants were last seen to have their addresses, refused is who was refused for now.
	seen    map[tenant]time.Time
	refused map[macpool.Object]refusal
	pruned  time.Time // when recorded was last rid of what is over
}

// A lending is an address that was answered from a window of a replica.
type lending struct {
	holder  macpool.Holder
	replica string
}

// A recording is a hold that was written.
type recording struct {
	object  macpool.Object
	replica string    // the name this replica had
	since   time.Time // the date of the hold
	at      time.Time // when the write began
}

func newMemory() memory {
	return memory{
		lent: map[macpool.MAC]lending{}, lentTo: map[macpool.Object]map[macpool.MAC]bool{},
		recorded: map[macpool.MAC]recording{}, filling: map[macpool.MAC]bool{},
		leaving: map[macpool.MAC]int{}, seen: map[tenant]time.Time{}, refused: map[macpool.Object]refusal{},
	}
}

func (m *memory) lend(mac macpool.MAC, to lending) {
	m.endLending(mac)
	m.lent[mac] = to
	if m.lentTo[to.holder.Object] == nil {
		m.lentTo[to.holder.Object] = map[macpool.MAC]bool{}
	}
	m.lentTo[to.holder.Object][mac] = true
}

func (m *memory) endLending(mac macpool.MAC) {
	o := m.lent[mac].holder.Object
	delete(m.lent, mac)
	delete(m.lentTo[o], mac)
	if len(m.lentTo[o]) == 0 {
		delete(m.lentTo, o)
	}
}

// spokenForLocked reports whether an address that this replica has reserved is lent, in a window, or on its way into
// one or out of it.
func (l *Ledger) spokenForLocked(m macpool.MAC) bool {
	_, lent := l.memory.lent[m]
	return lent || l.memory.filling[m] || l.memory.leaving[m] > 0 || l.inWindowLocked(m)
}

// justGiven reports whether this process gave the address to the object so recently that it cannot have been freed
// since: it is lent under a Lease in force and a reservation that stands, or the hold that the process wrote less than
// reuseWithin ago stands.
func (l *Ledger) justGiven(m macpool.MAC, o macpool.Object) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	replica, ok := l.mayLendLocked()
	if !ok {
		return false
	}
	e := l.cache.block(m.Prefix()).Entry(m)
	if lent, ok := l.memory.lent[m]; ok && lent.holder.Object == o {
		return lent.replica == replica && e.Reservation.Replica == replica
	}
	written, ok := l.memory.recorded[m]
	if !ok || written.object != o || written.replica != replica || l.clock.Since(written.at) > reuseWithin {
		return false
	}
	hold, held := e.HoldOf(o)
	return held && hold.Since.Equal(written.since)
}

// noteLentLocked remembers an address that is about to be answered and sees to it that the store learns of it.
func (l *Ledger) noteLentLocked(m macpool.MAC, h macpool.Holder, replica string) {
	l.memory.lend(m, lending{holder: h, replica: replica})
	delete(l.memory.recorded, m)
	claim := macpool.Claim{MAC: m, Holder: h, Replica: replica, Regardless: true, Lent: true, Since: l.Now()}
	begun := l.clock.Now()
	l.writer.enqueue(m.Prefix(), change{
		lazy: true,
		apply: func(b *macpool.Block) error {
			begun = l.clock.Now()
			return l.record(b, claim)
		},
		done: func(_ *macpool.Block, err error) {
			switch {
			case err == nil:
				l.noteRecorded(claim, begun)
			case l.gaveUp != nil && l.writer.ctx.Err() == nil:
				l.gaveUp(m, h, err)
			}
		},
	})
}

// record notes in a block whom an address was lent to. A reservation that is gone, although the name it was made under
// has lapsed, was ended by a janitor, which has looked who has the address: there is nothing to add.
func (l *Ledger) record(b *macpool.Block, c macpool.Claim) error {
	current, ok := l.lease.Replica()
	if inForce := ok && current == c.Replica; !inForce && b.Entry(c.MAC).Reservation.Replica != c.Replica {
		return nil
	}
	return b.Claim(c)
}

// noteHeld takes in that the store knows of a hold: that the address was lent need not be remembered any more.
func (l *Ledger) noteHeld(c macpool.Claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noteHeldLocked(c)
}

func (l *Ledger) noteHeldLocked(c macpool.Claim) {
	if lent, ok := l.memory.lent[c.MAC]; ok && lent.holder.Object == c.Holder.Object {
		l.memory.endLending(c.MAC)
	}
}

// noteRecorded remembers that a hold is in the store, by a write that began then.
func (l *Ledger) noteRecorded(c macpool.Claim, begun time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noteHeldLocked(c)
	l.memory.recorded[c.MAC] = recording{object: c.Holder.Object, replica: c.Replica, since: c.Since, at: begun}
	if l.clock.Since(l.memory.pruned) < reuseWithin {
		return
	}
	l.memory.pruned = l.clock.Now()
	for m, written := range l.memory.recorded {
		if l.clock.Since(written.at) > reuseWithin {
			delete(l.memory.recorded, m)
		}
	}
}
