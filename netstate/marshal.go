// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"

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

// withoutInternal sets what no document has a key for to zero, in a struct that may be changed, and in copies of
// what it points to.
func withoutInternal(v reflect.Value) {
	eachKey(reflect.Zero(v.Type()), v, func(path []keyStep, _, value reflect.Value) bool {
		switch {
		case value.IsZero():
		case strings.HasPrefix(path[len(path)-1].key(), internalKey):
			value.SetZero()
		case holdsKeys(value.Type()):
			own(value)
			return true
		case holdsKeys(reflect.PointerTo(value.Type())):
			withoutInternal(value)
		case value.Kind() == reflect.Slice:
			withoutInternalOfEach(value)
		}
		return false
	})
}

// withoutInternalOfEach is withoutInternal for the structs of a list, in a copy of the list.
func withoutInternalOfEach(value reflect.Value) {
	item := value.Type().Elem()
	if !holdsKeys(reflect.PointerTo(item)) || item == reflect.TypeFor[TrunkTag]() {
		return
	}
	list := reflect.MakeSlice(value.Type(), value.Len(), value.Len())
	reflect.Copy(list, value)
	for n := range list.Len() {
		withoutInternal(list.Index(n))
	}
	value.Set(list)
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
	withoutInternal(reflect.ValueOf(&s).Elem())
	return s
}

func (i Interface) shown() Interface {
	if ip := i.IPv4; ip != nil && !isTrue(ip.Enabled) && !isTrue(ip.Forwarding) {
		shown := *ip
		shown.Forwarding = nil // no news of a link without addresses
		i.IPv4 = &shown
	}
	if i.Bridge == nil || i.Bridge.Options == nil || i.Bridge.Options.GroupForwardMask == nil {
		return i
	}
	bridge, options := *i.Bridge, *i.Bridge.Options
	options.GroupFwdMask = options.GroupForwardMask
	bridge.Options = &options
	i.Bridge = &bridge
	return i
}

func shownRoutes(routes []Route) []Route {
	if routes == nil {
		return nil
	}
	shown := make([]Route, len(routes))
	for n, route := range routes {
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
