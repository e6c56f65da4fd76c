// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Costs says what the steps take from the node, as opposed to what they change: addresses and routes
// that are not put back, the default route first of all, ports of bridges that lose their VLAN isolation,
// links that are gone or down for a moment; which foreign ports of the bridges concerned stay where they are; and
// which managers of links cannot be told. Each is one sentence.
func Costs(current State, steps []Step) []string {
	var costs []string
	links := current.index()
	costs = append(costs, lostRoutes(steps)...)
	costs = append(costs, lostAddresses(steps)...)
	costs = append(costs, interruptions(steps)...)
	seen := map[string]bool{}
	for _, step := range steps {
		for _, name := range step.controllers() {
			if seen[name] || links[name] == nil {
				continue
			}
			seen[name] = true
			costs = append(costs, foreignCosts(*links[name], links, steps)...)
		}
	}
	return append(costs, managerCosts(links, steps)...)
}

// controllers returns the links a step concerns as controllers of others.
func (s Step) controllers() []string {
	var names []string
	for _, a := range []*Attachment{s.From.Port, s.To.Port} {
		if a != nil {
			names = append(names, a.Controller)
		}
	}
	if s.Kind == StepSet {
		names = append(names, s.Link)
	}
	return names
}

// lostRoutes names the routes for whose destination there is no other afterwards: none that moves to another link, as
// the default route with the address of a NIC that becomes a port, none with another metric, and no default route that
// a DHCP server is to give.
func lostRoutes(steps []Step) []string {
	type place struct {
		destination netip.Prefix
		table       int
	}
	back := map[place]bool{}
	at := func(r *Route) place { return place{r.Destination, number(r.complete().TableID)} }
	for _, step := range steps {
		if step.To.Route != nil {
			back[at(step.To.Route)] = true
		}
		if step.Kind == StepDHCP && step.To.Link != nil && isTrue(step.To.Link.IPv4.DHCP) {
			ip := step.To.Link.IPv4
			table := cmp.Or(number(ip.AutoRouteTableID), TableMain)
			back[place{netip.PrefixFrom(netip.IPv4Unspecified(), 0), table}] = ip.AutoGateway == nil || *ip.AutoGateway
		}
	}
	var defaults, others []string
	for _, step := range steps {
		route := step.From.Route
		switch {
		case route == nil || back[at(route)]:
		case route.Destination.Bits() == 0:
			defaults = append(defaults, "the node loses its "+route.String())
		default:
			others = append(others, "the node loses the route "+route.String())
		}
	}
	return append(defaults, others...)
}

// lostAddresses names the addresses that no link has afterwards.
func lostAddresses(steps []Step) []string {
	back := map[netip.Addr]bool{}
	for _, step := range steps {
		if step.To.Address != nil {
			back[step.To.Address.IP] = true
		}
	}
	lost := map[string][]string{}
	var order []string
	for _, step := range steps {
		if step.From.Address == nil || back[step.From.Address.IP] {
			continue
		}
		if lost[step.Link] == nil {
			order = append(order, step.Link)
		}
		lost[step.Link] = append(lost[step.Link], step.From.Address.Prefix().String())
	}
	var costs []string
	for _, link := range order {
		costs = append(costs, link+" loses "+strings.Join(lost[link], ", "))
	}
	return costs
}

// interruptions names the links that are deleted and made again, or that go down and come up again.
func interruptions(steps []Step) []string {
	down, deleted := map[string]bool{}, map[string]bool{}
	var costs []string
	for _, step := range steps {
		switch {
		case step.Kind == StepLink && step.From.Link != nil:
			deleted[step.Link] = true
		case step.Kind == StepLink && step.To.Link != nil && deleted[step.Link]:
			costs = append(costs, step.Link+" is deleted and made again: what is set for it below /proc/sys/net or with tc is lost")
		case step.Kind == StepSet && step.To.Link.State == StateDown:
			down[step.Link] = true
		case step.Kind == StepSet && step.To.Link.State == StateUp && down[step.Link]:
			costs = append(costs, step.Link+" goes down for a moment")
		}
	}
	return costs
}

func foreignCosts(controller Interface, links map[string]*Interface, steps []Step) []string {
	foreign := foreignPorts(controller, links)
	foreign = slices.DeleteFunc(foreign, func(name string) bool {
		return slices.ContainsFunc(steps, func(s Step) bool { return s.Kind == StepPort && s.Link == name })
	})
	if len(foreign) == 0 {
		return nil
	}
	costs := []string{fmt.Sprintf("%s keeps %d foreign port%s: %s", controller.Name, len(foreign), plural(len(foreign)),
		strings.Join(foreign, ", "))}
	for _, step := range steps {
		if step.Kind != StepSet || step.Link != controller.Name || step.To.Link.Bridge == nil {
			continue
		}
		if filtering := step.To.Link.Bridge.VLANFiltering; filtering != nil && !*filtering {
			costs = append(costs, "the foreign ports of "+controller.Name+" are no longer kept apart by VLANs")
		}
	}
	return costs
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}
