// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"iter"
	"maps"
	"slices"
	"time"
)

// A Block is the state of the 256 addresses that share a prefix: a plain value whose methods decide what may become of
// it. A method that returns an error has changed nothing. A Block is not safe for concurrent use; Clone it to keep a
// state while another goroutine changes it.
type Block struct {
	Prefix Prefix
	// Version is the resourceVersion that the state was read at; empty if the block is not stored.
	Version string
	// ID is that of the object in the store, empty if that is not known. A block that was deleted and made anew has
	// another.
	ID string
	// Lacking is true for a state, as it was read, that has fewer addresses than it says: somebody removed some by hand.
	Lacking bool
	entries map[byte]Entry
	counts  counts
}

// counts are kept up with the entries of a block, so that who looks for one block among many need not read them all.
type counts struct {
	held       int
	holds      int
	several    int // addresses with more than one hold
	contested  int
	both       int            // addresses that are held and reserved
	unread     int            // addresses whose text could not be read
	reservedBy map[string]int // addresses by replica
}

// note takes in that an entry came, by 1, or went, by -1.
func (c *counts) note(e Entry, by int) {
	c.holds += by * len(e.Holds)
	if len(e.Holds) > 0 {
		c.held += by
	}
	if len(e.Holds) > 1 {
		c.several += by
	}
	if e.Reservation.Contested {
		c.contested += by
	}
	if len(e.Holds) > 0 && e.Reservation.Replica != "" {
		c.both += by
	}
	if e.Unread != "" {
		c.unread += by
	}
	if r := e.Reservation.Replica; r != "" {
		if c.reservedBy == nil {
			c.reservedBy = map[string]int{}
		}
		if c.reservedBy[r] += by; c.reservedBy[r] == 0 {
			delete(c.reservedBy, r)
		}
	}
}

// NewBlock returns a block whose addresses are all free.
func NewBlock(p Prefix) *Block {
	return &Block{Prefix: p, entries: map[byte]Entry{}}
}

// Clone returns a copy that changes apart from b.
func (b *Block) Clone() *Block {
	c := &Block{
		Prefix: b.Prefix, Version: b.Version, ID: b.ID, Lacking: b.Lacking, entries: maps.Clone(b.entries), counts: b.counts,
	}
	c.counts.reservedBy = maps.Clone(b.counts.reservedBy)
	return c
}

// Entry returns the state of an address of the block.
func (b *Block) Entry(m MAC) Entry {
	return b.entries[m[5]]
}

// Entries returns the addresses of the block that are not free, ascending.
func (b *Block) Entries() iter.Seq2[MAC, Entry] {
	return func(yield func(MAC, Entry) bool) {
		for _, suffix := range slices.Sorted(maps.Keys(b.entries)) {
			if !yield(b.Prefix.Address(suffix), b.entries[suffix]) {
				return
			}
		}
	}
}

// Holds returns all holds on addresses of the block, in no order.
func (b *Block) Holds() iter.Seq2[MAC, Hold] {
	return func(yield func(MAC, Hold) bool) {
		for suffix, e := range b.entries {
			for _, h := range e.Holds {
				if !yield(b.Prefix.Address(suffix), h) {
					return
				}
			}
		}
	}
}

// Len returns the number of addresses that are not free.
func (b *Block) Len() int { return len(b.entries) }

// StampSeen notes on every hold when this process first saw it: now, unless the older state had it already.
func (b *Block) StampSeen(older *Block, now time.Time) {
	for suffix, e := range b.entries {
		e.Holds = slices.Clone(e.Holds)
		for i, h := range e.Holds {
			e.Holds[i].Seen = now
			if older == nil {
				continue
			}
			if before, ok := older.entries[suffix].HoldOf(h.Object); ok && before.sameGift(h) {
				e.Holds[i].Seen = before.Seen
			}
		}
		b.entries[suffix] = e
	}
}

// Counts returns the numbers of addresses that are held, and that are not, but reserved or could not be read.
func (b *Block) Counts() (held, reserved int) {
	return b.counts.held, len(b.entries) - b.counts.held
}

// WithoutUnread returns a copy without the addresses that could not be read.
func (b *Block) WithoutUnread() *Block {
	c := b.Clone()
	for m, e := range b.Entries() {
		if e.Unread != "" {
			c.Set(m, Entry{})
		}
	}
	return c
}

