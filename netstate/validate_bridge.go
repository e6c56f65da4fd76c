// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"math/bits"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateBridgeOptions(desired State, at *field.Path) field.ErrorList {
	return desired.each(at, func(i Interface, at *field.Path) field.ErrorList {
		if i.Bridge == nil || i.Bridge.Options == nil {
			return nil
		}
		o, at := i.Bridge.Options, at.Child("bridge", "options")
		var errs field.ErrorList
		if o.GroupForwardMask != nil && *o.GroupForwardMask&7 != 0 {
			errs = append(errs, field.Invalid(at.Child("group-forward-mask"), *o.GroupForwardMask,
				"the kernel never forwards STP, MAC pause and LACP frames: the three lowest bits must be 0"))
		}
		if o.HashMax != nil && *o.HashMax > 0 && bits.OnesCount(uint(*o.HashMax)) != 1 {
			errs = append(errs, field.Invalid(at.Child("hash-max"), *o.HashMax, "must be a power of two"))
		}
		if o.GroupAddr != nil && !reservedGroup(*o.GroupAddr) {
			errs = append(errs, field.Invalid(at.Child("group-addr"), o.GroupAddr.String(),
				"the kernel takes only 01:80:C2:00:00:00 and 01:80:C2:00:00:04 to 0F"))
		}
		if pvid := o.VLANDefaultPVID; pvid != nil && *pvid != 1 && i.Bridge.Port != nil &&
			!filters(DefaultPortVLANs(State{Interfaces: []Interface{i}}).Interfaces[0].Bridge) {
			errs = append(errs, field.Invalid(at.Child("vlan-default-pvid"), *pvid, "has an effect only when a port has a vlan"))
		}
		return errs
	})
}

// reservedGroup reports whether the kernel's br_store_group_addr would take the address.
func reservedGroup(m MAC) bool {
	if m[5] > 0x0f || m[5] >= 1 && m[5] <= 3 {
		return false
	}
	m[5] = 0
	return m == MAC{0x01, 0x80, 0xc2}
}

func validateBridgePorts(desired State, at *field.Path) field.ErrorList {
	return desired.each(at, func(i Interface, at *field.Path) field.ErrorList {
		if i.Bridge == nil {
			return nil
		}
		var errs field.ErrorList
		for n, port := range i.Bridge.Port {
			if port.VLAN != nil {
				errs = append(errs, validatePortVLAN(port.VLAN, at.Child("bridge", "port").Index(n).Child("vlan"))...)
			}
		}
		return errs
	})
}

// validatePortVLAN refuses what nmstate refuses, and an access port or a native VLAN without a tag.
func validatePortVLAN(v *PortVLAN, at *field.Path) field.ErrorList {
	tag := 0
	if v.Tag != nil {
		tag = *v.Tag
	}
	var errs field.ErrorList
	if v.mode() == ModeTrunk {
		if tag != 0 && !isTrue(v.EnableNative) {
			errs = append(errs, field.Forbidden(at.Child("tag"), "cannot be used in trunk mode without enable-native"))
		}
		if tag == 0 && isTrue(v.EnableNative) {
			errs = append(errs, field.Required(at.Child("tag"), "the native VLAN"))
		}
		if v.TrunkTags == nil {
			errs = append(errs, field.Required(at.Child("trunk-tags"), "trunk mode cannot have empty trunk-tags"))
		}
		return append(errs, validateTrunkTags(v.TrunkTags, at.Child("trunk-tags"))...)
	}
	if isTrue(v.EnableNative) {
		errs = append(errs, field.Forbidden(at.Child("enable-native"), "cannot be set in access mode"))
	}
	if len(v.TrunkTags) > 0 {
		errs = append(errs, field.Forbidden(at.Child("trunk-tags"), "access mode cannot have trunk-tags defined"))
	}
	if tag == 0 && !v.empty() {
		errs = append(errs, field.Required(at.Child("tag"), "the VLAN of an access port"))
	}
	return errs
}

func validateTrunkTags(tags []TrunkTag, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	var owner [4096]int // 1 + the index of the tag that has the VLAN
	for n, tag := range tags {
		here := at.Index(n)
		switch {
		case (tag.ID == nil) == (tag.IDRange == nil):
			errs = append(errs, field.Invalid(here, field.OmitValueType{}, "needs either id or id-range"))
			continue
		case tag.IDRange != nil && tag.IDRange.Min > tag.IDRange.Max:
			errs = append(errs, field.Invalid(here.Child("id-range"), tag.String(), "min is above max"))
			continue
		}
		if other := claim(&owner, tag, n); other >= 0 {
			errs = append(errs, field.Invalid(here, tag.String(), "is overlapping with other tag "+tags[other].String()))
		}
	}
	return errs
}

// claim marks the VLANs of the tag with index n, and returns the index of a tag that had one of them
// before, or -1.
func claim(owner *[4096]int, tag TrunkTag, n int) int {
	low, high := tag.bounds()
	other := -1
	for vid := max(low, 0); vid <= min(high, len(owner)-1); vid++ {
		if owner[vid] != 0 {
			other = owner[vid] - 1
		}
		owner[vid] = n + 1
	}
	return other
}
