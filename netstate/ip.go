// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
)

// An IP is the IPv4 or IPv6 configuration of an interface.
type IP struct {
	// Enabled false clears everything else. In a current state IPv4 is enabled when the link has an IPv4
	// address, and IPv6 when the kernel's disable_ipv6 of the link is 0.
	Enabled *bool `json:"enabled,omitzero"`
	// DHCP asks for addresses from a server. The kernel knows no such thing: in a current state it is true
	// when an address has a finite lifetime and, for IPv6, a prefix length of 128. With IPv6 and Autoconf a server is
	// asked for what the routers say that it has; without Autoconf, for an address in any case.
	DHCP *bool `json:"dhcp,omitzero"`
	// Autoconf is the kernel's SLAAC switch; IPv6 only. False in a current state where IPv6 is off.
	Autoconf *bool `json:"autoconf,omitzero"`
	// Address lists the addresses. IPv6 link-local ones are the kernel's business: a current state has those only that
	// it did not make, and will not make again, by itself; a wish for others is ignored. In a desired state nil keeps the
	// static ones and a list replaces those that policies named; see AllowExtraAddress. The order is the kernel's in a
	// current state, and the order of addition in a desired one; it makes no difference otherwise.
	Address []Address `json:"address,omitzero"`

	// The keys below say what a DHCP or SLAAC client does with what it learns; nil means yes, the main
	// table, the default metric.
	AutoDNS          *bool `json:"auto-dns,omitzero"`
	AutoGateway      *bool `json:"auto-gateway,omitzero"`
	AutoRoutes       *bool `json:"auto-routes,omitzero"`
	AutoRouteTableID *int  `json:"auto-route-table-id,omitzero" range:"0 4294967295"`
	AutoRouteMetric  *int  `json:"auto-route-metric,omitzero"   range:"0 4294967295"`

	DHCPClientID       *string `json:"dhcp-client-id,omitzero"` // IPv4 only
	DHCPDUID           *string `json:"dhcp-duid,omitzero"`      // IPv6 only: ll, llt, uuid or ColonHex
	DHCPSendHostname   *bool   `json:"dhcp-send-hostname,omitzero"`
	DHCPCustomHostname *string `json:"dhcp-custom-hostname,omitzero"`

	// AddrGenMode says of what the kernel makes the IPv6 addresses of the link: eui64, stable-privacy, random, or none
	// for not at all.
	AddrGenMode *string `json:"addr-gen-mode,omitzero" words:"eui64 stable-privacy none random"`
	// Token is an interface identifier like ::1, for IPv6 only. "" in a desired state or a step takes it away; a current
	// state has nil for none. It is a switch of the link, which keeps it while IPv6 or Autoconf is off.
	Token *string `json:"token,omitzero"`
	// Forwarding is the kernel's switch for sending on what comes in through the link; IPv6 with Autoconf
	// then needs an accept_ra of 2. IPv6 that is off shows none.
	Forwarding *bool `json:"forwarding,omitzero"`
	// AllowExtraAddress false has static addresses removed that no policy names. Else they stay, whoever added them: a
	// list removes those only that a policy named before (see Own).
	AllowExtraAddress *bool `json:"allow-extra-address,omitzero"`
	// AcceptRA is the kernel's accept_ra of an IPv6 configuration that is on; nil in a wish lets Autoconf decide.
	AcceptRA *int `json:"kernel-accept-ra,omitzero"`
	// AutoconfSwitch true says that the kernel's autoconf is on although an accept_ra of 0 makes it of no effect; nil in
	// a wish lets Autoconf decide.
	AutoconfSwitch *bool `json:"kernel-autoconf,omitzero"`
}

// An Address is one address with its prefix length.
type Address struct {
	IP           netip.Addr `json:"ip"`
	PrefixLength int        `json:"prefix-length"`
	// ValidLifeTime and PreferredLifeTime are the lifetimes left in seconds of an address that somebody
	// renews (DHCP, SLAAC); 0 means forever. They are not shown and never compared, but a step that puts
	// such an address back gives them to the kernel.
	ValidLifeTime     uint32 `json:"kernel-valid-life-time,omitzero"`
	PreferredLifeTime uint32 `json:"kernel-preferred-life-time,omitzero"`
	// Details are the label, broadcast address, peer, scope, metric and flags where they are not those we write.
	Details Opaque `json:"kernel-details,omitzero"`
	// Owned marks an address that a policy of ours named. It is knowledge about a current state that the kernel does
	// not have: Own sets it.
	Owned bool `json:"-"`
}

