// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// readAddresses adds the addresses to the links: IPv4 is enabled where there is one, and DHCP where one
// has a lifetime. IPv6 link-local addresses that the kernel makes are left out.
func (k *Kernel) readAddresses(links []*link) error {
	messages, err := k.dump(unix.RTM_GETADDR, message(unix.IfAddrmsg{}), nil)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	byIndex := make(map[int]*link, len(links))
	for _, l := range links {
		byIndex[l.index] = l
	}
	tells := slices.ContainsFunc(messages, func(msg []byte) bool { return originOf(msg) != 0 })
	for _, msg := range messages {
		index, address := parseAddress(msg)
		l := byIndex[index]
		if l == nil || !address.IP.IsValid() || isLinkLocal6(address.IP) && l.makes(address.IP, originOf(msg), tells) {
			continue
		}
		if address.Details == ownDetails(l.iface.Name, address) {
			address.Details = ""
		}
		ip := l.iface.IPv4
		if address.IP.Is6() {
			ip = l.iface.IPv6
		}
		ip.Address = append(ip.Address, address)
		*ip.Enabled = *ip.Enabled || address.IP.Is4()
		*ip.DHCP = *ip.DHCP || address.Dynamic() && (address.IP.Is4() || address.PrefixLength == 128)
	}
	return nil
}

// kernelLinkLocal is the origin of an address that the kernel made of a link's identifier (IFAPROT_KERNEL_LL of
// include/uapi/linux/if_addr.h).
const kernelLinkLocal = 3

// originOf returns who made an address, 0 if that is not known.
func originOf(msg []byte) uint8 {
	_, attrs := header[unix.IfAddrmsg](msg)
	for attr, value := range each(attrs) {
		if attr == ifaProto {
			return uint8(decodeUint(value))
		}
	}
	return 0
}

// makes reports whether the kernel makes a link-local address of the link again by itself, when IPv6 comes on or the
// link goes up. Kernels before 5.18 do not tell which they have made: there it is told by the form of the address.
func (l *link) makes(addr netip.Addr, origin uint8, tells bool) bool {
	if l.addrGenMode == genModeNone {
		return false
	}
	if tells {
		return origin == kernelLinkLocal
	}
	b := addr.As16()
	return l.addrGenMode != genModeEUI64 || b[11] == 0xff && b[12] == 0xfe
}

// isLinkLocal6 reports whether an address is one the kernel makes for each link.
func isLinkLocal6(addr netip.Addr) bool { return addr.Is6() && addr.IsLinkLocalUnicast() }

// A cacheInfo is struct ifa_cacheinfo of include/uapi/linux/if_addr.h: the lifetimes of an address in
// seconds, and when it was made and last changed.
type cacheInfo struct{ Preferred, Valid, Created, Updated uint32 }

// parseAddress reads one RTM_NEWADDR message.
func parseAddress(msg []byte) (index int, address netstate.Address) {
	about, attrs := header[unix.IfAddrmsg](msg)
	address.PrefixLength = int(about.Prefixlen)
	for attr, value := range each(attrs) {
		switch attr {
		case unix.IFA_ADDRESS:
			if !address.IP.IsValid() {
				address.IP, _ = netip.AddrFromSlice(value)
			}
		case unix.IFA_LOCAL:
			address.IP, _ = netip.AddrFromSlice(value)
		case unix.IFA_CACHEINFO:
			info, _ := header[cacheInfo](value)
			if info.Valid != math.MaxUint32 {
				address.ValidLifeTime, address.PreferredLifeTime = info.Valid, info.Preferred
			}
		}
	}
	address.Details = addressDetails(about, attrs, address)
	return int(about.Index), address
}

// settableFlags are the flags of an address that somebody asks for, as opposed to what the kernel found out.
const settableFlags = unix.IFA_F_NODAD | unix.IFA_F_OPTIMISTIC | unix.IFA_F_HOMEADDRESS | unix.IFA_F_MANAGETEMPADDR |
	unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_MCAUTOJOIN

// addressDetails keeps what an address has otherwise than we write it, "" for nothing. The label of an IPv4 address
// is compared with the link's name by who knows that.
func addressDetails(about unix.IfAddrmsg, attrs []byte, address netstate.Address) netstate.Opaque {
	d := details{}.keep(attrs, unix.IFA_LABEL, unix.IFA_BROADCAST, unix.IFA_RT_PRIORITY, ifaProto)
	for attr, value := range each(attrs) {
		other, _ := netip.AddrFromSlice(value)
		switch {
		case attr == unix.IFA_ADDRESS && other != address.IP:
			d[attr] = value
		case attr == unix.IFA_FLAGS && decodeUint(value)&settableFlags != 0:
			d[attr] = encodeUint(decodeUint(value)&settableFlags, 4)
		}
	}
	if address.IP.Is4() {
		d[headerDetail] = []byte{about.Scope}
	}
	return d.opaque()
}

