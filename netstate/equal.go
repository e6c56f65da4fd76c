// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"reflect"
	"slices"
)

// Equal reports whether two current states are the same configuration. It does not look at the order of
// lists in which order says nothing, at lifetimes of addresses, at facts nobody configures (the limits
// of the MTU, the permanent MAC, Owned), nor at keys without effect. A MAC, MTU or
// forwarding that one of the two does not know is not compared.
func Equal(a, b State) bool {
	a, b = a.normal(), b.normal()
	if len(a.Interfaces) != len(b.Interfaces) {
		return false
	}
	for n := range a.Interfaces {
		one, other := &a.Interfaces[n], &b.Interfaces[n]
		if one.MAC == nil || other.MAC == nil {
			one.MAC, other.MAC = nil, nil
		}
		if one.MTU == nil || other.MTU == nil {
			one.MTU, other.MTU = nil, nil
		}
		for _, pair := range [][2]*IP{{one.IPv4, other.IPv4}, {one.IPv6, other.IPv6}} {
			if pair[0].Forwarding == nil || pair[1].Forwarding == nil {
				pair[0].Forwarding, pair[1].Forwarding = nil, nil
			}
		}
	}
	return reflect.DeepEqual(a, b)
}

// normal returns the state in the one spelling that Equal compares.
func (s State) normal() State {
	s = s.complete()
	interfaces := make([]Interface, len(s.Interfaces))
	for n, i := range s.Interfaces {
		interfaces[n] = i.normal()
	}
	slices.SortFunc(interfaces, func(a, b Interface) int { return cmp.Compare(a.Name, b.Name) })
	routes := allRoutes(s.Routes)
	slices.SortFunc(routes, func(a, b Route) int { return cmp.Compare(a.String(), b.String()) })
	for n := range routes {
		routes[n].Protocol = 0
	}
	rules := make([]RouteRule, len(s.RouteRules.Config))
	for n, rule := range s.RouteRules.Config {
		rules[n] = rule.complete()
	}
	slices.SortFunc(rules, func(a, b RouteRule) int { return cmp.Compare(a.String(), b.String()) })
	normal := State{Interfaces: interfaces, Routes: Routes{Running: routes}, RouteRules: RouteRules{Config: rules}}
	if c := s.DNS.Config; c != nil && len(c.Server)+len(c.Search)+len(c.Options) > 0 {
		normal.DNS.Config = &DNSConfig{
			Search:  append([]string{}, c.Search...),
			Server:  append([]string{}, c.Server...),
			Options: append([]string{}, c.Options...),
		}
	}
	return normal
}

func (i Interface) normal() Interface {
	i.PermanentMAC, i.MinMTU, i.MaxMTU, i.Owned, i.CopyMACFrom = nil, nil, nil, false, nil
	i.State, i.Ignored = cmp.Or(i.Ignored, i.State), ""
	i.ProfileName, i.WaitIP, i.Identifier, i.Manager, i.Legacy = nil, nil, nil, "", false
	i.LLDP = i.LLDP.normal()
	i.KeepsMAC = nil // once it is set, it stays set
	if i.Description != nil && *i.Description == "" {
		i.Description = nil
	}
	if !isTrue(i.AcceptAllMAC) {
		i.AcceptAllMAC = nil
	}
	i.IPv4, i.IPv6 = i.IPv4.normal(), i.IPv6.normal()
	if i.Bridge != nil {
		i.Bridge = i.Bridge.normal()
	}
	if i.Bond != nil {
		i.Bond = i.Bond.normal()
	}
	if i.VRF != nil {
		i.VRF = &VRF{Port: sorted(i.VRF.Port), RouteTableID: i.VRF.RouteTableID}
	}
	return i
}

func (ip *IP) normal() *IP {
	normal := *ip
	normal.AllowExtraAddress = nil
	if normal.Autoconf != nil && !*normal.Autoconf {
		normal.Autoconf = nil
	}
	if !isTrue(normal.DHCP) {
		normal.DHCP = nil
	}
	normal.Address = make([]Address, len(ip.Address))
	for n, address := range ip.Address {
		normal.Address[n] = forever(address)
		normal.Address[n].Owned = false
	}
	slices.SortFunc(normal.Address,
		func(a, b Address) int { return cmp.Compare(a.Prefix().String(), b.Prefix().String()) })
	return &normal
}

func (b *Bridge) normal() *Bridge {
	normal := *b
	normal.Port = make([]BridgePort, len(b.Port))
	for n, port := range b.Port {
		port.VLAN = port.VLAN.canonical(b.defaultPVID())
		normal.Port[n] = port
	}
	if normal.Options == nil {
		normal.Options = &BridgeOptions{}
	}
	return &normal
}

func (b *Bond) normal() *Bond {
	normal := *b
	normal.Port, normal.Active = sorted(b.Port), ""
	normal.PortsConfig = make([]BondPort, len(b.PortsConfig))
	for n, p := range b.PortsConfig {
		normal.PortsConfig[n] = BondPort{Name: p.Name, Priority: new(number(p.Priority)), QueueID: new(number(p.QueueID))}
	}
	slices.SortFunc(normal.PortsConfig, func(p, q BondPort) int { return cmp.Compare(p.Name, q.Name) })
	options := BondOptions{}
	if b.Options != nil {
		options = *b.Options
	}
	if b.Mode != nil {
		options = *applicable(options, nil, *b.Mode)
	}
	defaults := reflect.ValueOf(bondDefaults(deref(b.Mode)))
	eachKey(defaults, reflect.ValueOf(&options).Elem(), func(_ []keyStep, byDefault, is reflect.Value) bool {
		if !is.IsNil() && sameValue(is, byDefault) {
			is.SetZero()
		}
		return false
	})
	normal.Options = &options
	return &normal
}

func sorted(names []string) []string {
	all := append([]string{}, names...)
	slices.Sort(all)
	return all
}

// WithoutClocks returns a current state in which nothing counts down: what expires expires in a second. Two that are
// read of a node on which nothing has happened are deeply equal.
func WithoutClocks(current State) State {
	current.Interfaces = slices.Clone(current.Interfaces)
	for n := range current.Interfaces {
		link := &current.Interfaces[n]
		link.IPv4, link.IPv6 = link.IPv4.withoutClocks(), link.IPv6.withoutClocks()
	}
	for _, list := range []*[]Route{&current.Routes.Running, &current.Routes.Config, &current.Routes.Other} {
		*list = slices.Clone(*list)
		for n := range *list {
			(*list)[n].Expires = min((*list)[n].Expires, 1)
		}
	}
	return current
}

// withoutClocks returns an IP configuration whose addresses have one lifetime if they have an end.
func (ip *IP) withoutClocks() *IP {
	if ip == nil || !slices.ContainsFunc(ip.Address, Address.Dynamic) {
		return ip
	}
	still := *ip
	still.Address = slices.Clone(ip.Address)
	for n := range still.Address {
		a := &still.Address[n]
		a.ValidLifeTime, a.PreferredLifeTime = min(a.ValidLifeTime, 1), min(a.PreferredLifeTime, 1)
	}
	return &still
}
