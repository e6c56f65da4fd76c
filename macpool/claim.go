// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"slices"
	"time"
)

// unreadRetry is when to ask again for an address whose row cannot be read. The janitor looks every ten seconds who has
// it. Where nobody has, only a person helps, who is not told before their client has asked ten times more.
const unreadRetry = 10 * time.Second

// A Claim asks for one address.
type Claim struct {
	MAC    MAC
	Holder Holder
	// Again says that this is a second look at the creation of the holder, which has no name: its hold is passed on to the
	// same claim marked as used. A third look finds another's hold.
	Again bool
	// Share says with whom the holder may share the address.
	Share Sharing
	// Replica is who asks: its own reservation is no obstacle.
	Replica string
	// Gone are holds that are known to have no object any more; they make room.
	Gone []Hold
	// Alone says that the holder did not ask for this address: it has again the one it had, unless others have it, too.
	Alone bool
	// Own says that one of them is the holder's own, from before it had its name: it has the address.
	Own bool
	// Regardless takes the address even if it is taken: it was lent already, or the pool only warns.
	Regardless bool
	// Lent says that it was lent already. An object that was without a name then may hold the address by its name by now.
	Lent bool
	// Since is the time of the claim. A hold that is renewed has a later date in any case.
	Since time.Time
}

// Recipient returns who holds the address once the claim is written.
func (c Claim) Recipient() Holder {
	to := c.Holder
	if c.Again {
		to.Object = to.again()
	}
	return to
}

// Claim gives an address to a holder, or renews its hold, which has a later date then. It returns a *TakenError if
// another object has the address and does not share it, and a *ReservedError if it is in another replica's window.
func (b *Block) Claim(c Claim) error {
	e := b.Entry(c.MAC)
	overtaken := func(h Hold) bool {
		return c.Lent && c.Holder.Becomes(h.Object) || c.Holder.again() == h.Object
	}
	if c.Regardless && c.Holder.Name == "" && slices.ContainsFunc(e.Holds, overtaken) {
		// The janitor was faster: the object has its name already, and holds the address by it. Or a second look was.
		b.Unreserve(c.MAC, c.Replica)
		return nil
	}
	others := slices.DeleteFunc(slices.Clone(e.Holds), func(h Hold) bool {
		return h.Object == c.Holder.Object || slices.ContainsFunc(c.Gone, h.sameGift)
	})
	strangers := slices.DeleteFunc(slices.Clone(others), func(h Hold) bool { return h.isInstanceOf(c.Holder.Object) })
	before, renewal := e.HoldOf(c.Holder.Object)
	if joins := !renewal || c.Alone && len(strangers) > 0; joins && !c.Regardless {
		if e.Unread != "" {
			return &BusyError{
				MAC: c.MAC, After: unreadRetry,
				Why: "has a row in MACBlock " + b.Prefix.String() + " that cannot be read, so it is not known who has it: " +
					"correct or remove that row",
			}
		}
		if err := mayJoin(c, strangers, e.Reservation); err != nil {
			return err
		}
	}
	if renewal && !c.Since.After(before.Since) { // given at this very moment, or by a clock that is ahead
		c.Since = before.Since.Add(time.Microsecond)
	}
	shared := before.Shared || len(strangers) > 0 && c.Share.allows(strangers) == nil
	e.Holds = append(others, Hold{Holder: c.Recipient(), Shared: shared, Since: c.Since})
	if e.Reservation.Replica == c.Replica {
		e.Reservation = Reservation{}
	}
	b.Set(c.MAC, e)
	return nil
}

// mayJoin decides whether a newcomer gets an address that others have or a replica has reserved.
func mayJoin(c Claim, others []Hold, r Reservation) error {
	if len(others) > 0 {
		if stranger := c.Share.allows(others); stranger != nil {
			return &TakenError{
				MAC: c.MAC, Holder: stranger.Holder, Asker: c.Holder.Object, Several: len(others) > 1,
			}
		}
		return nil
	}
	if r.Replica != "" && r.Replica != c.Replica {
		return &ReservedError{MAC: c.MAC, Replica: r.Replica}
	}
	return nil
}

// sameGift reports whether two holds are one: the same holder, given the address at the same time.
func (h Hold) sameGift(other Hold) bool {
	return h.Object == other.Object && h.Since.Equal(other.Since)
}
