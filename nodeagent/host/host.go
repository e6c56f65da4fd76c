// Package host is the whole network of a node as one value: the kernel's links, addresses and routes, the DHCP clients
// of its links, and its resolver.
package host

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-logr/logr"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/dhcp"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
	"github.com/bridgehead-dev/bridgehead/nodeagent/resolver"
)

// A Host is the whole network of the node: the kernel's, the DHCP clients of its links, and its resolver.
type Host struct {
	*kernel.Kernel
	clients *dhcp.Clients
	file    resolver.File
	log     logr.Logger

	mu  sync.Mutex
	dns netstate.DNSConfig // what policies say
}

// Options are the parts of a Host.
type Options struct {
	Kernel  *kernel.Kernel
	Clients *dhcp.Clients
	// File is the resolver's configuration.
	File resolver.File
	Log  logr.Logger
}

// New returns the host made of these parts. Nothing runs before Run.
func New(o Options) *Host {
	return &Host{Kernel: o.Kernel, clients: o.Clients, file: o.File, log: o.Log}
}

// Read implements kernel.Node.
func (h *Host) Read() (netstate.State, error) {
	state, err := h.Kernel.Read()
	if err != nil {
		return state, err
	}
	state.DNS, err = h.file.Read()
	return state, err
}

// Do implements kernel.Node: each kind of step goes to who can take it.
func (h *Host) Do(step netstate.Step) error {
	switch step.Kind {
	case netstate.StepDHCP:
		return h.clients.Do(step)
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

// Committed has the links of the committed state, and no others, have DHCP clients.
func (h *Host) Committed(state netstate.State) {
	h.mu.Lock()
	h.dns = netstate.DNSConfig{}
	if state.DNS.Config != nil {
		h.dns = *state.DNS.Config
	}
	h.mu.Unlock()
	if err := h.clients.Set(dhcp.WantedBy(state)); err != nil {
		h.log.Error(err, "DHCP clients not as they should be")
	}
}

// Run keeps clients and name servers up until ctx is done.
func (h *Host) Run(ctx context.Context) error {
	go h.followLeases(ctx)
	return h.clients.Run(ctx)
}

func (h *Host) followLeases(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.clients.Changed():
		}
		h.mu.Lock()
		err := h.file.Write(h.dns, h.clients.DNS())
		h.mu.Unlock()
		if err != nil {
			h.log.Error(err, "Name servers not written")
		}
	}
}
