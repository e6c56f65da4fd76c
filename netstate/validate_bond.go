// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateBonds(desired State, at *field.Path) field.ErrorList {
	return desired.each(at, func(i Interface, at *field.Path) field.ErrorList {
		if i.Bond == nil {
			return nil
		}
		at = at.Child("link-aggregation")
		errs := validateBondPorts(i.Bond, at)
		if i.Bond.Options == nil {
			return errs
		}
		errs = append(errs, validateBondMonitor(i.Bond.Options, at.Child("options"))...)
		errs = append(errs, validateBondMode(i, at.Child("options"))...)
		return append(errs, validateBondNames(i.Bond, at.Child("options"))...)
	})
}

func validateBondPorts(b *Bond, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	names, queues := map[string]bool{}, map[int]bool{}
	for n, port := range b.PortsConfig {
		here := at.Child("ports-config").Index(n)
		if names[port.Name] {
			errs = append(errs, field.Duplicate(here.Child("name"), port.Name))
		}
		names[port.Name] = true
		if b.Port != nil && !slices.Contains(b.Port, port.Name) {
			errs = append(errs, field.Invalid(here.Child("name"), port.Name, "is not a port of this bond"))
		}
		if port.QueueID == nil || *port.QueueID == 0 {
			continue
		}
		if queues[*port.QueueID] {
			errs = append(errs, field.Duplicate(here.Child("queue-id"), *port.QueueID))
		}
		queues[*port.QueueID] = true
	}
	return errs
}

// validateBondMonitor checks the two ways a bond can watch its ports: only one of them, and what each needs.
func validateBondMonitor(o *BondOptions, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if positive(o.Miimon) && positive(o.ARPInterval) {
		errs = append(errs, field.Forbidden(at.Child("arp_interval"), "miimon and arp_interval exclude each other"))
	}
	off := positive(o.ARPInterval) || o.Miimon != nil && *o.Miimon == 0
	if off && positive(o.UpDelay) {
		errs = append(errs, field.Forbidden(at.Child("updelay"), "has an effect only with miimon"))
	}
	if off && positive(o.DownDelay) {
		errs = append(errs, field.Forbidden(at.Child("downdelay"), "has an effect only with miimon"))
	}
	if positive(o.ARPInterval) && (o.ARPIPTarget == nil || *o.ARPIPTarget == "") {
		errs = append(errs, field.Required(at.Child("arp_ip_target"), "arp_interval needs at least one address to probe"))
	}
	if o.ARPIPTarget == nil || *o.ARPIPTarget == "" {
		return errs
	}
	targets := strings.Split(*o.ARPIPTarget, ",")
	if len(targets) > 16 {
		errs = append(errs, field.TooMany(at.Child("arp_ip_target"), len(targets), 16))
	}
	for n, target := range targets {
		addr, err := netip.ParseAddr(target)
		switch {
		case err != nil || !addr.Is4():
			errs = append(errs, field.Invalid(at.Child("arp_ip_target"), target, "not an IPv4 address"))
		case addr.As4()[0] == 0 || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}): // bond_is_ip_target_ok
			errs = append(errs, field.Invalid(at.Child("arp_ip_target"), target, "cannot be the address of a host"))
		case slices.Contains(targets[:n], target):
			errs = append(errs, field.Duplicate(at.Child("arp_ip_target"), target))
		}
	}
	return errs
}

// validateBondMode refuses options the kernel does not take in the bond's mode, unless they say what is
// the default anyway: a bond's currentState lists them all.
func validateBondMode(i Interface, at *field.Path) field.ErrorList {
	if i.Bond.Mode == nil {
		return nil
	}
	var errs field.ErrorList
	options, defaults := reflect.ValueOf(*i.Bond.Options), reflect.ValueOf(bondDefaults(*i.Bond.Mode))
	eachKey(defaults, options, func(path []keyStep, byDefault, is reflect.Value) bool {
		if key := path[0].key(); !is.IsNil() && !bondOptionApplies(*i.Bond.Mode, key) && !sameValue(is, byDefault) {
			errs = append(errs, field.Forbidden(at.Child(key), "has no effect in mode "+*i.Bond.Mode))
		}
		return false
	})
	if *i.Bond.Mode == "active-backup" && deref(i.Bond.Options.FailOverMAC) == "active" {
		for key, said := range map[string]bool{"mac-address": i.MAC != nil, "copy-mac-from": i.CopyMACFrom != nil} {
			if said {
				errs = append(errs, field.Forbidden(at.Child("fail_over_mac"),
					"with active the bond takes the MAC of its active port: remove "+key))
			}
		}
	}
	return errs
}

func validateBondNames(b *Bond, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	o := b.Options
	if o.Primary != nil && *o.Primary != "" && b.Port != nil && !slices.Contains(b.Port, *o.Primary) {
		errs = append(errs, field.Invalid(at.Child("primary"), *o.Primary, "is not a port of this bond"))
	}
	if o.ADActorSystem != nil && o.ADActorSystem.multicast() {
		errs = append(errs, field.Invalid(at.Child("ad_actor_system"), o.ADActorSystem.String(), "is a multicast address"))
	}
	if o.NumGratARP != nil && o.NumUnsolNA != nil && *o.NumGratARP != *o.NumUnsolNA {
		errs = append(errs, field.Invalid(at.Child("num_unsol_na"), *o.NumUnsolNA,
			"the kernel keeps one value for this and num_grat_arp"))
	}
	return errs
}
