// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// Places in the kernel's tables of IP settings (include/uapi/linux/ipv6.h; forwarding is the first in both), and
// attributes of a link's IP parts (include/uapi/linux/if_link.h).
const (
	confForwarding  = 0
	confAcceptRA    = 3
	confAutoconf    = 5
	confDisableIPv6 = 26

	inetConf         = 1 // of the IPv4 part
	inet6Conf        = 2
	inet6Token       = 7
	inet6AddrGenMode = 8
)

// parseFamilies reads the settings of IPv4 and IPv6. A link without an IPv6 part (its MTU is too small) has IPv6 off.
func (l *link) parseFamilies(attrs []byte) {
	ip := l.iface.IPv6
	for family, part := range each(attrs) {
		if family == unix.AF_INET {
			l.parseInet(part)
		}
		if family != unix.AF_INET6 {
			continue
		}
		for attr, value := range each(part) {
			switch attr {
			case inet6Conf:
				ip.Enabled = new(confValue(value, confDisableIPv6) == 0)
				ip.Forwarding = new(confValue(value, confForwarding) != 0)
				ip.AcceptRA = new(int(confValue(value, confAcceptRA)))
				ip.Autoconf = new(*ip.Enabled && confValue(value, confAutoconf) != 0 && confValue(value, confAcceptRA) != 0)
			case inet6Token:
				ip.Token = tokenText(value)
			case inet6AddrGenMode:
				l.addrGenMode = uint8(decodeUint(value))
				ip.AddrGenMode = genModeText(l.addrGenMode)
			}
		}
	}
	if !*ip.Enabled {
		ip.AddrGenMode, ip.Token, ip.AcceptRA, ip.Forwarding = nil, nil, nil, nil
	}
}

// parseInet reads the settings of IPv4.
func (l *link) parseInet(part []byte) {
	for attr, value := range each(part) {
		if attr == inetConf {
			l.iface.IPv4.Forwarding = new(confValue(value, confForwarding) != 0)
		}
	}
}

// confValue is the n-th 32-bit value of a table.
func confValue(table []byte, n int) uint64 {
	if len(table) < 4*(n+1) {
		return 0
	}
	return decodeUint(table[4*n : 4*n+4])
}

// tokenText is an interface identifier, nil for none.
func tokenText(b []byte) *string {
	addr, ok := netip.AddrFromSlice(b)
	if !ok || addr.IsUnspecified() {
		return nil
	}
	return new(addr.String())
}

// The kernel's modes of making IPv6 interface identifiers that documents have a word for.
const (
	genModeEUI64         = 0
	genModeStablePrivacy = 2
)

func genModeText(mode uint8) *string {
	switch mode {
	case genModeEUI64:
		return new("eui64")
	case genModeStablePrivacy:
		return new("stable-privacy")
	}
	return nil
}