// Dynamic reports whether the address expires unless somebody renews it.
func (a Address) Dynamic() bool { return a.ValidLifeTime != 0 }

// Prefix returns the address as 192.0.2.1/24.
func (a Address) Prefix() netip.Prefix { return netip.PrefixFrom(a.IP, a.PrefixLength) }

// wantsAddresses reports whether a desired IP configuration asks for the protocol to be used.
func (ip *IP) wantsAddresses() bool {
	if ip == nil || ip.Enabled != nil && !*ip.Enabled {
		return false
	}
	return isTrue(ip.Enabled) || len(ip.Address) > 0 || isTrue(ip.DHCP) || isTrue(ip.Autoconf)
}

func (ip *IP) active() bool { return ip != nil && isTrue(ip.Enabled) }

func disabledIPv4() *IP { return &IP{Enabled: new(false), DHCP: new(false)} }

func disabledIPv6() *IP { return &IP{Enabled: new(false), DHCP: new(false), Autoconf: new(false)} }

// switchedOff returns an IP configuration that is off. IPv4 keeps its forwarding, and IPv6 its token: they are switches
// of the link.
func switchedOff(ip *IP, off func() *IP) *IP {
	is := off()
	switch {
	case ip == nil:
	case is.Autoconf == nil:
		is.Forwarding = ip.Forwarding
	default:
		is.Token = tokenOf(ip.Token)
	}
	return is
}

// tokenOf returns a token in the kernel's spelling, nil for none.
func tokenOf(token *string) *string {
	addr, err := netip.ParseAddr(deref(token))
	if err != nil || addr.IsUnspecified() {
		return nil
	}
	return new(addr.String())
}

func linkLocal(a Address) bool { return a.IP.Is6() && a.IP.IsLinkLocalUnicast() }

func kept(addresses []Address) []Address {
	all := make([]Address, len(addresses))
	for n, address := range addresses {
		all[n] = forever(address)
	}
	return all
}

// forever returns the address without lifetimes.
func forever(a Address) Address {
	a.ValidLifeTime, a.PreferredLifeTime = 0, 0
	return a
}

func contains(addresses []Address, address Address) bool {
	return slices.ContainsFunc(addresses, func(a Address) bool { return a.Prefix() == address.Prefix() })
}

// own returns an IP configuration with the addresses marked as ours that a policy names.
func (ip *IP) own(named *IP) *IP {
	if ip == nil || named == nil || len(named.Address) == 0 {
		return ip
	}
	marked := *ip
	marked.Address = slices.Clone(ip.Address)
	for n, address := range marked.Address {
		marked.Address[n].Owned = address.Owned || contains(named.Address, address)
	}
	return &marked
}

// extra reports whether an address stays although a list does not have it: every node has 127.0.0.1 and ::1, and
// allowed says that those stay that are nobody's of ours.
func (a Address) extra(allowed bool) bool {
	everywhere := a.IP == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || a.IP == netip.IPv6Loopback()
	return everywhere || allowed && !a.Dynamic() && !a.Owned
}

// ColonHex reads two bytes or more that are written in hexadecimal with colons between, as 01:2:ff; false for any other
// text.
func ColonHex(text string) (bytes []byte, ok bool) {
	for part := range strings.SplitSeq(text, ":") {
		if len(part) == 1 {
			part = "0" + part
		}
		b, err := hex.DecodeString(part)
		if err != nil || len(b) != 1 {
			return nil, false
		}
		bytes = append(bytes, b[0])
	}
	return bytes, len(bytes) >= 2
}

// broadcast returns the last address of an IPv4 network that has more than two; the zero Addr if there is none.
func (a Address) broadcast() netip.Addr {
	if !a.IP.Is4() || a.PrefixLength >= 31 {
		return netip.Addr{}
	}
	last := a.IP.As4()
	for bit := a.PrefixLength; bit < a.IP.BitLen(); bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(last)
}

// asks reports whether a wish is for addresses that others on the link give.
func (ip *IP) asks() bool {
	return ip != nil && (ip.Enabled == nil || *ip.Enabled) && (isTrue(ip.DHCP) || isTrue(ip.Autoconf))
}
