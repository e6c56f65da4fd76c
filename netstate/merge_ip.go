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
	merged.Address = mergeAddresses(now, desired, func(Address) bool { return isTrue(merged.DHCP) }, false)
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

// mergeIPv6 returns now with what desired says, to the letter if literal.
func mergeIPv6(now, desired *IP, literal bool) *IP {
	if desired == nil {
		return now
	}
	merged := mergeIP(now, desired)
	if merged == nil {
		if literal && desired.Token != nil {
			now = desired
		}
		return switchedOff(now, disabledIPv6)
	}
	merged.Token = tokenOf(merged.Token)
	merged.mergeSwitches(now, desired, literal)
	taught := func(a Address) bool {
		return isTrue(merged.Autoconf) && !a.leased6() || isTrue(merged.DHCP) && a.leased6()
	}
	if now != nil && desired.Address == nil && !isTrue(merged.DHCP) {
		kept := *now
		kept.Address = slices.Clone(now.Address)
		for n, a := range kept.Address {
			if a.leased6() {
				kept.Address[n] = forever(a) // as that of a lease that is not renewed any more
			}
		}
		now = &kept
	}
	merged.Address = mergeAddresses(now, desired, taught, literal)
	return merged
}

// mergeSwitches makes the switches of IPv6 agree with what a wish says of Autoconf, and with each other unless literal.
func (ip *IP) mergeSwitches(now, desired *IP, literal bool) {
	if desired.Autoconf != nil && (now == nil || isTrue(now.Autoconf) != *desired.Autoconf) {
		ip.AcceptRA, ip.AutoconfSwitch = desired.AcceptRA, desired.AutoconfSwitch
	}
	learns := isTrue(desired.Autoconf) || isTrue(desired.DHCP)
	if !literal && desired.AddrGenMode == nil && learns && deref(ip.AddrGenMode) == "none" {
		ip.AddrGenMode = new("eui64") // NetworkManager, which left it so, makes addresses itself
	}
	listens := isTrue(ip.Autoconf) && ip.AcceptRA != nil && *ip.AcceptRA == 1
	if listens && isTrue(ip.Forwarding) && !literal {
		ip.AcceptRA = new(2) // who forwards takes no router advertisements with 1
	}
	if ip.Autoconf == nil {
		ip.Autoconf = new(false)
	}
}

// leased6 reports whether an IPv6 address is one that a server lent, as opposed to one made of what a router said.
func (a Address) leased6() bool { return a.Dynamic() && a.PrefixLength == a.IP.BitLen() }

// replaces reports whether an address is another with another prefix length: of IPv6, a link has it once only
// (ipv6_add_addr of net/ipv6/addrconf.c).
func (a Address) replaces(other Address) bool {
	return a.IP.Is6() && a.IP == other.IP && a.PrefixLength != other.PrefixLength
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

// mergeAddresses returns the static addresses that are wanted, those that are nobody's of ours and, of the dynamic ones
// there are, those that somebody goes on teaching. Link-local ones stay, and come only if literal.
func mergeAddresses(now, desired *IP, taught func(Address) bool, literal bool) []Address {
	var have []Address
	if now != nil {
		have = now.Address
	}
	wanted := desired.Address
	if wanted == nil {
		wanted = slices.DeleteFunc(slices.Clone(have), Address.Dynamic)
	}
	allowed := desired.AllowExtraAddress == nil || *desired.AllowExtraAddress
	comes := func(a Address) bool { return (literal || !linkLocal(a)) && !a.Dynamic() }
	merged := make([]Address, 0, len(have)+len(wanted))
	for _, address := range have { // those that stay keep their place
		if slices.ContainsFunc(wanted, func(a Address) bool { return comes(a) && a.replaces(address) }) {
			continue
		}
		at := slices.IndexFunc(wanted, func(a Address) bool { return a.Prefix() == address.Prefix() })
		if address.Dynamic() && taught(address) && (at < 0 || wanted[at].Dynamic()) {
			merged = append(merged, address)
		} else if at >= 0 {
			address.ValidLifeTime, address.PreferredLifeTime = wanted[at].ValidLifeTime, wanted[at].PreferredLifeTime
			merged = append(merged, address)
		} else if address.extra(allowed) || linkLocal(address) && !literal {
			merged = append(merged, address)
		}
	}
	for _, address := range wanted {
		if !contains(merged, address) && comes(address) {
			merged = append(merged, address)
		}
	}
	return merged
}
