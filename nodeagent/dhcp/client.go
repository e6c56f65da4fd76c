// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// retryPause is how long a client waits after the kernel or the disk failed it.
const retryPause = 5 * time.Second

// A protocol is DHCP as one version of IP has it: a machine or a machine6. It has no clock and no socket.
type protocol interface {
	// setUp reports whether the link can carry messages. When it comes up, everything is asked again.
	setUp(now time.Time, up bool)
	// wake returns when tick has something to do; the zero time means never.
	wake() time.Time
	// tick does what is due and returns the messages to send, if any.
	tick(now time.Time) []outgoing
	// listening reports whether an answer is awaited.
	listening() bool
	// hear takes what the link heard, and returns what is to be logged of it, "" for nothing.
	hear(now time.Time, in incoming) (remark string)
	// held returns the lease that is held, and remembered the last one; nil for none.
	held() *Lease
	remembered() *Lease
	// mac is whom the machine speaks for.
	mac() netstate.MAC
}

// A speaker listens and speaks on a link: a conn or a conn6.
type speaker interface {
	send(p outgoing) error
	hears() (heard <-chan incoming, ended <-chan struct{})
	close()
}

// A client keeps the lease of one link and version of IP: it tells its machine what happens, and does what the machine
// says. All of it happens on the goroutine of run, but for what others read through held.
type client struct {
	worker
	Wanted
	network Network
	store   store
	// hostname and machineID are the node's.
	hostname, machineID string
	// changed is called when held has changed; it does not block.
	changed func()
	log     logr.Logger

	// held is the lease that is in force, nil for none.
	held atomic.Pointer[Lease]

	machine protocol
	station kernel.Station
	// blind says that station is not what the link is now, and has to be read again.
	blind bool
	conn  speaker
	// foreign says that somebody else renews an address of the link, and that we keep out.
	foreign bool
	// placed is the lease whose address and routes the link has, unless torn says that something of it is gone.
	placed *Lease
	torn   bool
	// tentative says that the address of placed is new to the link, and that the kernel may find it with somebody else.
	tentative bool
	// retry is when to try again what failed; zero for nothing.
	retry time.Time
}

// run serves the link until quit.
func (c *client) run() {
	defer c.hangUp()
	c.look(time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		c.act(time.Now())
		timer.Reset(c.rest(time.Now()))
		var heard <-chan incoming
		var ended <-chan struct{}
		if c.conn != nil {
			heard, ended = c.conn.hears()
		}
		select {
		case <-c.quit:
			return
		case <-c.poke:
			c.look(time.Now())
		case in := <-heard:
			if remark := c.machine.hear(time.Now(), in); remark != "" {
				c.log.Info(remark, "link", c.Link)
			}
		case <-ended: // the kernel closes a conn when the link goes down
			c.hangUp()
			c.later(time.Now())
		case <-timer.C:
		}
	}
}

// rest returns how long there is nothing to do, unless something happens.
func (c *client) rest(now time.Time) time.Duration {
	const long = time.Hour
	next := now.Add(long)
	if c.machine != nil {
		if wake := c.machine.wake(); !wake.IsZero() && wake.Before(next) {
			next = wake
		}
	}
	if !c.retry.IsZero() && (c.retry.Before(next) || c.waiting()) {
		next = c.retry
	}
	return max(next.Sub(now), 0)
}

// waiting reports whether the client must not speak before its retry, for it has no conn.
func (c *client) waiting() bool { return c.machine != nil && c.machine.listening() && c.conn == nil }

// later schedules a retry.
func (c *client) later(now time.Time) { c.retry = now.Add(retryPause) }

// look reads the link and tells the machine.
func (c *client) look(now time.Time) {
	station, err := c.readStation()
	if err != nil {
		c.log.Error(err, "read link", "link", c.Link)
		c.blind = true
		c.later(now)
		return
	}
	c.blind = false
	was := c.station
	c.station = station
	if station.Index != was.Index || station.LinkLocal != was.LinkLocal {
		c.hangUp() // its sockets are of no use
	}
	if station.Index == 0 {
		if c.machine != nil {
			c.machine.setUp(now, false)
		}
		return
	}
	if c.machine == nil || c.machine.mac() != station.MAC {
		if !c.begin(station) {
			c.blind = true
			c.later(now)
			return
		}
	}
	c.foreign = c.machine.held() == nil && c.renewedByOthers(station)
	if !was.Running || station.Index != was.Index || station.Losses != was.Losses {
		c.machine.setUp(now, false)
		c.retry, c.torn = time.Time{}, true // the kernel forgets the routes of a link that goes down
	}
	c.followRouters(now)
	c.machine.setUp(now, station.Running && !c.foreign)
	c.checkDuplicate(now, was)
	c.restore(now)
}

