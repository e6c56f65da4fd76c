// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The ways in which an entry of a desired state finds its link.
const (
	IdentifierName = "name"
	IdentifierMAC  = "mac-address"
)

// Resolve returns a desired state in the names that links have on a node with this current state. An entry with
// identifier: mac-address gets the name of the link with that MAC, and so does everything that refers to the entry by
// the name written in it; that name is kept as ProfileName. An entry for the other end of a veth, which people call an
// ethernet or give no type, becomes a veth. What no link can be found for stays as it is: Check reports it. Resolving
// again changes nothing unless a link has got another name since.
func Resolve(current, desired State) State {
	names := map[string]string{}
	for _, d := range desired.Interfaces {
		if found := d.sought(current); len(found) == 1 && found[0] != d.Name {
			names[d.Name] = found[0]
		}
	}
	if len(names) > 0 {
		desired = desired.renamed(names)
	}
	return desired.withPeers(current)
}

// byMAC reports whether the entry finds its link by its MAC address, which then is no wish.
func (i Interface) byMAC() bool {
	return i.wanted() && deref(i.Identifier) == IdentifierMAC && i.MAC != nil
}

// sought returns the names of the links that an entry with identifier: mac-address can be about: those with that
// permanent MAC, or else those that use it. A VLAN or a bridge that has the MAC of a NIC is only meant where the entry
// says its type.
func (i Interface) sought(current State) []string {
	if !i.byMAC() {
		return nil
	}
	var permanent, using []string
	for _, link := range current.Interfaces {
		if i.Type != "" && !sameType(link, i) || i.Type == "" && link.Type != TypeEthernet && link.Type != TypeVeth {
			continue
		}
		switch {
		case link.PermanentMAC != nil && *link.PermanentMAC == *i.MAC:
			permanent = append(permanent, link.Name)
		case link.MAC != nil && *link.MAC == *i.MAC:
			using = append(using, link.Name)
		}
	}
	if len(permanent) > 0 {
		return permanent
	}
	return using
}

// renamed returns the state with other names for some interfaces, wherever it names them.
func (s State) renamed(names map[string]string) State {
	name := func(old string) string { return cmp.Or(names[old], old) }
	interfaces := slices.Clone(s.Interfaces)
	for n := range interfaces {
		i := &interfaces[n]
		if i.ProfileName == nil && name(i.Name) != i.Name {
			i.ProfileName = new(i.Name)
		}
		i.Name = name(i.Name)
		i.Controller, i.CopyMACFrom = renamedKey(i.Controller, name), renamedKey(i.CopyMACFrom, name)
		i.renameParts(name)
	}
	s.Interfaces = interfaces
	for _, routes := range []*[]Route{&s.Routes.Config, &s.Routes.Running, &s.Routes.Other} {
		*routes = slices.Clone(*routes)
		for n, route := range *routes {
			(*routes)[n].NextHopInterface = name(route.NextHopInterface)
		}
	}
	s.RouteRules.Config = slices.Clone(s.RouteRules.Config)
	for n := range s.RouteRules.Config {
		s.RouteRules.Config[n].IIF = renamedKey(s.RouteRules.Config[n].IIF, name)
	}
	return s
}

// renameParts renames what the part of a type refers to.
func (i *Interface) renameParts(name func(string) string) {
	if i.VLAN != nil {
		i.VLAN = overlayPart(i.VLAN, &VLAN{BaseIface: renamedKey(i.VLAN.BaseIface, name)})
	}
	if i.VXLAN != nil {
		i.VXLAN = overlayPart(i.VXLAN, &VXLAN{BaseIface: renamedKey(i.VXLAN.BaseIface, name)})
	}
	if i.MACVLAN != nil {
		i.MACVLAN = overlayPart(i.MACVLAN, &MACVLAN{BaseIface: renamedKey(i.MACVLAN.BaseIface, name)})
	}
	if i.Veth != nil {
		i.Veth = &Veth{Peer: name(i.Veth.Peer)}
	}
	if i.VRF != nil {
		i.VRF = overlayPart(i.VRF, &VRF{Port: renamedList(i.VRF.Port, name)})
	}
	if i.Bridge != nil && i.Bridge.Port != nil {
		ports := slices.Clone(i.Bridge.Port)
		for n := range ports {
			ports[n].Name = name(ports[n].Name)
		}
		i.Bridge = overlayPart(i.Bridge, &Bridge{Port: ports})
	}
	if i.Bond != nil {
		i.Bond = i.Bond.renamed(name)
	}
}

func (b Bond) renamed(name func(string) string) *Bond {
	b.Port, b.Active = renamedList(b.Port, name), name(b.Active)
	b.PortsConfig = slices.Clone(b.PortsConfig)
	for n := range b.PortsConfig {
		b.PortsConfig[n].Name = name(b.PortsConfig[n].Name)
	}
	if b.Options != nil && b.Options.Primary != nil {
		b.Options = overlayPart(b.Options, &BondOptions{Primary: renamedKey(b.Options.Primary, name)})
	}
	return &b
}

func renamedKey(key *string, name func(string) string) *string {
	if key == nil {
		return nil
	}
	return new(name(*key))
}

func renamedList(list []string, name func(string) string) []string {
	list = slices.Clone(list)
	for n := range list {
		list[n] = name(list[n])
	}
	return list
}

// heeding returns a current state in which the links that a desired state names, as entries or as ports, are no longer
// ignored if they can be looked after.
func (s State) heeding(desired State) State {
	named := map[string]bool{}
	for _, d := range desired.Interfaces {
		if d.State == StateIgnore {
			continue
		}
		named[d.Name] = true
		for _, port := range d.Ports() {
			named[port] = true
		}
	}
	for n, i := range s.Interfaces {
		if named[i.Name] && i.State == StateIgnore && i.Ignored != "" {
			interfaces := slices.Clone(s.Interfaces)
			interfaces[n].State, interfaces[n].Ignored = i.Ignored, ""
			s.Interfaces = interfaces
		}
	}
	return s
}

// withPeers returns the state with type veth for entries that are the other end of one that is to be made.
func (s State) withPeers(current State) State {
	ends := map[string]string{}
	for _, d := range s.Interfaces {
		if d.wanted() && d.Veth != nil && (d.Type == TypeVeth || d.Type == "") {
			ends[d.Veth.Peer] = d.Name
		}
	}
	if len(ends) == 0 {
		return s
	}
	s.Interfaces = slices.Clone(s.Interfaces)
	for n, d := range s.Interfaces {
		_, exists := current.Interface(d.Name)
		if other := ends[d.Name]; other != "" && d.wanted() && !exists && (d.Type == TypeEthernet || d.Type == "") {
			s.Interfaces[n].Type = TypeVeth
		}
	}
	return s
}

// checkIdentified asks that every MAC by which an entry finds its link is that of one link, and of one entry.
func checkIdentified(current, desired State, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	taken := map[string]bool{}
	for n, d := range desired.Interfaces {
		if taken[d.Name] {
			errs = append(errs, field.Duplicate(desired.pathOf(at, n).Child("mac-address"), d.Name))
		}
		taken[d.Name] = true
		if !d.byMAC() {
			continue
		}
		here := desired.pathOf(at, n).Child("mac-address")
		switch found := d.sought(current); len(found) {
		case 0:
			errs = append(errs, field.NotFound(here, d.MAC.String()))
		case 1:
		default:
			errs = append(errs, field.Invalid(here, d.MAC.String(),
				"is that of "+strings.Join(found, " and of ")+": name the interface"))
		}
	}
	return errs
}
