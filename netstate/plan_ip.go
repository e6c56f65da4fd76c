// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"reflect"
	"slices"
)

// lostOnTheWay returns the addresses of a link that stays which a restart or a neighbour takes along.
func (p *planner) lostOnTheWay(name string, now, target []Address) func(Address) bool {
	restarts := p.gone(name) || p.lowered[name] || p.changesVRF(name)
	return func(address Address) bool {
		if p.gone(name) || restarts && address.IP.Is6() {
			return true
		}
		// The kernel removes the other addresses of a network with the first.
		at := slices.Index(now, address)
		return address.IP.Is4() && slices.ContainsFunc(now[:max(at, 0)], func(earlier Address) bool {
			return !contains(target, earlier) && earlier.Prefix().Masked() == address.Prefix().Masked()
		})
	}
}

// addressChange is what happens to the addresses of one IP version of a link.
type addressChange struct {
	cut, add []Address
	// lifetimes are addresses of which only the lifetime changes, as they are and as they are to be.
	lifetimes [][2]Address
}

func (p *planner) addressChange(name string, version func(*Interface) *IP) addressChange {
	now, target := addresses(p.now[name], version), addresses(p.target[name], version)
	lost := p.lostOnTheWay(name, now, target)
	var change addressChange
	for _, address := range now {
		at := slices.IndexFunc(target, func(a Address) bool { return a.Prefix() == address.Prefix() })
		switch {
		case at < 0 || lost(address):
			change.cut = append(change.cut, address)
		case address.Dynamic() != target[at].Dynamic():
			change.lifetimes = append(change.lifetimes, [2]Address{address, target[at]})
		}
	}
	for _, address := range target {
		if !contains(now, address) || contains(change.cut, address) {
			change.add = append(change.add, address)
		}
	}
	return change
}

// cutAddresses removes addresses, last first.
func (p *planner) cutAddresses() {
	for _, name := range slices.Backward(p.nowOrder) {
		if p.untouched(name) {
			continue
		}
		for _, version := range []func(*Interface) *IP{ipv6, ipv4} {
			for _, address := range slices.Backward(p.addressChange(name, version).cut) {
				p.emit(StepAddress, name, Value{Address: &address}, Value{})
			}
		}
	}
}

func (p *planner) addAddresses() {
	for _, name := range p.order {
		if p.untouched(name) {
			continue
		}
		for _, version := range []func(*Interface) *IP{ipv4, ipv6} {
			change := p.addressChange(name, version)
			for _, lifetime := range change.lifetimes {
				p.emit(StepAddress, name, Value{Address: &lifetime[0]}, Value{Address: &lifetime[1]})
			}
			for _, address := range change.add {
				p.emit(StepAddress, name, Value{}, Value{Address: &address})
			}
		}
	}
}

// untouched reports whether a link has nothing to do with the plan's addresses.
func (p *planner) untouched(name string) bool {
	now, target := p.now[name], p.target[name]
	return now != nil && target != nil && target.State == StateIgnore
}

// losesRoutes reports whether the kernel drops a route on the way, although it is there before and after.
func (p *planner) losesRoutes(route Route) bool {
	name := route.NextHopInterface
	if name == "" || p.now[name] == nil {
		return false
	}
	if p.gone(name) || p.lowered[name] || p.changesVRF(name) {
		return true
	}
	version := ipv4
	if !route.Destination.Addr().Is4() {
		version = ipv6
	}
	change := p.addressChange(name, version)
	if len(change.cut) == 0 {
		return false
	}
	noneLeft := len(change.cut) == len(addresses(p.now[name], version)) && route.Destination.Addr().Is4()
	return noneLeft || slices.ContainsFunc(change.cut, func(a Address) bool { return a.IP == route.Source })
}

func (p *planner) cutRoutes() {
	wanted := taughtKeys(p.targetRoutes)
	for _, route := range slices.Backward(p.nowRoutes) {
		if !wanted[route.taughtKey()] || p.losesRoutes(route) {
			p.emit(StepRoute, route.NextHopInterface, Value{Route: &route, With: siblings(route, p.nowRoutes)}, Value{})
		}
	}
}

func (p *planner) addRoutes() {
	have := taughtKeys(p.nowRoutes)
	for _, route := range p.targetRoutes {
		if !have[route.taughtKey()] || p.losesRoutes(route) {
			p.emit(StepRoute, route.NextHopInterface, Value{}, Value{Route: &route, With: siblings(route, p.targetRoutes)})
		}
	}
}

func (p *planner) cutRules(now, target []RouteRule) {
	for _, rule := range slices.Backward(now) {
		if !hasRule(target, rule) {
			rule.Owned = false
			p.emit(StepRule, "", Value{Rule: &rule}, Value{})
		}
	}
}

func (p *planner) addRules(now, target []RouteRule) {
	for _, rule := range target {
		if !hasRule(now, rule) {
			rule.Owned = false
			p.emit(StepRule, "", Value{}, Value{Rule: &rule})
		}
	}
}

// stopDHCP stops the clients of links that are to have none any more, or that go.
func (p *planner) stopDHCP() {
	for _, name := range p.nowOrder {
		for _, version := range []func(*Interface) *IP{ipv4, ipv6} {
			from := orders(p.now[name], version)
			if p.gone(name) && isTrue(from.DHCP) {
				p.emitDHCP(name, version, from, &IP{DHCP: new(false)})
			} else if p.target[name] != nil && isTrue(from.DHCP) && !isTrue(orders(p.target[name], version).DHCP) {
				p.emitDHCP(name, version, from, orders(p.target[name], version))
			}
		}
	}
}

func (p *planner) startDHCP() {
	for _, name := range p.order {
		for _, version := range []func(*Interface) *IP{ipv4, ipv6} {
			to, from := orders(p.target[name], version), &IP{DHCP: new(false)}
			if !p.fresh(name) {
				from = orders(p.now[name], version)
			}
			if isTrue(to.DHCP) && !sameOrders(*from, *to) {
				p.emitDHCP(name, version, from, to)
			}
		}
	}
}

func (p *planner) emitDHCP(name string, version func(*Interface) *IP, from, to *IP) {
	was, is := Interface{Name: name, IPv4: from}, Interface{Name: name, IPv4: to}
	if version(&was) == nil {
		was.IPv4, was.IPv6, is.IPv4, is.IPv6 = nil, from, nil, to
	}
	p.emit(StepDHCP, name, Value{Link: &was}, Value{Link: &is})
}

// orders returns what a link tells the DHCP client of a version of IP.
func orders(link *Interface, version func(*Interface) *IP) *IP {
	if link == nil || version(link) == nil || !isTrue(version(link).DHCP) {
		return &IP{DHCP: new(false)}
	}
	ip := *version(link)
	ip.Enabled, ip.Address, ip.AllowExtraAddress, ip.Forwarding = nil, nil, nil, nil
	ip.Autoconf, ip.AutoconfSwitch, ip.AcceptRA, ip.AddrGenMode, ip.Token = nil, nil, nil, nil, nil // the kernel's
	return &ip
}

// sameOrders compares orders. Yes is what an omitted auto key means.
func sameOrders(a, b IP) bool {
	for _, ip := range []*IP{&a, &b} {
		for _, key := range []**bool{&ip.AutoDNS, &ip.AutoGateway, &ip.AutoRoutes, &ip.DHCPSendHostname} {
			if *key == nil {
				*key = new(true)
			}
		}
	}
	return reflect.DeepEqual(a, b)
}
