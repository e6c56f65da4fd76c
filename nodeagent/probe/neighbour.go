// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// resolveARP asks an IPv4 neighbour for its MAC (RFC 826), whatever the kernel remembers of it.
func resolveARP(ctx context.Context, link string, addr netip.Addr) error {
	nic, from, err := sourceFor(link, addr)
	if err != nil {
		return err
	}
	conn, err := packet.Listen(nic, packet.Datagram, unix.ETH_P_ARP, nil)
	if err != nil {
		return fmt.Errorf("listen for ARP: %w", err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	everybody := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	if _, err := conn.WriteTo(
		arpRequest(nic.HardwareAddr, from, addr), &packet.Addr{HardwareAddr: everybody},
	); err != nil {
		return fmt.Errorf("send an ARP request: %w", err)
	}
	buffer := make([]byte, 128)
	for {
		n, _, err := conn.ReadFrom(buffer)
		if ctx.Err() != nil {
			return errors.New("no ARP reply")
		}
		if err != nil {
			return fmt.Errorf("wait for an ARP reply: %w", err)
		}
		if isARPReply(buffer[:n], addr) {
			return nil
		}
	}
}

// The operations of ARP, and the length of its messages for Ethernet and IPv4.
const (
	arpAsks    = 1
	arpReplies = 2
	arpLength  = 28
)

// arpRequest asks who has an address.
func arpRequest(mac net.HardwareAddr, from, wanted netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, arpAsks} // Ethernet and IPv4, and the lengths of their addresses
	b = append(append(b, mac...), from.AsSlice()...)
	return append(append(b, make([]byte, 6)...), wanted.AsSlice()...)
}

// isARPReply reports whether a message says who has an address.
func isARPReply(b []byte, addr netip.Addr) bool {
	return len(b) >= arpLength && b[7] == arpReplies && [4]byte(b[14:18]) == addr.As4()
}

// sourceFor picks the address of a link to ask a neighbour from: one of the neighbour's network, or any.
func sourceFor(link string, addr netip.Addr) (*net.Interface, netip.Addr, error) {
	nic, err := net.InterfaceByName(link)
	if err != nil {
		return nil, netip.Addr{}, err
	}
	if len(nic.HardwareAddr) != 6 {
		return nil, netip.Addr{}, errors.New("the link has no MAC, so its neighbours have none either")
	}
	addrs, err := nic.Addrs()
	if err != nil {
		return nil, netip.Addr{}, err
	}
	from := netip.IPv4Unspecified() // what ARP calls a probe, which is answered as well
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && prefix.Addr().Is4() && (prefix.Contains(addr) || from.IsUnspecified()) {
			from = prefix.Addr()
		}
	}
	return nic, from, nil
}

// resolveND asks an IPv6 neighbour for its MAC (RFC 4861, 4.3), whatever the kernel remembers of it.
func resolveND(ctx context.Context, link string, addr netip.Addr) error {
	nic, err := net.InterfaceByName(link)
	if err != nil {
		return err
	}
	conn, err := icmp.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		return fmt.Errorf("listen for ICMPv6: %w", err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := solicit(conn.IPv6PacketConn(), nic, addr); err != nil {
		return fmt.Errorf("send a neighbour solicitation: %w", err)
	}
	buffer := make([]byte, 1500)
	for {
		n, control, _, err := conn.IPv6PacketConn().ReadFrom(buffer)
		if ctx.Err() != nil {
			return errors.New("no neighbour advertisement")
		}
		if err != nil {
			return fmt.Errorf("wait for a neighbour advertisement: %w", err)
		}
		// Routers on several links may all be called fe80::1, and the kernel asks them too.
		if control != nil && control.IfIndex == nic.Index && isAdvertisement(buffer[:n], addr) {
			return nil
		}
	}
}

// solicit sends a neighbour solicitation to the group of those whose addresses end like the wanted one.
func solicit(conn *ipv6.PacketConn, nic *net.Interface, wanted netip.Addr) error {
	filter := new(ipv6.ICMPFilter)
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeNeighborAdvertisement)
	if err := errors.Join(conn.SetICMPFilter(filter), conn.SetControlMessage(ipv6.FlagInterface, true)); err != nil {
		return err
	}
	const untouchedByRouters = 255 // neighbours ignore what has a lower hop limit
	// The index, and not a zone by name, says which link: package net remembers the indexes of names for a
	// minute, and links come and go faster.
	control := &ipv6.ControlMessage{HopLimit: untouchedByRouters, IfIndex: nic.Index}
	target := wanted.As16()
	group := net.IP{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, target[13], target[14], target[15]}
	_, err := conn.WriteTo(solicitation(nic.HardwareAddr, wanted), control, &net.IPAddr{IP: group})
	return err
}

// solicitation returns the message, but for its checksum, which the kernel fills in.
func solicitation(mac net.HardwareAddr, wanted netip.Addr) []byte {
	b := make([]byte, 8, 32)
	b[0] = byte(ipv6.ICMPTypeNeighborSolicitation)
	b = append(b, wanted.WithZone("").AsSlice()...)
	if len(mac) != 6 {
		return b
	}
	const sourceLinkLayer, eightBytes = 1, 1
	return append(append(b, sourceLinkLayer, eightBytes), mac...)
}

// isAdvertisement reports whether a message says who has an address.
func isAdvertisement(b []byte, addr netip.Addr) bool {
	const length = 24
	return len(b) >= length && binary.BigEndian.Uint16(b) == uint16(ipv6.ICMPTypeNeighborAdvertisement)<<8 &&
		[16]byte(b[8:24]) == addr.As16()
}
