// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A rule lists what is wrong with a desired state in one respect.
type rule func(desired State, at *field.Path) field.ErrorList

// Validate lists everything that is wrong with a desired state whatever node it meets, with paths that
// begin with at (nil for a document of its own). What depends on the node, such as a NIC that does not
// exist, is found by Check.
func Validate(desired State, at *field.Path) field.ErrorList {
	rules := []rule{
		validateRangesAndWords,
		validateNames,
		validateParts,
		validateMACs,
		validateIPs,
		validateBridgeOptions,
		validateBridgePorts,
		validateBonds,
		validateLinkParts,
		validatePortsUnique,
		validateControllers,
		validateBases,
		validateBaseKinds,
		validateRings,
		validateMTUs,
		validateRoutes,
		validateRouteRules,
		validateDNS,
	}
	var errs field.ErrorList
	for _, check := range rules {
		errs = append(errs, check(desired, at)...)
	}
	return errs
}

func validateNames(desired State, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := make(map[string]bool, len(desired.Interfaces))
	for n, i := range desired.Interfaces {
		here := desired.pathOf(at, n)
		errs = append(errs, validateName(i.Name, here.Child("name"))...)
		if i.Name != "" && seen[i.Name] {
			errs = append(errs, field.Duplicate(here.Child("name"), i.Name))
		}
		seen[i.Name] = true
		errs = append(errs, validateLinkState(i, here)...)
		errs = append(errs, validateDescription(i, here)...)
	}
	return errs
}

// maxDescription is how long the kernel lets the alias of a link be, in bytes (IFALIASZ of include/uapi/linux/if.h,
// less the zero at its end).
const maxDescription = 255

func validateDescription(i Interface, at *field.Path) field.ErrorList {
	if !i.wanted() || len(deref(i.Description)) <= maxDescription {
		return nil
	}
	return field.ErrorList{field.TooLong(at.Child("description"), "", maxDescription)}
}

func validateLinkState(i Interface, at *field.Path) field.ErrorList {
	loopback := i.Name == "lo" || i.Type == TypeLoopback
	switch i.State {
	case "", StateUp, StateDown, StateIgnore:
		if loopback && i.wanted() {
			return validateLoopback(i, at)
		}
		return nil
	case StateAbsent:
		if loopback {
			return field.ErrorList{field.Forbidden(at.Child("state"), "the loopback interface cannot be absent")}
		}
		return nil
	}
	return field.ErrorList{field.NotSupported(at.Child("state"), i.State,
		[]LinkState{StateUp, StateDown, StateAbsent, StateIgnore})}
}

// validateLoopback refuses to switch off what every program on a node counts on.
func validateLoopback(i Interface, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if i.State == StateDown {
		errs = append(errs, field.Forbidden(at.Child("state"), "the loopback interface cannot be down"))
	}
	if i.IPv4 != nil && i.IPv4.Enabled != nil && !*i.IPv4.Enabled {
		errs = append(errs, field.Forbidden(at.Child("ipv4", "enabled"), "the loopback interface keeps 127.0.0.1"))
	}
	if i.IPv4.asks() {
		errs = append(errs, field.Forbidden(at.Child("ipv4", "dhcp"), "nobody answers on the loopback interface"))
	}
	if i.IPv6.asks() {
		errs = append(errs, field.Forbidden(at.Child("ipv6"), "nobody answers on the loopback interface"))
	}
	if deref(i.Controller) != "" {
		errs = append(errs, field.Forbidden(at.Child("controller"), "the loopback interface cannot be a port"))
	}
	return errs
}

// validateParts refuses the part of one type beside another type.
func validateParts(desired State, at *field.Path) field.ErrorList {
	return desired.each(at, func(i Interface, at *field.Path) field.ErrorList {
		var errs field.ErrorList
		for _, part := range i.parts() {
			if part.present && i.Type != "" && i.Type != part.of && (part.of != TypeEthernet || i.Type != TypeVeth) {
				errs = append(errs, field.Forbidden(at.Child(part.key),
					"goes with type "+string(part.of)+", not with "+string(i.Type)))
			}
		}
		if i.Ethtool != nil && i.Type != "" && i.Type != TypeEthernet {
			errs = append(errs, field.Forbidden(at.Child("ethtool"),
				"goes with type "+string(TypeEthernet)+", not with "+string(i.Type)))
		}
		if i.CopyMACFrom != nil && i.Type != "" && i.Type != TypeBridge && i.Type != TypeBond {
			errs = append(errs, field.Forbidden(at.Child("copy-mac-from"), "goes with type linux-bridge or bond"))
		}
		if i.CopyMACFrom != nil && i.MAC != nil {
			errs = append(errs, field.Forbidden(at.Child("copy-mac-from"), "mac-address is set as well: remove one of the two"))
		}
		return errs
	})
}

func validateMACs(desired State, at *field.Path) field.ErrorList {
	return desired.each(at, func(i Interface, at *field.Path) field.ErrorList {
		if i.MAC == nil && deref(i.Identifier) == IdentifierMAC {
			return field.ErrorList{field.Required(at.Child("mac-address"), "identifier: mac-address finds the interface by this address")}
		}
		if i.MAC == nil {
			return nil
		}
		switch {
		case *i.MAC == MAC{}:
			return field.ErrorList{field.Invalid(at.Child("mac-address"), i.MAC.String(), "is all zeros")}
		case i.MAC.multicast():
			return field.ErrorList{field.Invalid(at.Child("mac-address"), i.MAC.String(), "is a multicast address")}
		case i.Type == TypeLoopback:
			return field.ErrorList{field.Forbidden(at.Child("mac-address"), "the loopback interface has none")}
		}
		return nil
	})
}

// validateMTUs compares what the desired state says itself. The limits of drivers, and the MTU of bases it does
// not mention, are checked on the node.
func validateMTUs(desired State, at *field.Path) field.ErrorList {
	mtus := map[string]int{}
	for _, i := range desired.Interfaces {
		if i.MTU != nil && i.wanted() {
			mtus[i.Name] = *i.MTU
		}
	}
	return desired.each(at, func(i Interface, at *field.Path) field.ErrorList {
		if i.MTU == nil {
			return nil
		}
		var errs field.ErrorList
		if base, known := mtus[i.Base()]; known && *i.MTU > base && i.VXLAN == nil {
			errs = append(errs, mtuAboveBase(i, base, at))
		}
		if i.IPv6 != nil && isTrue(i.IPv6.Enabled) && *i.MTU < minIPv6MTU {
			errs = append(errs, mtuBelowIPv6(i, at))
		}
		return errs
	})
}

// minIPv6MTU is the least MTU with which the kernel runs IPv6 on a link.
const minIPv6MTU = 1280

func mtuAboveBase(i Interface, base int, at *field.Path) *field.Error {
	return field.Invalid(at.Child("mtu"), *i.MTU, "is above the MTU of "+i.Base()+", "+strconv.Itoa(base))
}

func mtuBelowIPv6(i Interface, at *field.Path) *field.Error {
	return field.Invalid(at.Child("mtu"), *i.MTU, "must be at least 1280 when IPv6 is enabled on "+i.Name)
}
