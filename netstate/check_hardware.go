// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// checkHardware asks that the driver of a NIC takes what a policy wants of it.
func checkHardware(now *Interface, d Interface, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	have := Interface{}
	if now != nil {
		have = *now
	}
	if d.Ethernet != nil {
		errs = append(errs, checkEthernet(have, d, at.Child("ethernet"))...)
	}
	if d.Ethtool != nil {
		errs = append(errs, checkEthtool(have, d, at.Child("ethtool"))...)
	}
	return errs
}

func checkEthernet(now, d Interface, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	fixed := *d.Ethernet
	fixed.SRIOV = nil
	if fixed != (Ethernet{}) && (now.Ethernet == nil || !agrees(*now.Ethernet, fixed)) {
		errs = append(errs, field.Forbidden(at, "speed, duplex and auto-negotiation cannot be set"))
	}
	if d.Ethernet.SRIOV == nil || d.Ethernet.SRIOV.TotalVFs == nil {
		return errs
	}
	wanted, here := *d.Ethernet.SRIOV.TotalVFs, at.Child("sr-iov", "total-vfs")
	switch {
	case now.Ethernet == nil || now.Ethernet.SRIOV == nil:
		if wanted > 0 {
			errs = append(errs, field.Forbidden(here, d.Name+" can have no virtual functions"))
		}
	case wanted > now.Ethernet.SRIOV.MaxVFs:
		errs = append(errs, field.Invalid(here, wanted,
			fmt.Sprintf("%s can have %d virtual functions at most", d.Name, now.Ethernet.SRIOV.MaxVFs)))
	}
	return errs
}

func checkEthtool(now, d Interface, at *field.Path) field.ErrorList {
	have := Ethtool{}
	if now.Ethtool != nil {
		have = *now.Ethtool
	}
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(d.Ethtool.Feature)) {
		if _, known := have.Feature[name]; !known {
			errs = append(errs, field.Invalid(at.Child("feature").Key(name), d.Ethtool.Feature[name],
				d.Name+" cannot switch it: "+didYouMean(name, slices.Collect(maps.Keys(have.Feature)))))
		}
	}
	errs = append(errs, checkRing(have.Ring, d.Ethtool.Ring, at.Child("ring"))...)
	return append(errs, checkKeys(have.Coalesce, d.Ethtool.Coalesce, at.Child("coalesce"))...)
}

// checkKeys asks that the driver has a value for every key that is wanted.
func checkKeys[T any](now, wanted *T, at *field.Path) field.ErrorList {
	if wanted == nil {
		return nil
	}
	var have T
	if now != nil {
		have = *now
	}
	var errs field.ErrorList
	eachKey(reflect.ValueOf(have), reflect.ValueOf(*wanted), func(path []keyStep, is, want reflect.Value) bool {
		if !want.IsNil() && is.IsNil() {
			errs = append(errs, field.Forbidden(at.Child(path[0].key()), "the driver has no such setting"))
		}
		return false
	})
	return errs
}

func checkRing(now, wanted *Ring, at *field.Path) field.ErrorList {
	if wanted == nil {
		return nil
	}
	set := (&Ethtool{Ring: wanted}).withoutLimits().Ring
	if errs := checkKeys(now, set, at); len(errs) > 0 || now == nil {
		return errs
	}
	var errs field.ErrorList
	for _, r := range []struct {
		key       string
		want, max *int
	}{
		{"rx", wanted.RX, now.RXMax}, {"rx-jumbo", wanted.RXJumbo, now.RXJumboMax},
		{"rx-mini", wanted.RXMini, now.RXMiniMax}, {"tx", wanted.TX, now.TXMax},
	} {
		if r.want != nil && r.max != nil && *r.want > *r.max {
			errs = append(errs, field.Invalid(at.Child(r.key), *r.want, fmt.Sprintf("is more than the driver's %d", *r.max)))
		}
	}
	return errs
}
