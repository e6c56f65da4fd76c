// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateLinkParts checks the parts of vlans, vxlans, veths and mac-vlans by themselves.
func validateLinkParts(desired State, at *field.Path) field.ErrorList {
	return desired.each(at, func(i Interface, at *field.Path) field.ErrorList {
		var errs field.ErrorList
		if base := i.Base(); base != "" {
			errs = append(errs, validateReference(i.Name, base, at.Child(i.partKey(), "base-iface"))...)
		}
		if i.Veth != nil {
			errs = append(errs, validateReference(i.Name, i.Veth.Peer, at.Child("veth", "peer"))...)
		}
		if i.VXLAN != nil {
			errs = append(errs, validateTunnel(*i.VXLAN, i.Base(), at.Child("vxlan"))...)
		}
		return errs
	})
}

// validateTunnel checks the ends of a vxlan (vxlan_config_validate of drivers/net/vxlan/vxlan_core.c).
func validateTunnel(x VXLAN, base string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if x.Remote.IsValid() && x.Local.IsValid() && x.Remote.Is4() != x.Local.Is4() {
		errs = append(errs, field.Invalid(at.Child("local"), x.Local.String(), "is not of the IP version of remote"))
	}
	if x.Remote.IsMulticast() && base == "" {
		errs = append(errs, field.Required(at.Child("base-iface"), "a multicast remote needs one"))
	}
	remote := known(x.Remote)
	near := x.Local.Is6() && x.Local.IsLinkLocalUnicast()
	switch {
	case x.Local.IsMulticast():
		errs = append(errs, field.Invalid(at.Child("local"), x.Local.String(), "cannot be the address of an interface"))
	case near && remote.IsValid() && !remote.IsLinkLocalUnicast() && !remote.IsLinkLocalMulticast():
		errs = append(errs, field.Invalid(at.Child("local"), x.Local.String(), "is of the link only, and remote is not"))
	case !near && remote.Is6() && remote.IsLinkLocalUnicast():
		errs = append(errs, field.Invalid(at.Child("remote"), x.Remote.String(), "is of the link only, and local is not"))
	case near && base == "":
		errs = append(errs, field.Required(at.Child("base-iface"), "an address of the link only needs one"))
	}
	return errs
}

// validateReference checks a name that refers to another interface.
func validateReference(from, to string, at *field.Path) field.ErrorList {
	if to == from {
		return field.ErrorList{field.Invalid(at, to, "is the interface itself")}
	}
	return validateName(to, at)
}

// validatePortsUnique checks port lists by themselves.
func validatePortsUnique(desired State, at *field.Path) field.ErrorList {
	return desired.each(at, func(i Interface, at *field.Path) field.ErrorList {
		var errs field.ErrorList
		seen := map[string]bool{}
		for n, port := range i.Ports() {
			here := at.Child(i.partKey(), "port").Index(n)
			if i.Bridge != nil {
				here = here.Child("name")
			}
			errs = append(errs, validateReference(i.Name, port, here)...)
			if seen[port] {
				errs = append(errs, field.Duplicate(here, port))
			}
			seen[port] = true
		}
		return errs
	})
}

// statedControllers returns, for every interface a port list or a controller key of the desired state
// attaches, the first controller it is given.
func (s State) statedControllers() map[string]Interface {
	byName := s.index()
	controllers := map[string]Interface{}
	for _, i := range s.Interfaces {
		if !i.wanted() {
			continue
		}
		for _, port := range i.Ports() {
			if _, taken := controllers[port]; !taken {
				controllers[port] = i
			}
		}
	}
	for _, i := range s.Interfaces {
		if _, listed := controllers[i.Name]; listed || !i.wanted() || i.Controller == nil || *i.Controller == "" {
			continue
		}
		controllers[i.Name] = Interface{Name: *i.Controller}
		if controller, ok := byName[*i.Controller]; ok {
			controllers[i.Name] = *controller
		}
	}
	return controllers
}

// validateControllers checks that port lists and controller keys agree, and that a link has one controller.
func validateControllers(desired State, at *field.Path) field.ErrorList {
	byName := desired.index()
	owner := desired.statedControllers()
	errs := desired.each(at, func(i Interface, at *field.Path) field.ErrorList {
		var errs field.ErrorList
		for n, port := range i.Ports() {
			here := at.Child(i.partKey(), "port").Index(n)
			if other := owner[port]; other.Name != i.Name {
				errs = append(errs, field.Invalid(here, port, "is overbooked by two controllers: "+i.Name+", "+other.Name))
			}
			if p, ok := byName[port]; ok && port != i.Name {
				errs = append(errs, validatePort(i, *p, here)...)
			}
		}
		return append(errs, validateController(i, byName, owner, at)...)
	})
	return errs
}

func validatePort(controller, port Interface, at *field.Path) field.ErrorList {
	switch {
	case port.State == StateAbsent && port.Type != TypeEthernet:
		return field.ErrorList{field.Invalid(at, port.Name, "has state absent")}
	case port.Type == TypeBond && controller.Type == TypeBond:
		return field.ErrorList{field.Invalid(at, port.Name, "is a bond, which cannot be a port of a bond")}
	case port.Type == TypeLoopback, port.Type == TypeVRF, port.Type == TypeBridge && controller.Type != TypeVRF:
		return field.ErrorList{field.Invalid(at, port.Name,
			"is a "+string(port.Type)+", which cannot be a port of a "+string(controller.Type))}
	}
	return nil
}

