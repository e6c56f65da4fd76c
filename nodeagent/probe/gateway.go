// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A Reader reads the current state: a kernel.Node.
type Reader interface {
	Read() (netstate.State, error)
}

// A neighbour is a default gateway and the link it is behind.
type neighbour struct {
	link string
	addr netip.Addr
}

func (n neighbour) String() string { return n.addr.String() + " through " + n.link }

// gateways returns those that traffic of one IP version goes to when no other route is better: the default
// routes of the main table with the lowest metric. A default route without a gateway has nobody to ask.
func gateways(s netstate.State, ipv6 bool) []neighbour {
	var best []neighbour
	lowest := 0
	for _, r := range s.Routes.Running {
		table, metric := netstate.TableMain, 0
		if r.TableID != nil {
			table = *r.TableID
		}
		if r.Metric != nil {
			metric = *r.Metric
		}
		isDefault := r.Destination.Bits() == 0 && r.Destination.Addr().Is6() == ipv6 && table == netstate.TableMain
		if !isDefault || !r.NextHopAddress.IsValid() || r.NextHopAddress.IsUnspecified() {
			continue
		}
		if len(best) > 0 && metric > lowest {
			continue
		}
		if metric < lowest {
			best = nil
		}
		best, lowest = append(best, neighbour{r.NextHopInterface, r.NextHopAddress}), metric
	}
	return best
}

// Gateways returns the probes of the default gateways of both IP versions. They ask the current gateways for
// their link-layer address, by ARP and neighbour discovery: a router that drops pings answers that. One
// answer is enough where several gateways share the traffic.
//
// The process needs CAP_NET_RAW and must be in the network namespace that the node reads.
func Gateways(node Reader) []Probe {
	return []Probe{
		gateway{name: "default gateway", node: node, resolve: resolve},
		gateway{name: "IPv6 default gateway", node: node, ipv6: true, resolve: resolve},
	}
}

// resolve asks a neighbour as its address has it: IPv4 may go to an IPv6 neighbour (RFC 5549).
func resolve(ctx context.Context, link string, addr netip.Addr) error {
	if addr.Is6() {
		return resolveND(ctx, link, addr)
	}
	return resolveARP(ctx, link, addr)
}

type gateway struct {
	name string
	node Reader
	ipv6 bool
	// resolve asks a neighbour for its link-layer address, until ctx is done.
	resolve func(ctx context.Context, link string, addr netip.Addr) error
}

func (g gateway) String() string { return g.name }

// Ask asks the gateways there are now.
func (g gateway) Ask(ctx context.Context) error {
	state, err := g.node.Read()
	if err != nil {
		return err
	}
	all := gateways(state, g.ipv6)
	if len(all) == 0 {
		return fmt.Errorf("there is no default route: %w", ErrNobody)
	}
	return anyOf(ctx, all, func(ctx context.Context, n neighbour) error { return g.resolve(ctx, n.link, n.addr) })
}

// anyOf asks all at the same time and returns nil when one of them has answered, else who was asked and what
// came of it.
func anyOf[T fmt.Stringer](ctx context.Context, all []T, ask func(context.Context, T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan error, len(all))
	for _, one := range all {
		go func() {
			if err := ask(ctx, one); err != nil {
				answers <- fmt.Errorf("%s: %w", one, err)
				return
			}
			answers <- nil
		}()
	}
	var failed failures
	for range all {
		err := <-answers
		if err == nil {
			return nil
		}
		failed = append(failed, err)
	}
	return failed
}

// failures are several errors in one line.
type failures []error

func (f failures) Error() string {
	parts := make([]string, len(f))
	for n, err := range f {
		parts[n] = err.Error()
	}
	return strings.Join(parts, "; ")
}

// Unwrap returns all of them.
func (f failures) Unwrap() []error { return f }
