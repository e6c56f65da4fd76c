// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"
	"slices"
)

// mergeRoutes adds and removes what desired says, and removes the routes that cannot be because their
// link is gone, down, or has lost its last address of their IP version. Routes that were learnt are not desired's to
// remove: who taught them would do it again.
func (m *merger) mergeRoutes(now, desired Routes) Routes {
	desired.Config = withoutLoneWeights(desired.Config, now.Running)
	there := func(d Route) bool {
		return slices.ContainsFunc(now.Running, func(r Route) bool { return r.configured() && d.matches(r) })
	}
	gone := func(route Route) bool {
		return m.losesRoute(route) || m.takenOver(route, desired.Config) ||
			route.configured() && slices.ContainsFunc(desired.Config, func(d Route) bool {
				return d.State == StateAbsent && d.matches(route) || d.replaces(route, desired.Config) ||
					d.supplants(route, desired.Config) && !there(d)
			})
	}
	merged := Routes{
		Running: slices.DeleteFunc(slices.Clone(now.Running), gone),
		Config:  slices.DeleteFunc(slices.Clone(now.Config), gone),
		Other:   slices.DeleteFunc(slices.Clone(now.Other), m.losesRoute),
	}
	for _, d := range desired.Config {
		if d.State == StateAbsent {
			continue
		}
		d = d.complete()
		made := d
		made.Exact = false
		made.OnLink = made.OnLink || m.beyond(made, now.Running, desired.Config)
		if slices.ContainsFunc(merged.Running, d.saysAgain) {
			continue // it is taught, and goes on being taught
		}
		if !slices.ContainsFunc(merged.Config, d.matches) {
			merged.Config = append(merged.Config, made)
		}
		if !slices.ContainsFunc(merged.Running, func(r Route) bool { return r.configured() && d.matches(r) }) {
			merged.Running = append(merged.Running, made)
		}
	}
	return merged
}

// takenOver reports whether a route was learnt, and is wanted for good now that nobody teaches it any more.
func (m *merger) takenOver(route Route, wanted []Route) bool {
	link := m.target[route.NextHopInterface]
	if link == nil || !slices.ContainsFunc(wanted, func(d Route) bool { return d.saysAgain(route) }) {
		return false
	}
	ip := link.ip(route.Destination)
	return ip == nil || !isTrue(ip.DHCP) && !isTrue(ip.Autoconf)
}

// saysAgain reports whether a route that is wanted is one that was learnt, in what the kernel tells routes apart by.
func (r Route) saysAgain(learnt Route) bool {
	if r.State == StateAbsent || learnt.configured() || r.Destination != learnt.Destination {
		return false
	}
	r, learnt = r.complete(), learnt.complete()
	return r.sharesKey(learnt) && r.NextHopInterface == learnt.NextHopInterface &&
		r.NextHopAddress == learnt.NextHopAddress
}

// replaces reports whether a route that is wanted says an old one again with another metric, source, weight or window,
// and no wish keeps the old. The kernel would keep both and use the first.
func (r Route) replaces(old Route, wanted []Route) bool {
	if !r.competes(old) || r.matches(old) {
		return false
	}
	other := r
	other.Metric, other.Source, other.Weight, other.CWND = nil, netip.Addr{}, nil, nil
	if r.Metric == nil || same(r.complete().Metric, old.complete().Metric) {
		other.Metric = r.complete().Metric
	}
	return other.matches(old) && !keeps(wanted, old)
}

// supplants reports whether a route that is wanted leads elsewhere than an old one of its destination, table and
// metric, which no wish keeps. The kernel would go on using the old one (IPv4), or send half of the traffic there
// (IPv6). Those that have a weight share the traffic on purpose.
func (r Route) supplants(old Route, wanted []Route) bool {
	return r.competes(old) && r.complete().rivals(old.complete()) && !keeps(wanted, old)
}

// competes reports whether a route that is wanted may take the place of others.
func (r Route) competes(old Route) bool {
	return r.State != StateAbsent && !r.Exact && old.TOS == r.TOS && old.NextHopID == 0
}

// rivals reports whether two complete routes of one destination, table and metric lead elsewhere, and do not share the
// traffic by weight.
func (r Route) rivals(other Route) bool {
	return r.sharesKey(other) && !r.sameHop(other) && (r.Weight == nil || other.Weight == nil)
}

func (r Route) sameHop(other Route) bool {
	return r.NextHopInterface == other.NextHopInterface && r.NextHopAddress == other.NextHopAddress &&
		r.RouteType == other.RouteType
}

// keeps reports whether one of the wishes is for a route that there is.
func keeps(wanted []Route, route Route) bool {
	return slices.ContainsFunc(wanted, func(d Route) bool { return d.State != StateAbsent && d.matches(route) })
}

