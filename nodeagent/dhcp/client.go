// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// retryPause is how long a client waits after the kernel or the disk failed it.
const retryPause = 5 * time.Second

// A client keeps the lease of one link: it tells its machine what happens, and does what the machine says.
// All of it happens on the goroutine of run, but for what others read through held.
type client struct {
	link    string
	orders  netstate.IP
	network Network
	store   store
	// hostname is the node's.
	hostname string
	// changed is called when held has changed; it does not block.
	changed func()
	log     logr.Logger

	// poke says that the link may have changed; quit ends run, which then closes done.
	poke, quit, done chan struct{}
	// held is the lease that is in force, nil for none.
	held atomic.Pointer[Lease]

	machine *machine
	station kernel.Station
	// blind says that station is not what the link is now, and has to be read again.
	blind bool
	conn  *conn
	// foreign says that somebody else renews an address of the link, and that we keep out.
	foreign bool
	// placed is the lease whose address and routes the link has, unless torn says that something of it is gone.
	placed *Lease
	torn   bool
	// retry is when to try again what failed; zero for nothing.
	retry time.Time
}

// start makes a client and lets it run.
func (c *client) start() {
	c.poke, c.quit, c.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go c.run()
}

// stop ends the client and leaves the link as it is. When it returns, the client does nothing any more.
func (c *client) stop() {
	close(c.quit)
	<-c.done
}

// nudge makes the client look at its link. It never blocks.
func (c *client) nudge() {
	select {
	case c.poke <- struct{}{}:
	default: // it is about to look anyway
	}
}

// run serves the link until quit.
func (c *client) run() {
	defer close(c.done)
	defer c.hangUp()
	c.look(time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		c.act(time.Now())
		timer.Reset(c.rest(time.Now()))
		var heard <-chan *dhcpv4.DHCPv4
		var heardARP <-chan arp
		if c.conn != nil {
			heard, heardARP = c.conn.heard, c.conn.heardARP
		}
		select {
		case <-c.quit:
			return
		case <-c.poke:
			c.look(time.Now())
		case message, open := <-heard:
			if !open { // the kernel closes a conn when the link goes down
				c.hangUp()
				c.later(time.Now())
				continue
			}
			c.machine.receive(time.Now(), message)
		case packet, open := <-heardARP:
			if !open {
				c.hangUp()
				c.later(time.Now())
				continue
			}
			if c.machine.receiveARP(time.Now(), packet) {
				c.log.Info("the address that the server gave is in use, and is declined", "link", c.link, "by", packet.mac.String())
			}
		case <-timer.C:
		}
	}
}

// rest is how long there is nothing to do, unless something happens.
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
	station, err := c.network.Station(c.link)
	if err != nil {
		c.log.Error(err, "read link", "link", c.link)
		c.blind = true
		c.later(now)
		return
	}
	c.blind = false
	was := c.station
	c.station = station
	if station.Index != was.Index {
		c.hangUp() // its sockets are of no use
	}
	if station.Index == 0 {
		if c.machine != nil {
			c.machine.setUp(now, false)
		}
		return
	}
	if c.machine == nil || c.machine.id.mac != station.MAC {
		if !c.begin(station) {
			c.blind = true
			c.later(now)
			return
		}
	}
	c.foreign = c.machine.lease == nil && c.renewedByOthers(station)
	if !was.Running || station.Index != was.Index || station.Losses != was.Losses {
		c.machine.setUp(now, false)
		c.retry, c.torn = time.Time{}, true // the kernel forgets the routes of a link that goes down
	}
	c.machine.setUp(now, station.Running && !c.foreign)
	c.restore(now)
}

// restore puts back an address that somebody took from the link, after a pause, so as not to fight over it.
func (c *client) restore(now time.Time) {
	lease := c.machine.lease
	if lease == nil || lease != c.placed || c.torn || hasAddress(c.station, *lease) {
		return
	}
	c.log.Info("the address of a lease was removed", "link", c.link, "address", lease.Address.String())
	c.torn = true
	c.later(now)
}

// begin makes the machine of a link that is new to us, or has a new MAC. It goes on with the lease on disk,
// and returns false when the disk cannot be read.
func (c *client) begin(station kernel.Station) bool {
	last, err := c.store.load(c.link)
	if err != nil {
		c.log.Error(err, "begin without the last lease", "link", c.link)
		return false
	}
	if last != nil && last.MAC != station.MAC {
		c.placed, last = last, nil // what was lent to another MAC is removed
	}
	held := last != nil && hasAddress(station, *last)
	c.machine = newMachine(c.link, identify(station.MAC, c.orders, c.hostname), rand.Uint32, last, held)
	return true
}

// renewedByOthers reports whether the link has an address with an end that none of our leases explains.
func (c *client) renewedByOthers(station kernel.Station) bool {
	return slices.ContainsFunc(station.Addresses, func(a netstate.Address) bool {
		ours := slices.ContainsFunc([]*Lease{c.machine.last, c.placed}, func(l *Lease) bool {
			return l != nil && l.Address == a.Prefix()
		})
		return a.Dynamic() && !ours
	})
}

// hasAddress reports whether a link has the address of a lease.
func hasAddress(station kernel.Station, l Lease) bool {
	return slices.ContainsFunc(station.Addresses, func(a netstate.Address) bool { return a.Prefix() == l.Address })
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
	lease := c.machine.lease
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
		conn, err := listen(c.link)
		if err != nil {
			c.log.Error(err, "cannot ask for an address", "link", c.link)
			c.later(now)
			return
		}
		c.conn = conn
	}
	for _, letter := range letters {
		if err := c.conn.send(letter); err != nil {
			kind := "ARP"
			if letter.message != nil {
				kind = letter.message.MessageType().String()
			}
			c.log.V(1).Info("a question was lost", "link", c.link, "kind", kind, "reason", err.Error())
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
