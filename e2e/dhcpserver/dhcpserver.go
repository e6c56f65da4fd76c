// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package dhcpserver is a DHCP server for tests in a guest of e2e/vmrun, that does what the test tells it to.
package dhcpserver

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"

	"github.com/bridgehead-dev/bridgehead/e2e/hosts"
)

// A Server is a DHCP server on a host at the far end of a cable. It lends one address. Change its fields in Set.
type Server struct {
	hosts.Host
	// Own is what it calls itself, and Lends the address it lends.
	Own, Lends netip.Addr
	// Options are what it tells besides addresses, mask and itself.
	Options []dhcpv4.Option
	// Silent makes it answer nothing.
	Silent bool
	// Ignores is how many of the next messages it does not answer.
	Ignores int
	// Refuses makes it refuse every request.
	Refuses bool

	ears
	names []string
}

// Start lays a cable from a new link near to a new server, which has the address 192.0.2.1 and lends
// 192.0.2.7, or others of another network.
func Start(t *testing.T, near, network string, options ...dhcpv4.Option) *Server {
	prefix := netip.MustParsePrefix(network).Masked()
	own := prefix.Addr().Next()
	lends := own.As4()
	lends[3] = 7
	s := &Server{Host: hosts.New(t), Own: own, Lends: netip.AddrFrom4(lends), Options: options}
	s.Plug(t, near, "server", netip.PrefixFrom(own, 24).String())
	var listener *server4.Server
	s.Do(t, func() (err error) {
		listener, err = server4.NewServer("server", &net.UDPAddr{Port: dhcpv4.ServerPort}, s.answer)
		return err
	})
	serve(t, listener)
	return s
}

// answer answers one message.
func (s *Server) answer(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, s.words(peer, m))
	s.names = append(s.names, m.HostName())
	if s.Ignores > 0 {
		s.Ignores--
		return
	}
	if s.Silent || m.MessageType() == dhcpv4.MessageTypeRelease || m.MessageType() == dhcpv4.MessageTypeDecline {
		return
	}
	reply, err := dhcpv4.NewReplyFromRequest(m)
	if err != nil {
		return
	}
	kind := dhcpv4.MessageTypeAck
	switch {
	case m.MessageType() == dhcpv4.MessageTypeDiscover:
		kind = dhcpv4.MessageTypeOffer
	case s.Refuses:
		kind = dhcpv4.MessageTypeNak
	}
	reply.UpdateOption(dhcpv4.OptMessageType(kind))
	reply.UpdateOption(dhcpv4.OptServerIdentifier(s.Own.AsSlice()))
	if kind != dhcpv4.MessageTypeNak {
		reply.YourIPAddr = s.Lends.AsSlice()
		reply.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)))
		for _, option := range s.Options {
			reply.UpdateOption(option)
		}
	}
	_, _ = conn.WriteTo(reply.ToBytes(), peer) // a lost answer is asked for again
}

// words say which of the messages of RFC 2131, table 5, one is.
func (s *Server) words(peer net.Addr, m *dhcpv4.DHCPv4) string {
	kind := m.MessageType().String()
	if m.MessageType() != dhcpv4.MessageTypeRequest {
		return kind
	}
	switch {
	case m.ServerIdentifier() != nil:
		return kind + " the offer"
	case m.RequestedIPAddress() != nil:
		return kind + " again"
	case isFrom(peer, m.ClientIPAddr):
		return kind + " more time"
	}
	return kind + " odd"
}

// isFrom reports whether a message was sent from an address.
func isFrom(peer net.Addr, ip net.IP) bool {
	udp, ok := peer.(*net.UDPAddr)
	return ok && udp.IP.Equal(ip)
}

// Names returns the host names that it was told, a message each.
func (s *Server) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.names)
}

// AddAddress gives the server's host another address.
func (s *Server) AddAddress(t *testing.T, cidr string) {
	t.Helper()
	s.Do(t, func() error { return changeAddress(cidr, netlink.AddrAdd) })
}

// Become makes the server another one: it has another address, not its old one, and calls itself by that.
func (s *Server) Become(t *testing.T, own string) {
	t.Helper()
	s.Do(t, func() error {
		was := netip.PrefixFrom(s.Own, 24).String()
		return errors.Join(changeAddress(own+"/24", netlink.AddrAdd), changeAddress(was, netlink.AddrDel))
	})
	s.Set(func() { s.Own = netip.MustParseAddr(own) })
}

func changeAddress(cidr string, change func(netlink.Link, *netlink.Addr) error) error {
	link, err := netlink.LinkByName("server")
	if err != nil {
		return err
	}
	address, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	return change(link, address)
}

// Seconds returns the times of a lease.
func Seconds(renew, rebind, length int) []dhcpv4.Option {
	return []dhcpv4.Option{
		dhcpv4.OptRenewTimeValue(time.Duration(renew) * time.Second),
		dhcpv4.OptRebindingTimeValue(time.Duration(rebind) * time.Second),
		dhcpv4.OptIPAddressLeaseTime(time.Duration(length) * time.Second),
	}
}
