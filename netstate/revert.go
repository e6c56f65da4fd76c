// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"reflect"
	"slices"
)

// Revert returns the desired state that undoes desired on a node that was as before says when it was
// applied: links that were made become absent, keys that were changed get their old values, routes that
// were added become absent. Routes and addresses that were learnt are left alone: who taught them will do it
// again. What others have changed since is not known here; see Removal.
func Revert(before, desired State) State {
	before = before.complete().heeding(desired)
	return leading(Merge(before, desired), before)
}

// leading returns a desired state that leads from one current state to another.
func leading(from, to State) State {
	was, is := from.index(), to.index()
	var wish State
	for _, name := range sortedNames(was, is) {
		if entry, differs := leadingLink(was[name], is[name], was, is); differs {
			wish.Interfaces = append(wish.Interfaces, entry)
		}
	}
	wish.Routes.Config = leadingRoutes(from.Routes, to.Routes)
	wish.RouteRules.Config = leadingRules(from.RouteRules.Config, to.RouteRules.Config)
	if to.DNS.Config != nil && !reflect.DeepEqual(from.DNS.Config, to.DNS.Config) {
		wish.DNS.Config = to.DNS.Config
	} else if to.DNS.Config == nil && from.DNS.Config != nil {
		wish.DNS.Config = &DNSConfig{Search: []string{}, Server: []string{}, Options: []string{}}
	}
	return wish
}

