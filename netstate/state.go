// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (i Interface) partKey() string {
	for _, part := range i.parts() {
		if part.present {
			return part.key
		}
	}
	return ""
}

// index returns the interfaces by name. They are the ones of the state: do not modify them.
func (s State) index() map[string]*Interface {
	byName := make(map[string]*Interface, len(s.Interfaces))
	for n := range s.Interfaces {
		byName[s.Interfaces[n].Name] = &s.Interfaces[n]
	}
	return byName
}

// each calls check for the interfaces that the desired state wants to exist.
func (s State) each(at *field.Path, check func(i Interface, at *field.Path) field.ErrorList) field.ErrorList {
	var errs field.ErrorList
	for n, i := range s.Interfaces {
		// Paths cost more than the checks: they are made for the few interfaces with errors only.
		if i.wanted() && len(check(i, nil)) > 0 {
			errs = append(errs, check(i, s.pathOf(at, n))...)
		}
	}
	return errs
}

// pathOf returns the path of the interface at index n.
func (s State) pathOf(at *field.Path, n int) *field.Path { return child(at, "interfaces").Index(n) }

// wanted reports whether a desired interface is to exist, up or down, and to be looked after.
func (i Interface) wanted() bool { return i.State != StateAbsent && i.State != StateIgnore }

// A linkPart is one of the parts of an Interface that go with a type.
type linkPart struct {
	key     string
	of      LinkType
	present bool
}

func (i Interface) parts() []linkPart {
	return []linkPart{
		{"ethernet", TypeEthernet, i.Ethernet != nil},
		{"bridge", TypeBridge, i.Bridge != nil},
		{"vlan", TypeVLAN, i.VLAN != nil},
		{"link-aggregation", TypeBond, i.Bond != nil},
		{"veth", TypeVeth, i.Veth != nil},
		{"vxlan", TypeVXLAN, i.VXLAN != nil},
		{"vrf", TypeVRF, i.VRF != nil},
		{"mac-vlan", TypeMACVLAN, i.MACVLAN != nil},
	}
}

// followsBase reports whether the kernel takes the link down and up with its base: a VLAN without loose binding.
func (i Interface) followsBase() bool { return i.VLAN != nil && !isTrue(i.VLAN.LooseBinding) }

// basesFirst sorts names by how many links are below each, and by name. Rings end somewhere.
func basesFirst(links map[string]*Interface) []string {
	depths := make(map[string]int, len(links))
	var depth func(name string, left int) int
	depth = func(name string, left int) int {
		link, exists := links[name]
		if !exists || left == 0 {
			return 0
		}
		if known, done := depths[name]; done {
			return known
		}
		d := 0
		if base := link.Base(); base != "" {
			d = 1 + depth(base, left-1)
		}
		depths[name] = d
		return d
	}
	names := make([]string, 0, len(links))
	for name := range links {
		depth(name, len(links))
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(depths[a], depths[b]), cmp.Compare(a, b))
	})
	return names
}

// sameType reports whether the desired entry is about the link as it is. A veth may be called an
// ethernet, as in nmstate.
func sameType(now, desired Interface) bool {
	return desired.Type == "" || desired.Type == now.Type || desired.Type == TypeEthernet && now.Type == TypeVeth
}

// Own returns current with Owned set on every interface that committed, the state we last applied on
// this node, names as an interface or as a port, and on every address and rule that it names. What committed wants
// ignored is not ours by that.
func Own(current, committed State) State {
	named := make(map[string]bool, len(committed.Interfaces))
	for _, i := range committed.Interfaces {
		if i.State == StateIgnore {
			continue
		}
		named[i.Name] = true
		for _, port := range i.Ports() {
			named[port] = true
		}
		if i.Veth != nil {
			named[i.Veth.Peer] = true
		}
	}
	owned := make([]Interface, len(current.Interfaces))
	for n, i := range current.Interfaces {
		i.Owned = i.Owned || named[i.Name]
		owned[n] = i
	}
	links := State{Interfaces: owned}.index()
	for _, i := range committed.Interfaces {
		if link := links[i.Name]; link != nil && i.State != StateIgnore {
			link.IPv4, link.IPv6 = link.IPv4.own(i.IPv4), link.IPv6.own(i.IPv6)
		}
	}
	current.Interfaces = owned
	current.RouteRules.Config = slices.Clone(current.RouteRules.Config)
	for n, rule := range current.RouteRules.Config {
		current.RouteRules.Config[n].Owned = rule.Owned || slices.ContainsFunc(committed.RouteRules.Config,
			func(d RouteRule) bool { return d.State != StateAbsent && d.matches(rule) })
	}
	return current
}

// ip returns the IP configuration that goes with an address of the prefix's version.
func (i Interface) ip(version netip.Prefix) *IP {
	if version.IsValid() && !version.Addr().Is4() {
		return i.IPv6
	}
	return i.IPv4
}

func addresses(link *Interface, version func(*Interface) *IP) []Address {
	if link == nil || version(link) == nil {
		return nil
	}
	return version(link).Address
}

func ipv4(i *Interface) *IP { return i.IPv4 }

func ipv6(i *Interface) *IP { return i.IPv6 }

// Listens reports whether neighbours are listened for on a link.
func (i *Interface) Listens() bool { return i != nil && i.LLDP != nil && isTrue(i.LLDP.Enabled) }
