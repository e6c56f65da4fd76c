// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"sigs.k8s.io/yaml"
)

// MarshalJSON returns the state in the shape of nmstate's desiredState and currentState. Parse reads it
// back. What nmstate has no key for is left out.
func (s State) MarshalJSON() ([]byte, error) {
	type plain State // without this method
	return json.Marshal(plain(s.shown()))
}

// Marshal returns the state as nmstate's YAML, keys sorted.
func Marshal(s State) ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(escapeControls(text))
}

// escapeControls spells the characters that JSON allows in a text and YAML does not: a link's alias may hold
// anything.
func escapeControls(text []byte) []byte {
	allowed := func(r rune) bool {
		return r <= '~' || r == 0x85 || r >= 0xa0 && r < 0xd800 || r >= 0xe000 && r <= 0xfffd && r != 0xfeff || r > 0xffff
	}
	if !bytes.ContainsFunc(text, func(r rune) bool { return !allowed(r) }) {
		return text
	}
	var escaped bytes.Buffer
	for _, r := range string(text) {
		if allowed(r) {
			escaped.WriteRune(r)
			continue
		}
		fmt.Fprintf(&escaped, `\u%04x`, r)
	}
	return escaped.Bytes()
}

// shown returns s with what goes into a document only: both names of the forward mask, a next hop
// address where there is none, and no key of ours.
func (s State) shown() State {
	if s.Interfaces != nil {
		interfaces := make([]Interface, len(s.Interfaces))
		for n, i := range s.Interfaces {
			interfaces[n] = i.shown()
		}
		s.Interfaces = interfaces
	}
	s.Routes.Config = shownRoutes(s.Routes.Config)
	s.Routes.Running = shownRoutes(s.Routes.Running)
	s.RouteRules.Config = slices.Clone(s.RouteRules.Config)
	for n := range s.RouteRules.Config {
		s.RouteRules.Config[n].Exact = false
	}
	return s
}

func (i Interface) shown() Interface {
	i.IPv4, i.IPv6 = i.IPv4.shown(), i.IPv6.shown()
	if i.Bridge == nil {
		return i
	}
	bridge := *i.Bridge
	bridge.VLANFiltering = nil
	if bridge.Options != nil && bridge.Options.GroupForwardMask != nil {
		options := *bridge.Options
		options.GroupFwdMask = options.GroupForwardMask
		bridge.Options = &options
	}
	i.Bridge = &bridge
	return i
}

func (ip *IP) shown() *IP {
	if ip == nil || ip.Address == nil {
		return ip
	}
	clean := *ip
	clean.Address = make([]Address, len(ip.Address))
	for n, address := range ip.Address {
		clean.Address[n] = Address{IP: address.IP, PrefixLength: address.PrefixLength}
	}
	return &clean
}

func shownRoutes(routes []Route) []Route {
	if routes == nil {
		return nil
	}
	shown := make([]Route, len(routes))
	for n, route := range routes {
		route.Protocol, route.Exact = 0, false
		if !route.NextHopAddress.IsValid() && route.Destination.IsValid() && route.State == "" &&
			route.NextHopInterface != "" {
			route.NextHopAddress = unspecified(route.Destination)
		}
		shown[n] = route
	}
	return shown
}

func unspecified(destination netip.Prefix) netip.Addr {
	if destination.Addr().Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}