// ownDetails returns those of an address that we write.
func ownDetails(link string, address netstate.Address) netstate.Opaque {
	d := details{}
	if address.IP.Is4() {
		d[headerDetail] = []byte{unix.RT_SCOPE_UNIVERSE}
		d[unix.IFA_LABEL] = append([]byte(link), 0)
	}
	if hasBroadcast(address) {
		d[unix.IFA_BROADCAST] = broadcast(address.Prefix())
	}
	return d.opaque()
}

func hasBroadcast(address netstate.Address) bool {
	return address.IP.Is4() && address.PrefixLength <= 30 && !address.IP.IsLoopback()
}

// doAddress adds or removes an address, or changes its lifetime.
func (k *Kernel) doAddress(step netstate.Step) error {
	from, to := step.From.Address, step.To.Address
	l, err := k.getLink(0, step.Link)
	if err != nil {
		return fmt.Errorf("address of %s: %w", step.Link, err)
	}
	switch {
	case from == nil && to == nil:
		return nil
	case from == nil:
		err := k.writeAddress(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, l.index, *to)
		if errors.Is(err, unix.EEXIST) && (to.Dynamic() || isLinkLocal6(to.IP)) {
			return nil // who teaches it was faster, or the kernel
		}
		return refused(err, "add %s to %s", to.Prefix(), step.Link)
	case to == nil:
		return k.removeAddress(l, *from)
	}
	err = k.writeAddress(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, l.index, *to)
	return refused(err, "change the lifetime of %s on %s", to.Prefix(), step.Link)
}

// removeAddress removes one address and nothing else: with the first IPv4 address of a subnet the kernel
// removes the others of that subnet (unless promote_secondaries is set), so these are put back.
func (k *Kernel) removeAddress(l *link, address netstate.Address) error {
	before, err := k.linkAddresses(l.index, address.IP)
	if err != nil {
		return err
	}
	if err := k.writeAddress(unix.RTM_DELADDR, 0, l.index, address); err != nil {
		return refused(err, "remove %s from %s", address.Prefix(), l.iface.Name)
	}
	if address.IP.Is6() || len(before) < 2 {
		return nil
	}
	for _, other := range before {
		if other.Prefix() == address.Prefix() {
			continue
		}
		err := k.writeAddress(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, l.index, other)
		if err != nil {
			return refused(err, "put %s back on %s", other.Prefix(), l.iface.Name)
		}
	}
	return nil
}

// linkAddresses lists the addresses of one link, of the family of like.
func (k *Kernel) linkAddresses(index int, like netip.Addr) ([]netstate.Address, error) {
	messages, err := k.dump(unix.RTM_GETADDR, message(unix.IfAddrmsg{Family: family(like), Index: uint32(index)}), nil)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var list []netstate.Address
	for _, msg := range messages {
		if at, address := parseAddress(msg); at == index {
			list = append(list, address)
		}
	}
	return list, nil
}

// writeAddress sends one address, with the broadcast address of its subnet where it has one.
func (k *Kernel) writeAddress(kind, flags, index int, address netstate.Address) error {
	about := unix.IfAddrmsg{Family: family(address.IP), Prefixlen: uint8(address.PrefixLength), Index: uint32(index)}
	var attrs attributes
	attrs.add(unix.IFA_LOCAL, address.IP.AsSlice())
	if address.IP.Is4() && address.IP.IsLoopback() {
		about.Scope = unix.RT_SCOPE_HOST // that of 127.0.0.1: one network has one scope (__inet_insert_ifa)
	}
	kept := detailsOf(address.Details)
	if scope := kept[headerDetail]; len(scope) == 1 {
		about.Scope = scope[0]
	}
	if _, hasPeer := kept[unix.IFA_ADDRESS]; !hasPeer {
		attrs.add(unix.IFA_ADDRESS, address.IP.AsSlice())
	}
	switch {
	case kind == unix.RTM_NEWADDR:
		kept.addTo(&attrs)
	case kept[unix.IFA_ADDRESS] != nil:
		attrs.add(unix.IFA_ADDRESS, kept[unix.IFA_ADDRESS])
	}
	if kind == unix.RTM_NEWADDR {
		if address.Details == "" && hasBroadcast(address) {
			attrs.add(unix.IFA_BROADCAST, broadcast(address.Prefix()))
		}
		if address.Dynamic() {
			info := cacheInfo{Preferred: address.PreferredLifeTime, Valid: address.ValidLifeTime}
			attrs.add(unix.IFA_CACHEINFO, message(info))
		}
	}
	return k.request(kind, flags, message(about), attrs)
}

// broadcast returns the last address of an IPv4 subnet.
func broadcast(p netip.Prefix) []byte {
	b := p.Addr().As4()
	last := binary.BigEndian.Uint32(b[:]) | math.MaxUint32>>p.Bits()
	return binary.BigEndian.AppendUint32(nil, last)
}

// family returns AF_INET or AF_INET6.
func family(addr netip.Addr) uint8 {
	if addr.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
