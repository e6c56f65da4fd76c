// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// Clients are the DHCP clients of a node. Its methods may be called from several goroutines. Clients begin
// to work when they are wanted; only what changes about their links is not seen before Run.
type Clients struct {
	Options
	store   store
	changed chan struct{}

	mu sync.Mutex
	// running has the clients by their links.
	running map[string]*client
	closed  bool
}

// New returns Clients that nothing is wanted of yet.
func New(o Options) *Clients {
	return &Clients{Options: o, store: store{o.Folder}, changed: make(chan struct{}, 1), running: map[string]*client{}}
}

// Resume has the clients go on that ran when the process before this one ended. After a reboot none did: what the
// node is committed to starts them anew. Call it before anything else.
func (c *Clients) Resume() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted, err := c.store.wanted(c.Boot)
	for _, w := range wanted {
		c.want(w)
	}
	return err
}

// GiveBack ends leases of links that have no client any more: their addresses and routes are removed and the servers
// told. When such an address is static by now, because a plan has kept it so, it stays, and the lease is only
// forgotten. A link keeps its client, and so its lease, until a step says otherwise, whatever becomes of policies.
//
// Call it after each change that is final. The error joins what could not be given back; calling it again tries again.
func (c *Clients) GiveBack() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	leased, err := c.store.links()
	errs := []error{err}
	for _, link := range leased {
		if c.running[link] == nil {
			errs = append(errs, c.giveBack(link))
		}
	}
	return errors.Join(errs...)
}

// Orders returns what the client of a link is told to do with what it learns, and whether the link has a client.
func (c *Clients) Orders(link string) (orders netstate.IP, running bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	client := c.running[link]
	if client == nil {
		return netstate.IP{}, false
	}
	return client.orders, true
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
	to := step.To.Link
	if to == nil || to.IPv4 == nil || !orElse(to.IPv4.DHCP, false) {
		c.unwant(step.Link)
		return c.store.unwant(step.Link)
	}
	wanted := Wanted{Link: step.Link, Orders: ordersOf(*to.IPv4)}
	if err := c.store.want(c.Boot, wanted); err != nil {
		return err
	}
	c.want(wanted)
	return nil
}

// want gives a link a client with these orders.
func (c *Clients) want(w Wanted) {
	orders := w.Orders
	if old := c.running[w.Link]; old != nil {
		if reflect.DeepEqual(old.orders, orders) {
			return
		}
		c.unwant(w.Link) // its lease is on disk, and the next client goes on with it
	}
	next := &client{
		link: w.Link, orders: orders, network: c.Network, store: c.store, hostname: c.Hostname,
		changed: c.announce, log: c.Log,
	}
	c.running[w.Link] = next
	next.start()
}

// unwant stops the client of a link, if there is one.
func (c *Clients) unwant(link string) {
	if old := c.running[link]; old != nil {
		old.stop()
		delete(c.running, link)
		c.announce()
	}
}

// ordersOf keeps of a configuration what is said to a client.
func ordersOf(ip netstate.IP) netstate.IP {
	ip.Enabled, ip.DHCP, ip.Address, ip.AllowExtraAddress = nil, nil, nil, nil
	return ip
}

// giveBack ends the lease of a link that has no client any more.
func (c *Clients) giveBack(link string) error {
	lease, err := c.store.load(link)
	if err != nil {
		return err
	}
	if lease == nil {
		return c.store.remove(link)
	}
	current, err := c.Network.Read()
	if err != nil {
		return fmt.Errorf("give back the lease of %s: %w", link, err)
	}
	address, found := addressOf(current, link, lease.Address)
	if !found || address.Dynamic() {
		if time.Now().Before(lease.Expires()) {
			c.release(*lease)
		}
		routes, err := apply(c.Network, link, lease, nil, netstate.IP{})
		if err := errors.Join(routes, err); err != nil {
			return fmt.Errorf("give back the lease of %s: %w", link, err)
		}
	}
	return c.store.remove(link)
}

// release tells the server. It is a courtesy: the lease ends by itself, and the message is not answered. It
// goes to all servers, which know by its content whom it is for, since the address may be gone already.
func (c *Clients) release(lease Lease) {
	log := c.Log.WithValues("link", lease.Link, "address", lease.Address.String())
	conn, err := listen(lease.Link)
	if err != nil {
		log.Info("cannot release a lease", "reason", err.Error())
		return
	}
	defer conn.close()
	var xid dhcpv4.TransactionID
	binary.BigEndian.PutUint32(xid[:], rand.Uint32())
	id := identity{mac: lease.MAC, clientID: lease.ClientID}
	letter := outgoing{From: lease.Address.Addr(), message: id.release(lease, xid)}
	if err := conn.send(letter); err != nil {
		log.Info("cannot release a lease", "reason", err.Error())
		return
	}
	log.Info("released a lease")
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

// Leases are the leases in force, in the order of their links.
func (c *Clients) Leases() []Lease {
	c.mu.Lock()
	defer c.mu.Unlock()
	var leases []Lease
	for _, link := range slices.Sorted(maps.Keys(c.running)) {
		if lease := c.running[link].held.Load(); lease != nil {
			leases = append(leases, *lease)
		}
	}
	return leases
}

// DNS is what the leases in force say about name servers, as far as the orders let it in (auto-dns): each
// server and each search domain once, in the order of the links.
func (c *Clients) DNS() netstate.DNSConfig {
	c.mu.Lock()
	defer c.mu.Unlock()
	var dns netstate.DNSConfig
	for _, link := range slices.Sorted(maps.Keys(c.running)) {
		lease := c.running[link].held.Load()
		if lease == nil || !orElse(c.running[link].orders.AutoDNS, true) {
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
	for link, client := range c.running {
		if change.Overrun || change.Addresses || change.Links[link] {
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
	c.running = map[string]*client{}
}
