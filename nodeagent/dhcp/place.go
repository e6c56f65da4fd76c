// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// protocolDHCP is the kernel's mark of routes a DHCP client made (RTPROT_DHCP). By it, and by their link,
// we know our own.
const protocolDHCP = 16

// place returns the steps that take the current state to one in which a link has what the lease is brings
// and nothing of the lease was that is does not bring. Either may be nil. Static addresses, and routes of
// other makers, are left alone.
func place(current netstate.State, link string, was, is *Lease, orders netstate.IP) []netstate.Step {
	var steps []netstate.Step
	var wanted, have []way
	if lease := cmp.Or(is, was); lease == nil || lease.Address.Addr().Is4() { // of IPv6, routers teach the routes
		wanted, have = routes(current, link, is, orders), ours(current, link)
	}
	for _, route := range slices.Backward(have) {
		if !slices.ContainsFunc(wanted, route.equal) {
			from := netstate.Value{Route: new(route.step())}
			steps = append(steps, netstate.Step{Kind: netstate.StepRoute, Link: link, From: from})
		}
	}
	if was != nil && (is == nil || is.Address != was.Address) {
		if address, found := addressOf(current, link, was.Address); found && address.Dynamic() {
			steps = append(steps, netstate.Step{Kind: netstate.StepAddress, Link: link, From: netstate.Value{Address: &address}})
		}
	}
	if is == nil || !is.Address.IsValid() {
		return steps
	}
	address, found := addressOf(current, link, is.Address)
	lives := address.ValidLifeTime >= lifetime/2 && (address.PreferredLifeTime == 0) == is.Deprecated
	if !found || address.Dynamic() && !lives {
		step := netstate.Step{Kind: netstate.StepAddress, Link: link, To: netstate.Value{Address: new(is.address())}}
		if found {
			step.From.Address = &address
		}
		steps = append(steps, step)
	}
	for _, route := range wanted {
		if !slices.ContainsFunc(have, route.equal) {
			to := netstate.Value{Route: new(route.step())}
			steps = append(steps, netstate.Step{Kind: netstate.StepRoute, Link: link, To: to})
		}
	}
	return steps
}

// lifetime is maxLifetime in seconds.
const lifetime = uint32(maxLifetime / time.Second)

// address returns the address as the kernel gets it. Its lifetime has no end to speak of, whatever the lease says: the
// agent may be away for longer than a lease.
func (l Lease) address() netstate.Address {
	a := netstate.Address{
		IP: l.Address.Addr(), PrefixLength: l.Address.Bits(), ValidLifeTime: lifetime, PreferredLifeTime: lifetime,
	}
	if l.Deprecated {
		a.PreferredLifeTime = 0
	}
	return a
}

// addressOf finds an address of a link.
func addressOf(current netstate.State, link string, prefix netip.Prefix) (netstate.Address, bool) {
	i, _ := current.Interface(link)
	ip := i.IPv4
	if prefix.Addr().Is6() {
		ip = i.IPv6
	}
	if ip == nil {
		return netstate.Address{}, false
	}
	at := slices.IndexFunc(ip.Address, func(a netstate.Address) bool { return a.Prefix() == prefix })
	if at < 0 {
		return netstate.Address{}, false
	}
	return ip.Address[at], true
}

// A way is one of our routes, comparable.
type way struct {
	link            string
	destination     netip.Prefix
	gateway, source netip.Addr
	table, metric   int
}

func (w way) equal(other way) bool { return w == other }

// step returns the route as a step has it.
func (w way) step() netstate.Route {
	return netstate.Route{
		Destination: w.destination, NextHopInterface: w.link, NextHopAddress: w.gateway, Source: w.source,
		TableID: &w.table, Metric: &w.metric, Protocol: protocolDHCP,
	}
}

// ours returns the routes a client of ours made on a link.
func ours(current netstate.State, link string) []way {
	var list []way
	for _, r := range current.Routes.Running {
		if r.Protocol != protocolDHCP || r.NextHopInterface != link || !r.Destination.Addr().Is4() {
			continue
		}
		list = append(list, way{
			link: link, destination: r.Destination, gateway: r.NextHopAddress, source: r.Source,
			table: orElse(r.TableID, netstate.TableMain), metric: orElse(r.Metric, 0),
		})
	}
	return list
}

// routes returns those a lease brings and the orders let in, each behind what its gateway is reached by.
func routes(current netstate.State, link string, lease *Lease, orders netstate.IP) []way {
	if lease == nil {
		return nil
	}
	home := tableOf(current, link)
	table := orElse(orders.AutoRouteTableID, home)
	if table == 0 {
		table = home
	}
	var list []way
	add := func(destination netip.Prefix, gateway netip.Addr) {
		w := way{link: link, destination: destination, gateway: gateway, source: lease.Address.Addr(), table: table}
		w.metric = metricOf(current, w, orders)
		if !slices.ContainsFunc(list, w.equal) {
			list = append(list, w)
		}
	}
	wanted := slices.DeleteFunc(slices.Clone(lease.Routes), func(r Route) bool {
		if r.Default() {
			return !orElse(orders.AutoGateway, true)
		}
		return !orElse(orders.AutoRoutes, true)
	})
	if table != home && len(wanted) > 0 {
		add(lease.Address.Masked(), netip.Addr{}) // the kernel makes this one in the link's own table only
	}
	for _, r := range wanted {
		if r.Gateway.IsValid() && !lease.Address.Contains(r.Gateway) {
			add(netip.PrefixFrom(r.Gateway, r.Gateway.BitLen()), netip.Addr{})
		}
	}
	for _, onLink := range []bool{true, false} {
		for _, r := range wanted {
			if onLink != r.Gateway.IsValid() {
				add(r.Destination, r.Gateway)
			}
		}
	}
	return list
}

// tableOf returns the table that traffic of a link is routed by: that of its VRF, or the main one.
func tableOf(current netstate.State, link string) int {
	for _, i := range current.Interfaces {
		if i.VRF != nil && i.VRF.RouteTableID != nil && slices.Contains(i.VRF.Port, link) {
			return *i.VRF.RouteTableID
		}
	}
	return netstate.TableMain
}

// metricOf returns the metric that was ordered. Without an order it is the one NetworkManager gives routes of
// this type of link, or the next that no other route to the destination has.
func metricOf(current netstate.State, w way, orders netstate.IP) int {
	if orders.AutoRouteMetric != nil {
		return *orders.AutoRouteMetric
	}
	i, _ := current.Interface(w.link)
	w.metric = usualMetric(i.Type)
	for taken(current, w) {
		w.metric++
	}
	return w.metric
}

// taken reports whether somebody else has a route that the kernel takes for the same.
func taken(current netstate.State, w way) bool {
	return slices.ContainsFunc(current.Routes.Running, func(r netstate.Route) bool {
		theirs := r.Protocol != protocolDHCP || r.NextHopInterface != w.link
		return theirs && r.Destination == w.destination &&
			orElse(r.TableID, netstate.TableMain) == w.table && orElse(r.Metric, 0) == w.metric
	})
}

// usualMetric prefers real links to virtual ones.
func usualMetric(t netstate.LinkType) int {
	switch t {
	case netstate.TypeBond:
		return 300
	case netstate.TypeVLAN:
		return 400
	case netstate.TypeMACVLAN:
		return 410
	case netstate.TypeBridge:
		return 425
	case netstate.TypeVXLAN:
		return 500
	case netstate.TypeDummy:
		return 550
	}
	return 100
}

// orElse returns what a key is set to, or what an omitted key means.
func orElse[T any](key *T, omitted T) T {
	if key == nil {
		return omitted
	}
	return *key
}
