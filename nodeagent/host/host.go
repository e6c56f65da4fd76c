// SPDX-License-Identifier: Apache-2.0

// Package host is the whole network of a node as one value: the kernel's links, addresses and routes, the DHCP clients
// of its links, what is listened to for neighbours, and its resolver.
package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/dhcp"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
	"github.com/bridgehead-dev/bridgehead/nodeagent/lldp"
	"github.com/bridgehead-dev/bridgehead/nodeagent/managers"
	"github.com/bridgehead-dev/bridgehead/nodeagent/resolver"
)

// A Host is the whole network of the node: the kernel's, the DHCP clients of its links, what is listened to for
// neighbours, and its resolver.
type Host struct {
	*kernel.Kernel
	clients   *dhcp.Clients
	listeners *lldp.Listeners
	managers  *managers.Managers
	file      resolver.File
	log       logr.Logger

	mu  sync.Mutex
	dns netstate.DNSConfig // what was configured last
}

// Options are the parts of a Host.
type Options struct {
	Kernel    *kernel.Kernel
	Clients   *dhcp.Clients
	Listeners *lldp.Listeners
	// Managers are the programs that links are taken over from.
	Managers *managers.Managers
	// File is the resolver's configuration.
	File resolver.File
	Log  logr.Logger
}

// New returns the host made of these parts. Nothing runs before Run.
func New(o Options) *Host {
	return &Host{
		Kernel: o.Kernel, clients: o.Clients, listeners: o.Listeners, managers: o.Managers, file: o.File, log: o.Log,
	}
}

// Resume has run again what ran when the process before this one ended, on this boot of the machine. Call it before
// anything else.
func (h *Host) Resume() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var err error
	if h.dns, err = h.file.Configured(); err != nil {
		return err
	}
	return errors.Join(h.clients.Resume(), h.listeners.Resume())
}

// Read implements kernel.Node. What the kernel cannot show is read from what runs: a link with a DHCP client is one
// with DHCP, whether or not a server has given it an address.
func (h *Host) Read() (netstate.State, error) {
	state, err := h.Kernel.Read()
	if err != nil {
		return state, err
	}
	for n, i := range state.Interfaces {
		if orders, running := h.clients.Orders(i.Name, false); running {
			state.Interfaces[n].IPv4 = withDHCP(i.IPv4, orders)
		}
		if orders, running := h.clients.Orders(i.Name, true); running && i.IPv6 != nil {
			state.Interfaces[n].IPv6 = withDHCPv6(*i.IPv6, orders)
		}
		if neighbors, listening := h.listeners.Neighbors(i.Name); listening {
			state.Interfaces[n].LLDP = &netstate.LLDP{Enabled: new(true), Neighbors: neighbors}
		}
	}
	if state.DNS, err = h.file.Read(); err != nil {
		return state, err
	}
	return h.managers.Read(state)
}

// Hold keeps links from the programs that managed them, and gives others back; see managers.Managers.Hold.
func (h *Host) Hold(links []string) error { return h.managers.Hold(links) }

// Held returns the links that are kept from the programs that managed them.
func (h *Host) Held() ([]string, error) { return h.managers.Held() }

// RemoveProfiles deletes what kubernetes-nmstate left for some links; see managers.Managers.RemoveProfiles.
func (h *Host) RemoveProfiles(links []string) ([]string, error) {
	return h.managers.RemoveProfiles(links)
}

// withDHCP returns the IPv4 configuration of a link whose client has these orders.
func withDHCP(now *netstate.IP, orders netstate.IP) *netstate.IP {
	orders.Enabled, orders.DHCP = new(true), new(true)
	if now != nil {
		orders.Address, orders.Forwarding = now.Address, now.Forwarding
	}
	return &orders
}

// withDHCPv6 returns the IPv6 configuration of a link whose client has these orders. The kernel knows whether IPv6 is
// on.
func withDHCPv6(now netstate.IP, orders netstate.IP) *netstate.IP {
	if now.Enabled == nil || !*now.Enabled {
		return &now
	}
	orders.DHCP, orders.Enabled, orders.Autoconf, orders.Address = new(true), now.Enabled, now.Autoconf, now.Address
	orders.AddrGenMode, orders.Token = now.AddrGenMode, now.Token
	orders.Forwarding, orders.AcceptRA = now.Forwarding, now.AcceptRA
	return &orders
}

// Do implements kernel.Node: each kind of step goes to who can take it.
func (h *Host) Do(step netstate.Step) error {
	switch step.Kind {
	case netstate.StepDHCP:
		return h.clients.Do(step)
	case netstate.StepLLDP:
		return h.listeners.Do(step)
	case netstate.StepManager:
		return h.managers.Do(step)
	case netstate.StepDNS:
		var config netstate.DNSConfig
		if step.To.DNS != nil {
			config = *step.To.DNS
		}
		return h.setDNS(config)
	default:
		return h.Kernel.Do(step)
	}
}

func (h *Host) setDNS(config netstate.DNSConfig) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.file.Write(config, h.clients.DNS()); err != nil {
		return fmt.Errorf("configure name servers: %w", err)
	}
	h.dns = config
	return nil
}

// Committed ends leases that a change has made an end of. Call it when a change is final.
func (h *Host) Committed() {
	if err := h.clients.GiveBack(); err != nil {
		h.log.Error(err, "Cannot release leases")
	}
}

// Watch tells when something changes, as kernel.Kernel.Watch does, neighbours included.
func (h *Host) Watch(ctx context.Context) (<-chan kernel.Change, error) {
	changes, err := h.Kernel.Watch(ctx)
	if err != nil {
		return nil, err
	}
	all := make(chan kernel.Change)
	go h.addNeighbors(ctx, changes, all)
	return all, nil
}

// addNeighbors passes changes on, and tells of links whose neighbours have changed.
func (h *Host) addNeighbors(ctx context.Context, changes <-chan kernel.Change, all chan<- kernel.Change) {
	defer close(all)
	for {
		change, open := kernel.Change{Links: map[string]bool{}}, true
		select {
		case change, open = <-changes:
		case <-h.listeners.Changed():
			for _, link := range h.listeners.Links() {
				change.Links[link] = true
			}
		}
		if !open {
			return
		}
		select {
		case all <- change:
		case <-ctx.Done():
			return
		}
	}
}

// Run keeps clients, listeners and name servers up until ctx is done.
func (h *Host) Run(ctx context.Context) error {
	go h.followLeases(ctx)
	ended := make(chan error, 1)
	go func() { ended <- h.listeners.Run(ctx) }()
	return errors.Join(h.clients.Run(ctx), <-ended)
}

func (h *Host) followLeases(ctx context.Context) {
	write := func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.file.Write(h.dns, h.clients.DNS())
	}
	follow(ctx, h.clients.Changed(), write, h.log)
}

// writeAgain is how long after name servers could not be written that is tried again, as when the program that keeps
// them is just being started.
const writeAgain = 10 * time.Second

// follow writes name servers whenever they have changed, until ctx is done, and again if that failed, unless it is
// another program's business or not permitted.
func follow(ctx context.Context, changed <-chan struct{}, write func() error, log logr.Logger) {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-again:
		}
		again = nil
		err := write()
		if err == nil {
			continue
		}
		log.Error(err, "Cannot write name servers")
		var kept *resolver.KeptError
		var readOnly *resolver.ReadOnlyError
		if !errors.As(err, &kept) && !errors.As(err, &readOnly) {
			again = time.After(writeAgain)
		}
	}
}
