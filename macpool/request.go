// SPDX-License-Identifier: Apache-2.0

package macpool

// A Pool is what a request may be given addresses from, and how strictly explicit ones are judged.
type Pool struct {
	Name string
	Set  Set
	// Tolerate admits a holder that asks for an address another one has, instead of refusing it.
	Tolerate bool
}

// An Ask is the address one interface wants.
type Ask struct {
	Interface string
	// MAC is the address asked for; zero for any of the pool.
	MAC MAC
	// Share says with whom the interface may share the address it asks for.
	Share Sharing
	// Own says that the address is one that the object holds already, chosen for an interface that asked for any.
	Own bool
}

// Any reports whether the interface asked for any address: it gets one that nobody else has.
func (a Ask) Any() bool { return a.MAC == (MAC{}) || a.Own }

// A Request asks for the addresses of one object. All are given, or none.
type Request struct {
	Holder Object
	// Again says that this is a second look at the creation of an object without a name: what its claim holds is passed
	// on, once, see Claim.Again. If it holds nothing that is asked for, the answer is ErrStaleClaim.
	Again bool
	Pool  Pool
	Asks  []Ask
	// Kept are addresses of the object's other interfaces, which are not asked about: no ask is answered with one.
	Kept []MAC
	// Left are addresses that the object had on interfaces which it is to have no more, and that nothing uses meanwhile.
	// They answer asks for any where the pool has no others.
	Left []MAC
}

// Tolerates reports whether an interface may have what another has: the address that it asks for, where the pool lets
// it. One that asks for any gets one that nobody has.
func (r Request) Tolerates(a Ask) bool { return r.Pool.Tolerate && !a.Any() }

// A Grant is the answer to a request.
type Grant struct {
	// MACs has an address for every ask, in order.
	MACs []MAC
	// Collisions are addresses that were given although somebody else holds them, because the pool tolerates it.
	Collisions []*TakenError
}

// Usage counts the addresses of a pool.
type Usage struct {
	Total, Used, Reserved uint64
	// Unread are those whose row in a MACBlock cannot be read: somebody has them.
	Unread uint64
}

// Free returns the number of addresses that nobody has.
func (u Usage) Free() uint64 { return u.Total - u.Used - u.Reserved - u.Unread }