// Unread returns the number of addresses that could not be read.
func (b *Block) Unread() int { return b.counts.unread }

// HasUnread reports whether an address of the block that is in the pool could not be read.
func (b *Block) HasUnread(pool Set) bool {
	if b.counts.unread == 0 {
		return false
	}
	for m, e := range b.Entries() {
		if e.Unread != "" && pool.Contains(m) {
			return true
		}
	}
	return false
}

// Release ends one hold. Another one of the same object, or the same one renewed since it was read, stays.
func (b *Block) Release(m MAC, hold Hold) {
	e := b.Entry(m)
	e.Holds = slices.DeleteFunc(slices.Clone(e.Holds), hold.sameGift)
	b.Set(m, e)
}

// Rename passes a hold on to the name its object turned out to have.
func (b *Block) Rename(m MAC, hold Hold, to Holder) {
	e := b.Entry(m)
	e.Holds = slices.Clone(e.Holds)
	for i, h := range e.Holds {
		if hold.sameGift(h) {
			e.Holds[i].Holder = to
		}
	}
	b.Set(m, e)
}

// Reserve sets up to n free addresses of the block that are in the pool aside for a replica, lowest first, and returns
// them.
func (b *Block) Reserve(n int, pool Set, replica string, now time.Time) []MAC {
	var reserved []MAC
	for suffix := 0; suffix < 256 && len(reserved) < n; suffix++ {
		m := b.Prefix.Address(byte(suffix))
		if b.Entry(m).Free() && pool.Contains(m) {
			b.Set(m, Entry{Reservation: Reservation{Replica: replica, Since: now}})
			reserved = append(reserved, m)
		}
	}
	return reserved
}

// Unreserve ends the reservation of an address by a replica, if it is still that replica's.
func (b *Block) Unreserve(m MAC, replica string) {
	e := b.Entry(m)
	if e.Reservation.Replica == replica {
		e.Reservation = Reservation{}
		b.Set(m, e)
	}
}

// Contest tells the replica that reserved an address that somebody else asks for it.
func (b *Block) Contest(m MAC) {
	e := b.Entry(m)
	if e.Reservation.Replica != "" {
		e.Reservation.Contested = true
		b.Set(m, e)
	}
}

// FreeIn returns the number of free addresses of the block that are in the pool.
func (b *Block) FreeIn(pool Set) int {
	free := 0
	if len(b.entries) == 256 {
		return free
	}
	for suffix := range 256 {
		m := b.Prefix.Address(byte(suffix))
		if b.Entry(m).Free() && pool.Contains(m) {
			free++
		}
	}
	return free
}

// ReservedBy reports whether a replica that matches has reserved an address of the block.
func (b *Block) ReservedBy(matches func(replica string) bool) bool {
	for replica := range b.counts.reservedBy {
		if matches(replica) {
			return true
		}
	}
	return false
}

// Replicas returns those that have addresses of the block reserved, in no order.
func (b *Block) Replicas() iter.Seq[string] { return maps.Keys(b.counts.reservedBy) }

// Contested reports whether somebody asks for a reserved address of the block.
func (b *Block) Contested() bool { return b.counts.contested > 0 }

// Unsettled reports whether an address of the block is reserved although somebody asks for it, or holds it: the replica
// that has it reserved is to say what is so.
func (b *Block) Unsettled() bool { return b.counts.contested+b.counts.both > 0 }

// Equal reports whether two states of one block are the same but for their versions and for when they were seen.
func (b *Block) Equal(other *Block) bool {
	return maps.EqualFunc(b.entries, other.entries, func(x, y Entry) bool {
		if x.Unread != y.Unread || !x.Reservation.Same(y.Reservation) {
			return false
		}
		return slices.EqualFunc(x.Holds, y.Holds, func(h, i Hold) bool {
			return h.Holder == i.Holder && h.Shared == i.Shared && h.Since.Equal(i.Since)
		})
	})
}

// Set replaces the state of one address.
func (b *Block) Set(m MAC, e Entry) {
	if before, ok := b.entries[m[5]]; ok {
		b.counts.note(before, -1)
	}
	if len(e.Holds) > 0 || e.Reservation.Replica != "" {
		e.Unread = ""
	}
	b.counts.note(e, 1)
	if e.Free() {
		delete(b.entries, m[5])
		return
	}
	b.entries[m[5]] = e
}