// restore puts back an address that somebody took from the link, after a pause, so as not to fight over it.
func (c *client) restore(now time.Time) {
	lease := c.machine.held()
	if lease == nil || lease != c.placed || c.torn || hasAddress(c.station, *lease) {
		return
	}
	c.log.Info("the address of a lease was removed", "link", c.Link, "address", lease.Address.String())
	c.torn = true
	c.later(now)
}

// begin makes the machine of a link that is new to us, or has a new MAC. It goes on with the lease on disk,
// and returns false when the disk cannot be read.
func (c *client) begin(station kernel.Station) bool {
	last, err := c.store.load(c.Link)
	if err != nil {
		c.log.Error(err, "cannot read the last lease, starting without it", "link", c.Link)
		return false
	}
	if last != nil && last.MAC != station.MAC {
		c.placed, last = last, nil // what was lent to another MAC is removed
	}
	held := last != nil && hasAddress(station, *last)
	if !c.IPv6 {
		c.machine = newMachine(c.Link, identify(station.MAC, c.Orders, c.hostname), rand.Uint32, last, held)
		return true
	}
	current, err := c.network.Read()
	if err != nil {
		c.log.Error(err, "cannot determine the client identity to ask for an address with", "link", c.Link)
		return false
	}
	id := identify6(station.MAC, vlanOf(current, c.Link), c.Orders, c.hostname, c.machineID, last, time.Now())
	c.machine = newMachine6(c.Link, id, rand.Uint32, last, held)
	return true
}

// renewedByOthers reports whether the link has an address with an end that none of our leases explains. What we place
// has no end to speak of, and is ours also when its lease has been forgotten. IPv6 addresses with a shorter prefix are
// made of what routers say.
func (c *client) renewedByOthers(station kernel.Station) bool {
	return slices.ContainsFunc(station.Addresses, func(a netstate.Address) bool {
		ours := slices.ContainsFunc([]*Lease{c.machine.remembered(), c.placed}, func(l *Lease) bool {
			return l != nil && l.Address == a.Prefix()
		})
		leased := a.IP.Is4() || a.PrefixLength == a.IP.BitLen()
		return a.Dynamic() && leased && a.ValidLifeTime < lifetime/2 && !ours
	})
}

// hasAddress reports whether a link has the address of a lease, if it has one.
func hasAddress(station kernel.Station, l Lease) bool {
	return !l.Address.IsValid() ||
		slices.ContainsFunc(station.Addresses, func(a netstate.Address) bool { return a.Prefix() == l.Address })
}

// act does everything that is due.
func (c *client) act(now time.Time) {
	if !c.retry.IsZero() && !now.Before(c.retry) {
		c.retry = time.Time{}
		if c.blind {
			c.look(now)
		}
	}
	if c.machine == nil || !c.retry.IsZero() && c.waiting() {
		return
	}
	letters := c.machine.tick(now)
	lease := c.machine.held()
	if c.retry.IsZero() && (lease != c.placed || lease != nil && c.torn) {
		c.putInForce(now)
	}
	if c.machine.listening() || len(letters) > 0 {
		c.speak(now, letters)
	}
	if !c.machine.listening() {
		c.hangUp()
	}
}

// speak listens, and then sends. A message that cannot be sent is as good as lost: it is sent again.
func (c *client) speak(now time.Time, letters []outgoing) {
	if c.conn == nil {
		conn, err := c.listen()
		if err != nil {
			c.log.Error(err, "cannot ask for an address", "link", c.Link)
			c.later(now)
			return
		}
		c.conn = conn
	}
	for _, letter := range letters {
		if err := c.conn.send(letter); err != nil {
			c.log.V(1).Info("cannot send a DHCP message", "link", c.Link, "kind", letter.kind(), "reason", err.Error())
		}
	}
}

// hangUp closes the conn, if there is one.
func (c *client) hangUp() {
	if c.conn != nil {
		c.conn.close()
		c.conn = nil
	}
}
