// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
)

// Costs returns what the steps take from the node, as opposed to what they change: addresses and routes
// that are not put back, the default route first of all, ports of bridges that lose their VLAN isolation,
// links that are gone or down for a moment; which foreign ports of the bridges concerned stay where they are; and
// which managers of links cannot be told. Each is one sentence.
func Costs(current State, steps []Step) []string {
	var costs []string
	links := current.index()
	costs = append(costs, lostRoutes(current, steps)...)
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

// lostRoutes names the routes for whose destination there is no other afterwards: none that moves to another link, as
// the default route with the address of a NIC that becomes a port, none with another metric or beside which there is
// another, and no default route that a DHCP server or a router is to give. A blackhole is no other.
func lostRoutes(current State, steps []Step) []string {
	stays := current.otherRoutes(steps)
	for _, step := range steps {
		if step.To.Route != nil && step.To.Route.unicast() {
			stays[step.To.Route.place()] = true
		}
		for _, place := range step.taught() {
			stays[place] = true
		}
	}
	var defaults, others []string
	for _, step := range steps {
		route := step.From.Route
		switch {
		case route == nil || stays[route.place()]:
		case route.Destination.Bits() == 0:
			defaults = append(defaults, "the node loses its "+strings.Replace(route.String(), "default", "default route", 1))
		default:
			others = append(others, "the node loses the route "+route.String())
		}
	}
	return append(defaults, others...)
}

// A routePlace is what is looked up for a packet: the routes of one place are alternatives.
type routePlace struct {
	destination netip.Prefix
	table       int
}

func (r Route) place() routePlace { return routePlace{r.Destination, number(r.complete().TableID)} }

// otherRoutes are the places of routes through links that the steps do not concern.
func (s State) otherRoutes(steps []Step) map[routePlace]bool {
	concerned := map[string]bool{}
	removed := func(r Route) bool {
		return slices.ContainsFunc(steps, func(step Step) bool {
			return step.From.Route != nil && reflect.DeepEqual(*step.From.Route, r)
		})
	}
	for _, step := range steps {
		concerned[step.Link] = true
	}
	stay := map[routePlace]bool{}
	for _, r := range slices.Concat(s.Routes.Config, s.Routes.Running) {
		if r.unicast() && !concerned[r.NextHopInterface] && !removed(r) {
			stay[r.place()] = true
		}
	}
	return stay
}

// taught are the places of default routes that come with a step because somebody teaches them.
func (s Step) taught() []routePlace {
	if s.To.Link == nil {
		return nil
	}
	teaches := func(ip *IP, asked bool, all netip.Addr) []routePlace {
		if !asked || ip.AutoGateway != nil && !*ip.AutoGateway {
			return nil
		}
		return []routePlace{{netip.PrefixFrom(all, 0), cmp.Or(number(ip.AutoRouteTableID), TableMain)}}
	}
	v4, v6 := s.To.Link.IPv4, s.To.Link.IPv6
	return slices.Concat(
		teaches(v4, s.Kind == StepDHCP && v4 != nil && isTrue(v4.DHCP), netip.IPv4Unspecified()),
		teaches(v6, v6 != nil && isTrue(v6.Autoconf), netip.IPv6Unspecified()),
	)
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
			costs = append(costs, "the foreign ports of "+controller.Name+" are no longer separated by VLANs")
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
