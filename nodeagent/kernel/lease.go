// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A Station is a link as somebody sees it who talks to the network behind it, such as a DHCP client. The
// zero Station is a link that does not exist.
type Station struct {
	// Index is the kernel's number: a link that was made again has another.
	Index int
	// MAC is the address in use, zero for links without one.
	MAC netstate.MAC
	// Running says that the link is up and has a carrier (IFF_UP, IFF_LOWER_UP), so that sending makes sense.
	Running bool
	// Losses counts how often the carrier was lost. It tells of losses too short to be seen.
	Losses uint32
	// Addresses are those of one version of IP.
	Addresses []netstate.Address
	// Tentative are the IPv6 addresses of which it is not known yet whether somebody else has them.
	Tentative []netip.Addr
	// LinkLocal is the IPv6 address to speak from, invalid as long as there is none that is not tentative.
	LinkLocal netip.Addr
	// Autoconf says that the kernel obeys router advertisements; Managed and Other are what the last one said
	// (RFC 4861, 4.2): that addresses, or everything but addresses, are to be had by DHCPv6.
	Autoconf, Managed, Other bool
}

// Station returns one link with its IPv4 addresses in two short requests; Read would dump them all.
func (k *Kernel) Station(name string) (Station, error) {
	s, err := k.station(name)
	if err != nil || s.Index == 0 {
		return s, err
	}
	s.Addresses, err = k.linkAddresses(s.Index, netip.IPv4Unspecified())
	return s, err
}

// Station6 returns one link with its IPv6 addresses, and what routers say. It is Running when it has an address of its
// own to speak from.
func (k *Kernel) Station6(name string) (Station, error) {
	s, err := k.station(name)
	if err != nil || s.Index == 0 {
		return s, err
	}
	request := unix.IfAddrmsg{Family: unix.AF_INET6, Index: uint32(s.Index)}
	messages, err := k.dump(unix.RTM_GETADDR, message(request), nil)
	if isFamilyUnknown(unix.AF_INET6, err) {
		s.Running = false
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("list addresses: %w", err)
	}
	for _, msg := range messages {
		index, address := parseAddress(msg)
		if index != s.Index {
			continue
		}
		about, _ := header[unix.IfAddrmsg](msg)
		switch tentative := about.Flags&unix.IFA_F_TENTATIVE != 0; {
		case tentative:
			s.Tentative = append(s.Tentative, address.IP)
		case isLinkLocal6(address.IP) && !s.LinkLocal.IsValid():
			s.LinkLocal = address.IP
		}
		s.Addresses = append(s.Addresses, address)
	}
	s.Running = s.Running && s.LinkLocal.IsValid()
	return s, nil
}

// station returns a link without its addresses.
func (k *Kernel) station(name string) (Station, error) {
	var attrs attributes
	attrs.addUint32(unix.IFLA_EXT_MASK, skipStats)
	attrs.addString(unix.IFLA_IFNAME, name)
	messages, err := k.exchange(unix.RTM_GETLINK, 0, message(unix.IfInfomsg{}), attrs)
	if errors.Is(err, unix.ENODEV) {
		return Station{}, nil
	}
	if err != nil || len(messages) == 0 {
		return Station{}, fmt.Errorf("read link %s: %w", name, err)
	}
	info, rest := header[unix.IfInfomsg](messages[0])
	const running = unix.IFF_UP | unix.IFF_LOWER_UP
	s := Station{Index: int(info.Index), Running: info.Flags&running == running}
	for attr, value := range each(rest) {
		switch mac := hardwareAddress(value); {
		case attr == unix.IFLA_ADDRESS && mac != nil:
			s.MAC = *mac
		case attr == unix.IFLA_CARRIER_DOWN_COUNT:
			s.Losses = uint32(decodeUint(value))
		case attr == unix.IFLA_AF_SPEC:
			s.parseInet6(value)
		}
	}
	return s, nil
}

// What the kernel keeps of the last router advertisement (include/net/if_inet6.h).
const (
	raOther   = 0x80
	raManaged = 0x40
)

// parseInet6 reads what the kernel knows of the routers of a link.
func (s *Station) parseInet6(families []byte) {
	for family, part := range each(families) {
		if family != unix.AF_INET6 {
			continue
		}
		for attr, value := range each(part) {
			switch attr {
			case inet6Flags:
				flags := decodeUint(value)
				s.Managed, s.Other = flags&raManaged != 0, flags&raOther != 0
			case inet6Conf:
				s.Autoconf = confValue(value, confAutoconf) != 0 && confValue(value, confAcceptRA) != 0
			}
		}
	}
}