// validateController checks the controller key of an interface against the port lists.
func validateController(
	i Interface, byName map[string]*Interface, owner map[string]Interface, at *field.Path,
) field.ErrorList {
	if i.Controller == nil {
		return nil
	}
	at = at.Child("controller")
	lister, isListed := owner[i.Name]
	if *i.Controller == "" {
		if isListed {
			return field.ErrorList{field.Invalid(at, "", i.Name+" is still listed as a port of "+lister.Name)}
		}
		return nil
	}
	errs := validateReference(i.Name, *i.Controller, at)
	if lister.Name != *i.Controller {
		return append(errs, field.Invalid(at, *i.Controller, i.Name+" is listed as a port of "+lister.Name))
	}
	controller, isDesired := byName[*i.Controller]
	switch {
	case !isDesired:
	case controller.State == StateAbsent:
		errs = append(errs, field.Invalid(at, *i.Controller, "has state absent"))
	case controller.Ports() != nil && !slices.Contains(controller.Ports(), i.Name):
		errs = append(errs, field.Invalid(at, *i.Controller, i.Name+" is not in the port list of "+controller.Name))
	}
	return errs
}

// validateBases checks that nothing stands on a link that is to go or to be down.
func validateBases(desired State, at *field.Path) field.ErrorList {
	byName := desired.index()
	return desired.each(at, func(i Interface, at *field.Path) field.ErrorList {
		base, isDesired := byName[i.Base()]
		if !isDesired || i.Base() == "" {
			return nil
		}
		at = at.Child(i.partKey(), "base-iface")
		switch {
		case base.State == StateAbsent && base.Type != TypeEthernet:
			return field.ErrorList{field.Invalid(at, base.Name, i.Name+" cannot be up, because "+base.Name+" has state absent")}
		case (base.State == StateDown || base.State == StateAbsent) && i.State != StateDown && i.VXLAN == nil:
			return field.ErrorList{field.Invalid(at, base.Name, i.Name+" cannot be up while "+base.Name+" has state down")}
		}
		return nil
	})
}

func validateRings(desired State, at *field.Path) field.ErrorList {
	below := map[string][]string{}
	for _, i := range desired.Interfaces {
		if !i.wanted() {
			continue
		}
		below[i.Name] = append(below[i.Name], i.Ports()...)
		if i.Base() != "" {
			below[i.Name] = append(below[i.Name], i.Base())
		}
		if i.Controller != nil && *i.Controller != "" {
			below[*i.Controller] = append(below[*i.Controller], i.Name)
		}
	}
	for n, i := range desired.Interfaces {
		if ring := findRing(below, i.Name); ring != nil && ring[0] == slices.Min(ring) {
			return field.ErrorList{field.Invalid(desired.pathOf(at, n).Child("name"), i.Name,
				"is its own base: "+strings.Join(append(ring, i.Name), " → "))}
		}
	}
	return nil
}

// findRing returns the links of a ring that goes through name, from name on, or nil. below says what each link
// stands on: its base and its ports.
func findRing(below map[string][]string, name string) []string {
	visited := map[string]bool{}
	var walk func(path []string, at string) []string
	walk = func(path []string, at string) []string {
		for _, next := range below[at] {
			if next == name {
				return path
			}
			if next == at || visited[next] {
				continue
			}
			visited[next] = true
			if ring := walk(append(slices.Clone(path), next), next); ring != nil {
				return ring
			}
		}
		return nil
	}
	if slices.Contains(below[name], name) {
		return nil // said elsewhere: is the interface itself
	}
	return walk([]string{name}, name)
}

// validateName checks what the kernel's dev_valid_name checks, and that the name cannot be mistaken for
// an alias or an option.
func validateName(name string, at *field.Path) field.ErrorList {
	switch {
	case name == "":
		return field.ErrorList{field.Required(at, "the name of a network interface")}
	case len(name) > 15:
		return field.ErrorList{field.Invalid(at, name,
			"is "+strconv.Itoa(len(name))+" bytes long: an interface name has at most 15")}
	case name == "." || name == "..":
		return field.ErrorList{field.Invalid(at, name, "cannot be the name of an interface")}
	case name == "all" || name == "default" || name == "bonding_masters":
		// sysctl_dev_name_is_allowed of include/linux/netdevice.h, and bond_create_sysfs of the bonding driver
		return field.ErrorList{field.Invalid(at, name, "the kernel keeps this name for a file of its own")}
	case strings.Contains(name, "%"):
		return field.ErrorList{field.Invalid(at, name, "the kernel puts a number in the place of %")} // dev_alloc_name
	case strings.ContainsFunc(name,
		func(r rune) bool { return r == '/' || r == ':' || r <= ' ' || r == 0x7f || r == 0x85 || r == 0xa0 }):
		return field.ErrorList{field.Invalid(at, name, "an interface name has no slash, colon, blank or control character")}
	}
	return nil
}
