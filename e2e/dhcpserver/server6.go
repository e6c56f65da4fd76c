// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dhcpserver

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/dhcpv6/server6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/bridgehead-dev/bridgehead/e2e/hosts"
)

// A Server6 is a DHCPv6 server on a link of a host. It lends one address. Change its fields in Set.
type Server6 struct {
	// Own is what it calls itself, and Lends the address it lends.
	Own   string
	Lends netip.Addr
	// Renew, Rebind and Length are the times of a lease.
	Renew, Rebind, Length time.Duration
	// Silent makes it answer nothing, Forgets makes it know no leases that it is to renew.
	Silent, Forgets bool

	ears
	clients []string
}

// Start6 has a host serve DHCPv6 on one of its links. It lends 2001:db8::7 for 20 minutes.
func Start6(t *testing.T, h hosts.Host, link string) *Server6 {
	s := &Server6{Own: "a", Lends: netip.MustParseAddr("2001:db8::7"),
		Renew: 10 * time.Minute, Rebind: 15 * time.Minute, Length: 20 * time.Minute}
	var listener *server6.Server
	h.Do(t, func() (err error) {
		listener, err = server6.NewServer(link, nil, s.answer)
		return err
	})
	serve(t, listener)
	return s
}

// answer answers one message.
func (s *Server6) answer(conn net.PacketConn, peer net.Addr, packet dhcpv6.DHCPv6) {
	m, isMessage := packet.(*dhcpv6.Message)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !isMessage || m.Options.ClientID() == nil {
		return
	}
	s.heard = append(s.heard, m.MessageType.String())
	s.clients = append(s.clients, string(m.Options.ClientID().ToBytes()))
	own := &dhcpv6.DUIDEN{EnterpriseNumber: 1, EnterpriseIdentifier: []byte(s.Own)}
	if other := m.Options.ServerID(); s.Silent || other != nil && !other.Equal(own) {
		return
	}
	reply := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply, TransactionID: m.TransactionID}
	if m.MessageType == dhcpv6.MessageTypeSolicit {
		reply.MessageType = dhcpv6.MessageTypeAdvertise
	}
	reply.AddOption(dhcpv6.OptClientID(m.Options.ClientID()))
	reply.AddOption(dhcpv6.OptServerID(own))
	dhcpv6.WithDNS(net.ParseIP("2001:db8::53"))(reply)
	dhcpv6.WithDomainSearchList("six.example")(reply)
	s.lend(m, reply)
	_, _ = conn.WriteTo(reply.ToBytes(), peer) // a lost answer is asked for again
}

// lend adds what the server says of addresses.
func (s *Server6) lend(m, reply *dhcpv6.Message) {
	asked := m.Options.OneIANA()
	renews := m.MessageType == dhcpv6.MessageTypeRenew || m.MessageType == dhcpv6.MessageTypeRebind
	lends := renews || m.MessageType == dhcpv6.MessageTypeSolicit || m.MessageType == dhcpv6.MessageTypeRequest
	if asked == nil || !lends {
		return
	}
	ia := &dhcpv6.OptIANA{IaId: asked.IaId, T1: s.Renew, T2: s.Rebind}
	if renews && s.Forgets {
		ia.Options.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoBinding})
	} else {
		ia.Options.Add(&dhcpv6.OptIAAddress{
			IPv6Addr: s.Lends.AsSlice(), PreferredLifetime: s.Length, ValidLifetime: s.Length})
	}
	if old := asked.Options.OneAddress(); renews && !s.Forgets && old != nil && !old.IPv6Addr.Equal(s.Lends.AsSlice()) {
		ia.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: old.IPv6Addr}) // it has no time left
	}
	reply.AddOption(ia)
}

// Clients returns the DUIDs of those that it heard, each once.
func (s *Server6) Clients() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.clients)
	return slices.Compact(slices.Clone(s.clients))
}