// withoutLoneWeights returns wishes for routes without weights that have nothing to be weighed against: the kernel
// shows none of a route with one next hop.
func withoutLoneWeights(wanted, now []Route) []Route {
	wanted = slices.Clone(wanted)
	stays := func(r Route) bool {
		return r.configured() &&
			!slices.ContainsFunc(wanted, func(d Route) bool { return d.State == StateAbsent && d.matches(r) })
	}
	for n, d := range wanted {
		if d.Weight == nil || d.State == StateAbsent || d.Exact {
			continue
		}
		shares := func(r Route) bool {
			return r.State != StateAbsent && r.Weight != nil && r.complete().sharesKey(d.complete()) &&
				!r.complete().sameHop(d.complete())
		}
		if !slices.ContainsFunc(wanted, shares) &&
			!slices.ContainsFunc(now, func(r Route) bool { return shares(r) && stays(r) }) {
			wanted[n].Weight = nil
		}
	}
	return wanted
}

// Contradicts reports whether the wishes of two policies for routes cannot both be fulfilled. Gateways that share the
// traffic have to be in one policy.
func (r Route) Contradicts(other Route) bool {
	absent, otherAbsent := r.State == StateAbsent, other.State == StateAbsent
	switch {
	case absent && otherAbsent:
		return false
	case absent:
		return r.matches(other)
	case otherAbsent:
		return other.matches(r)
	}
	r, other = r.complete(), other.complete()
	return r.sharesKey(other) && !r.sameHop(other)
}

// beyond reports whether a gateway is outside of what its link reaches, so that the kernel has to be told that it is on
// the link all the same (RTNH_F_ONLINK), as with the /32 addresses of some hosters.
func (m *merger) beyond(route Route, now, wanted []Route) bool {
	gateway, link := route.NextHopAddress, m.target[route.NextHopInterface]
	if link == nil || !gateway.IsValid() || !route.unicast() || gateway.Is6() && gateway.IsLinkLocalUnicast() ||
		gateway.Is4() != route.Destination.Addr().Is4() {
		return false
	}
	if ip := link.ip(route.Destination); ip != nil &&
		slices.ContainsFunc(ip.Address, func(a Address) bool { return a.Prefix().Contains(gateway) }) {
		return false
	}
	return !slices.ContainsFunc(slices.Concat(now, wanted), func(r Route) bool {
		return r.State != StateAbsent && r.NextHopInterface == link.Name && !r.NextHopAddress.IsValid() &&
			r.Destination.IsValid() && r.Destination.Contains(gateway)
	})
}

func (m *merger) losesRoute(route Route) bool {
	if route.Source.IsValid() && hasAddress(m.now, route.Source) && !hasAddress(m.target, route.Source) {
		return true // the kernel forgets the route with the address
	}
	if route.NextHopInterface == "" {
		return false
	}
	link, now := m.target[route.NextHopInterface], m.now[route.NextHopInterface]
	if link == nil {
		return true
	}
	if now == nil || link.State == StateIgnore {
		return false
	}
	if link.State == StateDown && now.State != StateDown {
		return true
	}
	if route.Learnt() && m.leavesTable(*now, *link, route) {
		return true
	}
	is, was := link.ip(route.Destination), now.ip(route.Destination)
	return was.active() && !is.active()
}

// leavesTable reports whether a route is in the table of a VRF that its link leaves, or that gets another table. Who
// taught it teaches it again, for the table that the link has then.
func (m *merger) leavesTable(now, target Interface, route Route) bool {
	table := routeTable(now, m.now)
	return table != nil && !same(table, routeTable(target, m.target)) && same(table, route.complete().TableID)
}

// routeTable returns the table of the VRF that a link is a port of, nil for none.
func routeTable(link Interface, links map[string]*Interface) *int {
	if vrf := links[deref(link.Controller)]; vrf != nil && vrf.VRF != nil {
		return vrf.VRF.RouteTableID
	}
	return nil
}

// hasAddress reports whether one of the links has an address.
func hasAddress(links map[string]*Interface, address netip.Addr) bool {
	for _, link := range links {
		for _, ip := range []*IP{link.IPv4, link.IPv6} {
			if ip != nil && slices.ContainsFunc(ip.Address, func(a Address) bool { return a.IP == address }) {
				return true
			}
		}
	}
	return false
}

func mergeRules(now, desired RouteRules) RouteRules {
	merged := slices.DeleteFunc(slices.Clone(now.Config), func(rule RouteRule) bool {
		return slices.ContainsFunc(desired.Config, func(d RouteRule) bool {
			return d.State == StateAbsent && d.matches(rule) || d.replaces(rule, desired.Config)
		})
	})
	for _, d := range desired.Config {
		if d.State == StateAbsent || slices.ContainsFunc(merged, d.matches) {
			continue
		}
		made := d.complete()
		made.Exact = false
		merged = append(merged, made)
	}
	return RouteRules{Config: merged}
}

// mergeDNS replaces the lists that desired gives. One that gives none, config: {}, clears all of them: then
// the file is as people wrote it.
func mergeDNS(now, desired DNS) DNS {
	if desired.Config == nil {
		return now
	}
	if agrees(DNSConfig{}, *desired.Config) {
		if !now.Foreign && now.Config != nil && len(now.Config.Server)+len(now.Config.Search)+len(now.Config.Options) > 0 {
			now.Config = &DNSConfig{Search: []string{}, Server: []string{}, Options: []string{}}
		}
		return now
	}
	now.Config = overlayPart(now.Config, desired.Config)
	return now
}
