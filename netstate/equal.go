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
	i.ProfileName, i.WaitIP, i.LLDP, i.Identifier, i.Manager, i.Legacy = nil, nil, nil, nil, "", false
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
	normal.PortsConfig = append([]BondPort{}, b.PortsConfig...)
	slices.SortFunc(normal.PortsConfig, func(p, q BondPort) int { return cmp.Compare(p.Name, q.Name) })
	options := BondOptions{}
	if b.Options != nil {
		options = *b.Options
	}
	if b.Mode != nil {
		options = *applicable(options, nil, *b.Mode)
	}
	v, defaults := reflect.ValueOf(&options).Elem(), reflect.ValueOf(bondDefaults(deref(b.Mode)))
	for n := range v.NumField() {
		if !v.Field(n).IsNil() && sameValue(v.Field(n), defaults.Field(n)) {
			v.Field(n).SetZero()
		}
	}
	normal.Options = &options
	return &normal
}

func sorted(names []string) []string {
	all := append([]string{}, names...)
	slices.Sort(all)
	return all
}
