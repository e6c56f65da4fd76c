// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// Clients are the DHCP clients of a node. Its methods may be called from several goroutines. Clients begin
// to work when they are wanted; only what changes about their links is not seen before Run.
type Clients struct {
	Options
	changed chan struct{}

	// mu guards what follows. Methods whose names end in Locked are called with it held, the others without.
	mu      sync.Mutex
	running map[seat]*client
	closed  bool
}

// A seat is where there is one client at most.
type seat struct {
	link string
	ipv6 bool
}

// New returns Clients that nothing is wanted of yet.
func New(o Options) *Clients {
	return &Clients{Options: o, changed: make(chan struct{}, 1), running: map[seat]*client{}}
}

// stores returns where leases are kept, those of IPv6 last.
func (c *Clients) stores() []store { return []store{c.store(false), c.store(true)} }

func (c *Clients) store(ipv6 bool) store { return store{folder: c.Folder, ipv6: ipv6} }

// Resume has the clients go on that ran when the process before this one ended. After a reboot none did: what the
// node is committed to starts them again. Call it before anything else.
func (c *Clients) Resume() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, store := range c.stores() {
		wanted, err := store.wanted(c.Boot)
		for _, w := range wanted {
			c.wantLocked(w)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Orders returns what the client of a link and version of IP is told to do with what it learns, and whether there is
// one.
func (c *Clients) Orders(link string, ipv6 bool) (orders netstate.IP, running bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	client := c.running[seat{link, ipv6}]
	if client == nil {
		return netstate.IP{}, false
	}
	return client.Orders, true
}

// Do carries out a step of kind netstate.StepDHCP and ignores all others, so that a client stops and starts at its
// place in a plan, and again when the plan is undone. It removes no address: what becomes of addresses is in the plan
// as steps of their own. Nor is the lease released before GiveBack.
func (c *Clients) Do(step netstate.Step) error {
	if step.Kind != netstate.StepDHCP {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	to, ipv6 := ordered(step)
	at := seat{step.Link, ipv6}
	if to == nil || !orElse(to.DHCP, false) {
		c.unwantLocked(at)
		return c.store(ipv6).unwant(step.Link)
	}
	wanted := Wanted{Link: step.Link, IPv6: ipv6, Orders: ordersOf(*to)}
	if err := c.store(ipv6).want(c.Boot, wanted); err != nil {
		return err
	}
	c.wantLocked(wanted)
	return nil
}

// ordered returns the configuration that a step is to, and which version of IP it is about; nil for none.
func ordered(step netstate.Step) (to *netstate.IP, ipv6 bool) {
	for _, link := range []*netstate.Interface{step.To.Link, step.From.Link} {
		ipv6 = ipv6 || link != nil && link.IPv6 != nil
	}
	switch {
	case step.To.Link == nil:
		return nil, ipv6
	case ipv6:
		return step.To.Link.IPv6, true
	}
	return step.To.Link.IPv4, false
}

// wantLocked gives a link a client with these orders.
func (c *Clients) wantLocked(w Wanted) {
	at := seat{w.Link, w.IPv6}
	if old := c.running[at]; old != nil {
		if reflect.DeepEqual(old.Wanted, w) {
			return
		}
		c.unwantLocked(at) // its lease is on disk, and the next client goes on with it
	}
	next := &client{
		Wanted: w, network: c.Network, store: c.store(w.IPv6), hostname: c.Hostname, machineID: c.MachineID,
		changed: c.announce, log: c.Log,
	}
	c.running[at] = next
	next.start(next.run)
}

// unwantLocked stops the client of a seat, if there is one.
func (c *Clients) unwantLocked(at seat) {
	if old := c.running[at]; old != nil {
		old.stop()
		delete(c.running, at)
		c.announce()
	}
}

// ordersOf keeps of a configuration what is said to a client.
func ordersOf(ip netstate.IP) netstate.IP {
	ip.Enabled, ip.DHCP, ip.Address, ip.AllowExtraAddress = nil, nil, nil, nil
	return ip
}

// Changed yields a value after Leases or DNS have changed; several changes may yield one value.
func (c *Clients) Changed() <-chan struct{} { return c.changed }

// announce makes Changed yield. It never blocks.
func (c *Clients) announce() {
	select {
	case c.changed <- struct{}{}:
	default: // a value is waiting
	}
}

// Leases returns the leases in force, in the order of their links, those of IPv6 last.
func (c *Clients) Leases() []Lease {
	c.mu.Lock()
	defer c.mu.Unlock()
	var leases []Lease
	for _, at := range c.seatsLocked() {
		if lease := c.running[at].held.Load(); lease != nil {
			leases = append(leases, *lease)
		}
	}
	return leases
}

// seatsLocked returns those that have a client, those of IPv6 last.
func (c *Clients) seatsLocked() []seat {
	place := func(at seat) string {
		if at.ipv6 {
			return "6 " + at.link
		}
		return "4 " + at.link
	}
	return slices.SortedFunc(maps.Keys(c.running), func(a, b seat) int { return strings.Compare(place(a), place(b)) })
}

// DNS returns what the leases in force say about name servers, as far as the orders let it in (auto-dns): each
// server and each search domain once, in the order of the links.
func (c *Clients) DNS() netstate.DNSConfig {
	c.mu.Lock()
	defer c.mu.Unlock()
	var dns netstate.DNSConfig
	for _, at := range c.seatsLocked() {
		lease := c.running[at].held.Load()
		if lease == nil || !orElse(c.running[at].Orders.AutoDNS, true) {
			continue
		}
		for _, server := range lease.DNS {
			dns.Server = appendNew(dns.Server, server.String())
		}
		for _, domain := range lease.Search {
			dns.Search = appendNew(dns.Search, domain)
		}
	}
	return dns
}

// appendNew appends a word that is not in the list yet.
func appendNew(list []string, word string) []string {
	if slices.Contains(list, word) {
		return list
	}
	return append(list, word)
}

// Run tells the clients what happens to their links until ctx is done, and then stops them. Leases are kept,
// for the next start. A Clients is run once.
func (c *Clients) Run(ctx context.Context) error {
	defer c.close()
	for ctx.Err() == nil {
		changes, err := c.Network.Watch(ctx)
		if err != nil {
			return fmt.Errorf("watch the links of DHCP clients: %w", err)
		}
		c.nudge(kernel.Change{Overrun: true}) // what happened before the watch
		for change := range changes {
			c.nudge(change)
		}
	}
	return nil
}

// nudge wakes the clients that a change may concern.
func (c *Clients) nudge(change kernel.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at, client := range c.running {
		if change.Overrun || change.Addresses || change.Links[at.link] {
			client.nudge()
		}
	}
}

// close stops all clients for good.
func (c *Clients) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, client := range c.running {
		client.stop()
	}
	c.running = map[seat]*client{}
}
