// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Parse reads a desired or current state from YAML or JSON, strictly: an unknown key is an error that
// names its path and what was likely meant. It accepts what nmstate accepts: numbers and booleans in
// strings, ports for port, interfaces with a few keys only, and anything at all beside state: absent.
// Names stay the text they are, even if they look like numbers.
//
// The errors are all there are, and go with the part of the state that could be read. That a state
// parses does not mean it makes sense: see Validate.
func Parse(data []byte) (State, field.ErrorList) { return ParseAt(nil, data) }

// ParseAt is Parse for a state that is part of a larger document: the paths of errors begin with at.
func ParseAt(at *field.Path, data []byte) (State, field.ErrorList) {
	document, err := readDocument(data)
	if err != nil {
		if at == nil {
			at = field.NewPath("document")
		}
		return State{}, field.ErrorList{field.Invalid(at, field.OmitValueType{}, err.Error())}
	}
	var state State
	d := decoder{schemas: map[reflect.Type]schema{}}
	d.decode(document, reflect.ValueOf(&state).Elem(), "", at)
	dropUnspecified(state.Routes.Config)
	dropUnspecified(state.Routes.Running)
	for n := range state.RouteRules.Config {
		dropMinusOne(&state.RouteRules.Config[n].Priority)
	}
	return state, d.errs
}

// dropUnspecified turns the next hop addresses 0.0.0.0 and ::, which mean none, into none, and so the metric -1,
// which is nmstate's word for the kernel's own choice.
func dropUnspecified(routes []Route) {
	for n := range routes {
		dropMinusOne(&routes[n].Metric)
		if routes[n].NextHopAddress.IsUnspecified() {
			routes[n].NextHopAddress = netip.Addr{}
		}
	}
}

func dropMinusOne(number **int) {
	if *number != nil && **number == -1 {
		*number = nil
	}
}

// decodeInterface decodes an entry of interfaces. Beside state: absent only name and type count, and
// nothing can be wrong with the rest, unless it says that the name is not how to find the link.
func (d *decoder) decodeInterface(n node, into reflect.Value, at *field.Path) {
	i := into.Addr().Interface().(*Interface)
	state, _ := n.member("state")
	if state.kind == scalarNode && strings.EqualFold(state.text, string(StateAbsent)) {
		name, _ := n.member("name")
		kind, _ := n.member("type")
		if by, _ := n.member("identifier"); by.kind == scalarNode && strings.EqualFold(by.text, IdentifierMAC) {
			d.errs = append(d.errs, field.Forbidden(child(at, "identifier"), // or another link of that name would go
				"state: absent finds its interface by name: write the name of the interface, without an identifier"))
		}
		*i = Interface{Name: name.text, Type: LinkType(kind.text), State: StateAbsent}
		return
	}
	d.decode(n, into, "", at)
	i.State = LinkState(strings.ToLower(string(i.State)))
	i.Type = LinkType(strings.ToLower(string(i.Type)))
	d.checkType(i, at)
	d.foldForwardMask(i, at)
	i.Bond.foldPorts()
	i.IPv4.dropLearnt()
	i.IPv6.dropLearnt()
	i.IPv4.refuse(d, child(at, "ipv4"), "autoconf", "addr-gen-mode", "token", "dhcp-duid")
	i.IPv6.refuse(d, child(at, "ipv6"), "dhcp-client-id")
}

func (d *decoder) checkType(i *Interface, at *field.Path) {
	if i.Type == "" || i.State == StateIgnore || slices.Contains(configurable(), i.Type) {
		return
	}
	if instead, isKnown := refusedTypes()[string(i.Type)]; isKnown {
		d.errs = append(d.errs, field.Forbidden(child(at, "type"), string(i.Type)+": "+instead))
		return
	}
	known := make([]string, 0, len(configurable()))
	for _, t := range configurable() {
		known = append(known, string(t))
	}
	d.errs = append(d.errs, field.Invalid(child(at, "type"), string(i.Type), didYouMean(string(i.Type), known)))
}

// foldForwardMask moves group-fwd-mask to the other name of the same option.
func (d *decoder) foldForwardMask(i *Interface, at *field.Path) {
	if i.Bridge == nil || i.Bridge.Options == nil || i.Bridge.Options.GroupFwdMask == nil {
		return
	}
	options := i.Bridge.Options
	if options.GroupForwardMask != nil && *options.GroupForwardMask != *options.GroupFwdMask {
		d.errs = append(d.errs, field.Invalid(at.Child("bridge", "options", "group-fwd-mask"), *options.GroupFwdMask,
			"is another name of group-forward-mask, which says something else"))
	}
	options.GroupForwardMask, options.GroupFwdMask = options.GroupFwdMask, nil
}

// foldPorts takes the ports of ports-config for the port list of a bond that gives no other.
func (b *Bond) foldPorts() {
	if b == nil || b.Port != nil || b.PortsConfig == nil {
		return
	}
	b.Port = make([]string, len(b.PortsConfig))
	for n, port := range b.PortsConfig {
		b.Port[n] = port.Name
	}
}

// dropLearnt drops the addresses that say they expire: who taught them will do it again. A configuration that says
// that nobody is to be asked, neither a server nor routers, takes them over for good instead.
func (ip *IP) dropLearnt() {
	if ip == nil {
		return
	}
	dhcp, autoconf := ip.DHCP, ip.Autoconf
	static := dhcp != nil && !*dhcp && !isTrue(autoconf) || dhcp == nil && autoconf != nil && !*autoconf
	if !static {
		ip.Address = slices.DeleteFunc(ip.Address, Address.Dynamic)
		return
	}
	for n := range ip.Address {
		ip.Address[n] = forever(ip.Address[n])
	}
}

// refuse reports the keys that exist in the other IP version only.
func (ip *IP) refuse(d *decoder, at *field.Path, keys ...string) {
	if ip == nil {
		return
	}
	eachKey(reflect.ValueOf(IP{}), reflect.ValueOf(*ip), func(path []keyStep, _, is reflect.Value) bool {
		if key := path[0].key(); slices.Contains(keys, key) && !is.IsZero() {
			d.errs = append(d.errs, field.Forbidden(child(at, key), "there is no such key in this IP version"))
		}
		return false
	})
}
