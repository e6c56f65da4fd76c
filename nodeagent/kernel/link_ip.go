// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// Places in the kernel's tables of IP settings (include/uapi/linux/ipv6.h; forwarding is the first in both), and
// attributes of a link's IP parts (include/uapi/linux/if_link.h).
const (
	confForwarding  = 0
	confAcceptRA    = 3
	confAutoconf    = 5
	confDisableIPv6 = 26

	inetConf         = 1 // of the IPv4 part
	inet6Flags       = 1
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
				l.acceptRA = int(confValue(value, confAcceptRA))
				ip.AcceptRA = new(l.acceptRA)
				autoconf := confValue(value, confAutoconf) != 0
				ip.Autoconf = new(*ip.Enabled && autoconf && *ip.AcceptRA != 0)
				if autoconf && *ip.AcceptRA == 0 {
					ip.AutoconfSwitch = new(true)
				}
			case inet6Token:
				ip.Token = tokenText(value)
			case inet6AddrGenMode:
				l.addrGenMode = uint8(decodeUint(value))
				ip.AddrGenMode = genModeText(l.addrGenMode)
			}
		}
	}
	if !*ip.Enabled {
		ip.AddrGenMode, ip.AcceptRA, ip.AutoconfSwitch, ip.Forwarding = nil, nil, nil, nil
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

// makeLinkLocal has the kernel make the link-local address of a link that is up and was to make none until now: of
// netlink's word it takes note, and begins with the next time that the link goes up. A link that has one keeps it.
func (k *Kernel) makeLinkLocal(l *link, to netstate.Interface) error {
	if to.IPv6 == nil || l.addrGenMode != genModeNone || l.iface.State != netstate.StateUp {
		return nil
	}
	mode := slices.Index(genModes(), value(to.IPv6.AddrGenMode))
	if mode < 0 || mode == genModeNone {
		return nil
	}
	have, err := k.linkAddresses(l.index, netip.IPv6Unspecified())
	if err != nil || slices.ContainsFunc(have, func(a netstate.Address) bool { return isLinkLocal6(a.IP) }) {
		return err
	}
	const file = "addr_gen_mode" // acts on a change only
	return k.setSysctls(l.iface.Name, []sysctl{
		{"ipv6", file, strconv.Itoa(genModeNone)}, {"ipv6", file, strconv.Itoa(mode)},
	})
}

// setToken gives a link the interface identifier that is set, and takes the one it has for "". The kernel takes one
// only where it takes router advertisements, whether or not IPv6 is on (inet6_set_iftoken of net/ipv6/addrconf.c), so
// it does so for that moment; without advertisements a token has no effect.
func (k *Kernel) setToken(name string, ip *netstate.IP) error {
	if ip == nil || ip.Token == nil {
		return nil
	}
	l, err := k.getLink(0, name)
	if err != nil || value(l.iface.IPv6.Token) == *ip.Token {
		return err
	}
	token := netip.IPv6Unspecified()
	if *ip.Token != "" {
		if token, err = netip.ParseAddr(*ip.Token); err != nil {
			return fmt.Errorf("token: %w", err)
		}
	}
	var spec, families, attrs attributes
	spec.add(inet6Token, token.AsSlice())
	families.nest(unix.AF_INET6, spec)
	attrs.nest(unix.IFLA_AF_SPEC, families)
	const always, file = "2", "accept_ra" // also where the node forwards IPv6
	if err := k.setSysctls(name, []sysctl{{"ipv6", file, always}}); err != nil {
		return err
	}
	return errors.Join(
		k.request(unix.RTM_NEWLINK, 0, message(unix.IfInfomsg{Index: int32(l.index)}), attrs),
		k.setSysctls(name, []sysctl{{"ipv6", file, strconv.Itoa(l.acceptRA)}}))
}

// confValue returns the n-th 32-bit value of a table.
func confValue(table []byte, n int) uint64 {
	if len(table) < 4*(n+1) {
		return 0
	}
	return decodeUint(table[4*n : 4*n+4])
}

// tokenText returns an interface identifier, nil for none.
func tokenText(b []byte) *string {
	addr, ok := netip.AddrFromSlice(b)
	if !ok || addr.IsUnspecified() {
		return nil
	}
	return new(addr.String())
}

// genModes returns the words of the kernel's modes of making IPv6 interface identifiers, by their numbers
// (IN6_ADDR_GEN_MODE_* of include/uapi/linux/if_link.h).
func genModes() []string { return []string{"eui64", "none", "stable-privacy", "random"} }

const (
	genModeEUI64  = 0
	genModeNone   = 1
	genModeStable = 2
)

func genModeText(mode uint8) *string {
	if modes := genModes(); int(mode) < len(modes) {
		return &modes[mode]
	}
	return nil
}
