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

// Set makes the links of the list, and no others, have clients. To call it again with the same list changes
// nothing. A lease of a link that is not in the list, be it from before a restart, is given back: its
// address and routes are removed and the server is told. When the address is static by now, because a plan
// has kept it so, it stays, and the lease is only forgotten.
//
// Call it with the committed state at the start and after each change. The error joins what could not be
// given back; calling it again tries again.
func (c *Clients) Set(wanted []Wanted) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	links := map[string]bool{}
	for _, w := range wanted {
		links[w.Link] = true
		c.want(w)
	}
	for link := range c.running {
		if !links[link] {
			c.unwant(link)
		}
	}
	leased, err := c.store.links()
	errs := []error{err}
	for _, link := range leased {
		if !links[link] {
			errs = append(errs, c.giveBack(link))
		}
	}
	return errors.Join(errs...)
}

// Do carries out a step of kind netstate.StepDHCP and ignores all others, so that a client stops and starts
// at its place in a plan, and again when the plan is undone. Unlike Set it removes no address: what becomes
// of addresses is in the plan as steps of their own. Nor is the lease released before Set confirms it.
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
		return nil
	}
	c.want(Wanted{Link: step.Link, Orders: *to.IPv4})
	return nil
}

// want gives a link a client with these orders.
func (c *Clients) want(w Wanted) {
	orders := ordersOf(w.Orders)
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

// ordersOf keeps of a configuration what concerns a client.
func ordersOf(ip netstate.IP) netstate.IP {
	return netstate.IP{
		AutoDNS: ip.AutoDNS, AutoGateway: ip.AutoGateway, AutoRoutes: ip.AutoRoutes,
		AutoRouteTableID: ip.AutoRouteTableID, AutoRouteMetric: ip.AutoRouteMetric,
		DHCPClientID: ip.DHCPClientID, DHCPSendHostname: ip.DHCPSendHostname, DHCPCustomHostname: ip.DHCPCustomHostname,
	}
}

// giveBack ends the lease of a link that has no client any more.
func (c *Clients) giveBack(link string) error {
	lease, err := c.store.load(link)
	if err != nil {
		return err
	}
	if lease == nil || c.Keep {
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
		routes, err := apply(time.Now(), c.Network, link, lease, nil, netstate.IP{})
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
	for link := range c.running {
		c.unwant(link)
	}
}
