// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateIPs(desired State, at *field.Path) field.ErrorList {
	controllers := desired.statedControllers()
	return desired.each(at, func(i Interface, at *field.Path) field.ErrorList {
		errs := validateIP(i.IPv4, 32, at.Child("ipv4"))
		errs = append(errs, validateIP(i.IPv6, 128, at.Child("ipv6"))...)
		errs = append(errs, validateLoopbackAddresses(i, at)...)
		controller, isPort := controllers[i.Name]
		if !isPort || controller.Type == TypeVRF || controller.Type == "" {
			return errs
		}
		if i.IPv4.wantsAddresses() {
			errs = append(errs, ipOnPort(i.Name, controller.Name, at.Child("ipv4")))
		}
		if i.IPv6.wantsAddresses() {
			errs = append(errs, ipOnPort(i.Name, controller.Name, at.Child("ipv6")))
		}
		return errs
	})
}

// validateLoopbackAddresses refuses addresses of the loopback elsewhere than on that, or on a vrf, which stands in for
// it (ipv6_add_addr of net/ipv6/addrconf.c).
func validateLoopbackAddresses(i Interface, at *field.Path) field.ErrorList {
	if i.Name == "lo" || i.Type == TypeLoopback || i.Type == TypeVRF || i.Type == "" {
		return nil
	}
	return append(noLoopback(i.IPv4, at.Child("ipv4")), noLoopback(i.IPv6, at.Child("ipv6"))...)
}

func noLoopback(ip *IP, at *field.Path) field.ErrorList {
	if ip == nil || ip.Enabled != nil && !*ip.Enabled {
		return nil
	}
	var errs field.ErrorList
	for n, address := range ip.Address {
		if address.IP.IsLoopback() {
			errs = append(errs, field.Invalid(at.Child("address").Index(n).Child("ip"), address.IP.String(),
				"is an address of the loopback: write it under lo"))
		}
	}
	return errs
}

func ipOnPort(port, controller string, at *field.Path) *field.Error {
	return field.Forbidden(at, port+" is a port of "+controller+": the address belongs on "+controller)
}

func validateIP(ip *IP, bits int, at *field.Path) field.ErrorList {
	if ip == nil {
		return nil
	}
	if ip.Enabled != nil && !*ip.Enabled {
		return nil // nothing else counts
	}
	var errs field.ErrorList
	for n, address := range ip.Address {
		here := at.Child("address").Index(n)
		errs = append(errs, validateAddress(address, bits, here)...)
		if slices.ContainsFunc(ip.Address[:n], address.replaces) {
			errs = append(errs, field.Invalid(here.Child("prefix-length"), address.PrefixLength,
				"a link has an IPv6 address once, with one length"))
		}
	}
	if ip.Token != nil && *ip.Token != "" && !isToken(*ip.Token) {
		errs = append(errs, field.Invalid(at.Child("token"), *ip.Token, "not an interface identifier like ::1"))
	}
	if ip.DHCPDUID != nil && !isDUID(*ip.DHCPDUID) {
		errs = append(errs, field.Invalid(at.Child("dhcp-duid"), *ip.DHCPDUID,
			"must be ll, llt, uuid, or its bytes in hexadecimal, the two of the type first, like 00:03:00:01:02:00:00:00:00:01"))
	}
	return errs
}

// isDUID reports whether text says what to call a DHCPv6 client (RFC 8415, 11.1).
func isDUID(text string) bool {
	const minDUID, maxDUID = 3, 130
	bytes, given := ColonHex(text)
	return slices.Contains([]string{"", "ll", "llt", "uuid"}, text) ||
		given && len(bytes) >= minDUID && len(bytes) <= maxDUID
}

func validateAddress(address Address, bits int, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	ip := address.IP
	switch {
	case !ip.IsValid():
		errs = append(errs, field.Required(at.Child("ip"), "an IP address"))
	case ip.BitLen() != bits || ip.Is4In6():
		errs = append(errs, field.Invalid(at.Child("ip"), ip.String(), "is an address of the other IP version"))
	case ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		errs = append(errs, field.Invalid(at.Child("ip"), ip.String(), "cannot be the address of an interface"))
	}
	switch {
	case address.PrefixLength == 0:
		errs = append(errs, field.Required(at.Child("prefix-length"), "how many bits the network has"))
	case address.PrefixLength < 0 || address.PrefixLength > bits:
		errs = append(errs, field.Invalid(at.Child("prefix-length"), address.PrefixLength, "does not fit the IP version"))
	}
	return errs
}

// isToken reports whether text is an IPv6 interface identifier: an address whose upper half is zero.
func isToken(text string) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && addr.Is6() && !addr.Is4In6() && [8]byte(addr.AsSlice()[:8]) == [8]byte{}
}

func validateDNS(desired State, at *field.Path) field.ErrorList {
	if desired.DNS.Config == nil {
		return nil
	}
	var errs field.ErrorList
	here := child(at, "dns-resolver").Child("config")
	for n, server := range desired.DNS.Config.Server {
		address, zone, zoned := strings.Cut(server, "%")
		if _, err := netip.ParseAddr(address); err != nil || zoned && zone == "" {
			errs = append(errs, field.Invalid(here.Child("server").Index(n), server, "not an IP address"))
		}
	}
	errs = append(errs, validateWords(desired.DNS.Config.Search, here.Child("search"))...)
	return append(errs, validateWords(desired.DNS.Config.Options, here.Child("options"))...)
}

func validateWords(words []string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for n, word := range words {
		if word == "" || strings.ContainsAny(word, " \t\r\n") {
			errs = append(errs, field.Invalid(at.Index(n), word, "must be one word"))
		}
	}
	return errs
}