func sortedNames(was, is map[string]*Interface) []string {
	names := make([]string, 0, len(is))
	for name := range is {
		names = append(names, name)
	}
	for name := range was {
		if is[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func leadingLink(was, is *Interface, from, to map[string]*Interface) (Interface, bool) {
	switch {
	case is == nil:
		return Interface{Name: was.Name, Type: was.Type, State: StateAbsent}, true
	case is.State == StateIgnore && (was == nil || reflect.DeepEqual(was.Controller, is.Controller)):
		return Interface{}, false
	case was == nil || was.Type != is.Type || !sameForever(*was, *is):
		return wholeLink(*is, from, to), true
	}
	entry := Interface{Name: is.Name, Type: is.Type, State: is.State}
	differs := was.State != is.State
	for _, d := range deltas(configured(*was), configured(*is)) {
		entry = overlay(entry, d.to)
		differs = true
	}
	if entry.Bond != nil && entry.Bond.Mode != nil {
		entry.Bond = wishBond(is.Bond) // a new mode resets what is not said again
		entry.Bond.Active = is.Bond.Active
	}
	if was.givesMAC() != is.givesMAC() && is.givesMAC() {
		entry.MAC = is.MAC // it has that of whichever port is active by now
	}
	if isTrue(was.AcceptAllMAC) && is.AcceptAllMAC == nil {
		entry.AcceptAllMAC, differs = new(false), true
	}
	if deref(was.Description) != "" && is.Description == nil {
		entry.Description, differs = new(""), true
	}
	if was.Listens() != is.Listens() {
		entry.LLDP, differs = &LLDP{Enabled: new(is.Listens())}, true
	}
	if deref(was.Controller) != deref(is.Controller) {
		entry.Controller, differs = new(deref(is.Controller)), true // with its state, or it would go up
	}
	// A port has no addresses as a rule, and no IPv6, but people can have given it both: so both are said.
	joins := deref(was.Controller) != deref(is.Controller) && underController(*is, to)
	if !reflect.DeepEqual(was.IPv4.normal(), is.IPv4.normal()) || joins {
		entry.IPv4, differs = wishIP(was.IPv4, is.IPv4), true
	}
	if !reflect.DeepEqual(was.IPv6.normal(), is.IPv6.normal()) || joins {
		entry.IPv6, differs = wishIP(was.IPv6, is.IPv6), true
	}
	if part := portLists(*is, from); !reflect.DeepEqual(portLists(*was, from), part) {
		entry, differs = overlay(entry, part), true
	}
	return entry, differs
}

// wholeLink returns a desired entry that makes the link as it is among links, starting from a node where
// it does not exist yet.
func wholeLink(link Interface, from, links map[string]*Interface) Interface {
	described := configured(link)
	if link.Bond != nil {
		described.Bond = wishBond(link.Bond)
	}
	entry := overlay(described, portLists(link, from))
	entry.Name, entry.Type, entry.State = link.Name, link.Type, link.State
	if inheritsMAC(link, links) {
		entry.MAC = nil
	}
	if link.Type == TypeBridge && link.MTU != nil && *link.MTU == autoMTU(link, links) {
		entry.MTU = nil
	}
	entry.IPv4, entry.IPv6 = wishIP(nil, link.IPv4), wishIP(nil, link.IPv6)
	if was := from[link.Name]; was != nil {
		entry.IPv6.Token = tokenWish(was.IPv6, link.IPv6) // which it keeps when it is made again
	}
	if link.Veth != nil {
		entry.Veth = link.Veth
	}
	if link.Listens() {
		entry.LLDP = &LLDP{Enabled: new(true)}
	}
	entry.Details = link.Details
	entry.KeepsMAC = link.KeepsMAC
	if link.Bridge != nil {
		entry.Bridge.OwnVLANs = link.Bridge.OwnVLANs
	}
	if link.Bond != nil {
		entry.Bond.Active = link.Bond.Active
	}
	return entry
}

// portLists returns a link with nothing but its port list, without foreign ports and with explicit VLANs.
func portLists(i Interface, links map[string]*Interface) Interface {
	foreign := foreignPorts(i, links)
	theirs := func(name string) bool { return slices.Contains(foreign, name) }
	switch {
	case i.Bridge != nil:
		ports := slices.DeleteFunc(append([]BridgePort{}, i.Bridge.Port...),
			func(p BridgePort) bool { return theirs(p.Name) })
		for n := range ports {
			if ports[n].VLAN == nil {
				ports[n].VLAN = &PortVLAN{}
			}
		}
		return Interface{Bridge: &Bridge{Port: ports, VLANFiltering: i.Bridge.VLANFiltering}}
	case i.Bond != nil:
		part := &Bond{Port: slices.DeleteFunc(append([]string{}, i.Bond.Port...), theirs)}
		part.PortsConfig = append([]BondPort{}, i.Bond.PortsConfig...)
		return Interface{Bond: part}
	case i.VRF != nil:
		return Interface{VRF: &VRF{Port: slices.DeleteFunc(append([]string{}, i.VRF.Port...), theirs)}}
	}
	return Interface{}
}

func underController(i Interface, links map[string]*Interface) bool {
	return i.Controller != nil && links[*i.Controller] != nil && links[*i.Controller].Type != TypeVRF
}

// wishIP returns what to ask for to get from one IP configuration to another: its static addresses, its clients, and
// the lifetimes of leased addresses that are for ever in the first.
func wishIP(from, to *IP) *IP {
	if !isTrue(to.Enabled) {
		return &IP{Enabled: new(false), Forwarding: to.Forwarding, Token: tokenWish(from, to)}
	}
	wish := *to
	wish.Token = tokenWish(from, to)
	wish.Address = slices.DeleteFunc(append([]Address{}, to.Address...), func(a Address) bool {
		return a.Dynamic() && !from.hasForever(a)
	})
	return &wish
}

// tokenWish returns what to say of the token to get from one IP configuration to another.
func tokenWish(from, to *IP) *string {
	if to.Token == nil && from != nil && from.Token != nil {
		return new("")
	}
	return to.Token
}

// hasForever reports whether an IP configuration has an address for ever.
func (ip *IP) hasForever(address Address) bool {
	return ip != nil && slices.ContainsFunc(ip.Address, func(a Address) bool {
		return !a.Dynamic() && a.Prefix() == address.Prefix()
	})
}

// leadingRoutes says what to ask for to get from configured routes to others. One that was put in the place of a learnt
// one becomes absent too: who teaches it does it again.
func leadingRoutes(from, to Routes) []Route {
	var wish []Route
	was, is := allRoutes(from), allRoutes(to)
	had, has := taughtKeys(was), taughtKeys(is)
	for _, route := range was {
		if route.configured() && !has[route.taughtKey()] {
			route.State, route.Exact, route.Protocol = StateAbsent, true, 0
			wish = append(wish, route)
		}
	}
	for _, route := range is {
		if route.configured() && !had[route.taughtKey()] {
			route.Exact = true
			wish = append(wish, route)
		}
	}
	return wish
}

func leadingRules(from, to []RouteRule) []RouteRule {
	var wish []RouteRule
	for _, rule := range from {
		if !hasRule(to, rule) {
			rule.State, rule.Exact = StateAbsent, true
			wish = append(wish, rule)
		}
	}
	for _, rule := range to {
		if !hasRule(from, rule) {
			rule.Exact = true
			wish = append(wish, rule)
		}
	}
	return wish
}
