// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"slices"
	"syscall"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A link gives what it receives to one other: to its bridge or bond, or to what stands on it as a mac-vlan does
// (netdev_rx_handler_register of net/core/dev.c). A VLAN and a VRF take theirs on another way.

// receives reports whether a controller of this type takes the frames of its ports.
func (t LinkType) receives() bool { return t == TypeBridge || t == TypeBond }

// standsAsMACVLAN returns the name of the link whose frames a mac-vlan or macvtap takes, "" for links of other kinds.
func (i Interface) standsAsMACVLAN() string {
	switch i.Type {
	case TypeMACVLAN:
		return i.Base()
	case TypeMACVTAP:
		return i.Below
	}
	return ""
}

// validateBaseKinds refuses a mac-vlan whose base the desired state gives to a bridge or bond, and bases of kinds on
// which a VLAN or a mac-vlan cannot stand.
func validateBaseKinds(desired State, at *field.Path) field.ErrorList {
	byName, controllers := desired.index(), desired.statedControllers()
	return desired.each(at, func(i Interface, at *field.Path) field.ErrorList {
		at = at.Child(i.partKey(), "base-iface")
		controller := controllers[i.Base()]
		if i.MACVLAN != nil && controller.Type.receives() && controller.Name != i.Name {
			return field.ErrorList{macvlanOnPort(i.Base(), controller, at)}
		}
		if base := byName[i.Base()]; base != nil && base.wanted() && base.Name != i.Name {
			return validateBaseKind(i, *base, at)
		}
		return nil
	})
}

// validateBaseKind knows what cannot stand on what: vlan_check_real_dev of net/8021q/vlan.c refuses what is
// NETIF_F_VLAN_CHALLENGED, macvlan_port_create of drivers/net/macvlan.c the loopback, and macvlan_common_newlink takes
// the base of a base that is a mac-vlan.
func validateBaseKind(i, base Interface, at *field.Path) field.ErrorList {
	kind := base.Type
	if base.Name == "lo" {
		kind = TypeLoopback
	}
	switch {
	case i.MACVLAN != nil && (kind == TypeMACVLAN || kind == TypeMACVTAP):
		return field.ErrorList{field.Invalid(at, base.Name,
			"is a "+string(kind)+" itself: name the link below it"+prefixed(", ", cmp.Or(base.Base(), base.Below)))}
	case i.MACVLAN != nil && kind == TypeLoopback:
		return field.ErrorList{field.Invalid(at, base.Name, "is the loopback, on which no mac-vlan can stand")}
	case i.VLAN != nil && (kind == TypeLoopback || kind == TypeVRF):
		return field.ErrorList{field.Invalid(at, base.Name, "is a "+string(kind)+", on which no VLAN can stand")}
	}
	return nil
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

func macvlanOnPort(base string, controller Interface, at *field.Path) *field.Error {
	return field.Invalid(at, base, "is a port of the "+string(controller.Type)+" "+controller.Name+
		", which takes its frames: write "+controller.Name)
}

// checkBase asks that what stands on a base can, and that the base of a mac-vlan gives its frames to nobody else.
func (c checker) checkBase(target Interface, at *field.Path) field.ErrorList {
	base := c.target[target.Base()]
	if base == nil {
		return nil
	}
	here := at.Child(target.partKey(), "base-iface")
	if target.VXLAN != nil && target.VXLAN.overIPv6() && !base.IPv6.active() {
		return field.ErrorList{field.Invalid(here, base.Name, "has IPv6 off, and remote or local is an IPv6 address")}
	}
	if target.MACVLAN == nil {
		return validateBaseKind(target, *base, here)
	}
	if controller := c.target[deref(base.Controller)]; controller != nil && controller.Type.receives() {
		return field.ErrorList{macvlanOnPort(base.Name, *controller, here)}
	}
	errs := validateBaseKind(target, *base, here)
	alone := deref(target.MACVLAN.Mode) == passthru
	other := c.firstOther(position{base: base.Name}, target.Name, func(other *Interface) bool {
		return other.standsAsMACVLAN() == base.Name &&
			(alone || other.MACVLAN != nil && deref(other.MACVLAN.Mode) == passthru)
	})
	if other != "" {
		errs = append(errs, field.Invalid(at.Child("mac-vlan", "mode"), deref(target.MACVLAN.Mode),
			other+" is on "+base.Name+" as well, and mode passthru allows one mac-vlan only"))
	}
	return errs
}

// passthru is the mode of a mac-vlan that has its base for itself.
const passthru = "passthru"

// checkUnburdened asks that a link that comes to a bridge or bond has no mac-vlan or macvtap on it.
func (c checker) checkUnburdened(port string, controller Interface, at *field.Path) field.ErrorList {
	now := c.now[port]
	if !controller.Type.receives() || now != nil && deref(now.Controller) == controller.Name {
		return nil
	}
	above := c.firstOther(position{base: port}, controller.Name, func(other *Interface) bool {
		return other.standsAsMACVLAN() == port && c.wish[other.Name] == nil // or checkBase says so
	})
	if above == "" {
		return nil
	}
	return field.ErrorList{field.Invalid(at, port, "carries the "+string(c.target[above].Type)+" "+above+
		", which takes its frames: remove that before, or have it stand on "+controller.Name)}
}

// refuseReceiver is netdev_rx_handler_register: a link has one that takes its frames.
func refuseReceiver(s State, step Step) (syscall.Errno, string) {
	switch made, to := step.To.Link, step.To.Port; {
	case step.Kind == StepLink && made != nil && made.Type == TypeMACVLAN:
		base, _ := s.Interface(made.Base())
		controller, _ := s.Interface(deref(base.Controller))
		if controller.Type.receives() {
			return syscall.EBUSY, "Device is already in use by another rx_handler"
		}
		if base.Type == TypeLoopback {
			return syscall.EINVAL, "a mac-vlan cannot stand on the loopback"
		}
	case step.Kind == StepLink && made != nil && made.Type == TypeVLAN:
		if base, _ := s.Interface(made.Base()); base.Type == TypeLoopback || base.Type == TypeVRF {
			return syscall.EOPNOTSUPP, "VLANs not supported on device"
		}
	case step.Kind == StepPort && to != nil && to.Type.receives():
		if slices.ContainsFunc(s.Interfaces, func(i Interface) bool { return i.standsAsMACVLAN() == step.Link }) {
			return syscall.EBUSY, "the link carries a mac-vlan or macvtap"
		}
	}
	return 0, ""
}
