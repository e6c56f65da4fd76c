package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-logr/logr"

	"github.com/bridgehead-dev/bridgehead/nodeagent/dhcp"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
	"github.com/bridgehead-dev/bridgehead/nodeagent/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/resolver"
)

// A host is the whole network of the node: the kernel's, the DHCP clients of its links, and its resolver.
type host struct {
	*kernel.Kernel
	clients *dhcp.Clients
	file    resolver.File
	log     logr.Logger

	mu  sync.Mutex
	dns netstate.DNSConfig // what policies say
}

// Read implements kernel.Node.
func (h *host) Read() (netstate.State, error) {
	state, err := h.Kernel.Read()
	if err != nil {
		return state, err
	}
	state.DNS, err = h.file.Read()
	return state, err
}

// Do implements kernel.Node: each kind of step goes to who can take it.
func (h *host) Do(step netstate.Step) error {
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

func (h *host) setDNS(config netstate.DNSConfig) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.file.Write(config, h.clients.DNS()); err != nil {
		return fmt.Errorf("configure name servers: %w", err)
	}
	h.dns = config
	return nil
}

// committed has the links of the committed state, and no others, have DHCP clients.
func (h *host) committed(state netstate.State) {
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

// run keeps clients and name servers up until ctx is done.
func (h *host) run(ctx context.Context) error {
	go h.followLeases(ctx)
	return h.clients.Run(ctx)
}

func (h *host) followLeases(ctx context.Context) {
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
