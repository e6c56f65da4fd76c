// SPDX-License-Identifier: Apache-2.0

package netstate

import "slices"

// mergeIPv4 returns now with what desired says. IPv4 is on when there is an address or a client that asks
// for one: the kernel has no other switch.
func mergeIPv4(now, desired *IP) *IP {
	if desired == nil {
		return now
	}
	merged := mergeIP(now, desired)
	if merged == nil {
		return switchedOff(overlayPart(now, &IP{Forwarding: desired.Forwarding}), disabledIPv4)
	}
	merged.Address = mergeAddresses(now, desired, isTrue(merged.DHCP))
	if desired.Address == nil && !isTrue(merged.DHCP) && now != nil {
		merged.Address = kept(now.Address) // a lease that is not renewed any more stays, as nmstate has it
	}
	merged.Enabled = new(len(merged.Address) > 0 || isTrue(merged.DHCP))
	return merged
}

// wishIPv4 returns what an entry wishes for. On the way back, IPv4 that was off had no address, which says nothing of
// those that others have added since.
func (m *merger) wishIPv4(desired *IP) *IP {
	if m.literal && desired != nil && desired.Enabled != nil && !*desired.Enabled {
		return &IP{Enabled: new(true), DHCP: new(false), Address: []Address{}}
	}
	return desired
}

// mergeIPv6 returns now with what desired says. Nobody here runs DHCPv6, so that key stays what it is.
func mergeIPv6(now, desired *IP) *IP {
	if desired == nil {
		return now
	}
	merged := mergeIP(now, desired)
	if merged == nil {
		return disabledIPv6()
	}
	merged.DHCP = new(now != nil && isTrue(now.DHCP))
	if desired.AcceptRA == nil && desired.Autoconf != nil && (now == nil || isTrue(now.Autoconf) != *desired.Autoconf) {
		merged.AcceptRA = nil
	}
	if isTrue(merged.Autoconf) && isTrue(merged.Forwarding) && merged.AcceptRA != nil && *merged.AcceptRA == 1 {
		merged.AcceptRA = new(2) // who forwards takes no router advertisements with 1
	}
	if merged.Autoconf == nil {
		merged.Autoconf = new(false)
	}
	merged.Address = mergeAddresses(now, desired, isTrue(merged.Autoconf) || isTrue(merged.DHCP))
	return merged
}

// mergeIP merges the keys, or returns nil when the result is that IP is off.
func mergeIP(now, desired *IP) *IP {
	enabled := desired.Enabled
	if enabled == nil && !agrees(IP{}, *desired) {
		enabled = new(true)
	}
	if enabled == nil && now != nil {
		enabled = now.Enabled
	}
	if !isTrue(enabled) {
		return nil
	}
	base := IP{DHCP: new(false)}
	if now != nil {
		base = *now
	}
	merged := overlay(base, *desired)
	merged.Enabled = enabled
	merged.AllowExtraAddress = nil
	return &merged
}

// mergeAddresses returns the static addresses that are wanted, those that are nobody's of ours and, when dynamic, the
// dynamic ones there are.
func mergeAddresses(now, desired *IP, dynamic bool) []Address {
	var have []Address
	if now != nil {
		have = now.Address
	}
	wanted := desired.Address
	if wanted == nil {
		wanted = slices.DeleteFunc(slices.Clone(have), Address.Dynamic)
	}
	allowed := desired.AllowExtraAddress == nil || *desired.AllowExtraAddress
	merged := make([]Address, 0, len(have)+len(wanted))
	for _, address := range have { // those that stay keep their place
		if dynamic && address.Dynamic() && !contains(wanted, address) {
			merged = append(merged, address)
		} else if contains(wanted, address) {
			merged = append(merged, forever(address))
		} else if address.extra(allowed) {
			merged = append(merged, address)
		}
	}
	for _, address := range wanted {
		if !contains(merged, address) && !linkLocal(address) {
			merged = append(merged, forever(address))
		}
	}
	return merged
}
