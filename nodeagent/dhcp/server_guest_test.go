//go:build guest

package dhcp

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/wire"
)

// A server is a DHCP server on a host at the far end of a cable. It lends one address.
type server struct {
	wire.Host
	own, lends netip.Addr

	mu sync.Mutex
	// options are what it tells besides addresses, mask and itself.
	options []dhcpv4.Option
	silent  bool
	// refuses makes it refuse every request.
	refuses bool
	// heard are the kinds of messages it got, in words.
	heard []string
	names []string
}

// serve lays a cable from a new link near to a new server, which has the address 192.0.2.1 and lends
// 192.0.2.7, or others of another network.
func serve(t *testing.T, near, network string, options ...dhcpv4.Option) *server {
	prefix := netip.MustParsePrefix(network).Masked()
	own := prefix.Addr().Next()
	lends := own.As4()
	lends[3] = 7
	s := &server{Host: wire.NewHost(t), own: own, lends: netip.AddrFrom4(lends), options: options}
	s.Plug(t, near, "server", netip.PrefixFrom(own, 24).String())
	var listener *server4.Server
	s.Do(t, func() (err error) {
		listener, err = server4.NewServer("server", &net.UDPAddr{Port: dhcpv4.ServerPort}, s.answer)
		return err
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = listener.Serve()
	}()
	t.Cleanup(func() {
		assert.NoError(t, listener.Close())
		<-ended
	})
	return s
}

// answer answers one message.
func (s *server) answer(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, s.words(peer, m))
	s.names = append(s.names, m.HostName())
	if s.silent || m.MessageType() == dhcpv4.MessageTypeRelease {
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
	case s.refuses:
		kind = dhcpv4.MessageTypeNak
	}
	reply.UpdateOption(dhcpv4.OptMessageType(kind))
	reply.UpdateOption(dhcpv4.OptServerIdentifier(s.own.AsSlice()))
	if kind != dhcpv4.MessageTypeNak {
		reply.YourIPAddr = s.lends.AsSlice()
		reply.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)))
		for _, option := range s.options {
			reply.UpdateOption(option)
		}
	}
	_, _ = conn.WriteTo(reply.ToBytes(), peer) // a lost answer is asked for again
}

// words say which of the messages of RFC 2131, table 5, one is.
func (s *server) words(peer net.Addr, m *dhcpv4.DHCPv4) string {
	kind := m.MessageType().String()
	if m.MessageType() != dhcpv4.MessageTypeRequest {
		return kind
	}
	switch {
	case m.ServerIdentifier() != nil:
		return kind + " the offer"
	case m.RequestedIPAddress() != nil:
		return kind + " again"
	case peer.(*net.UDPAddr).IP.Equal(m.ClientIPAddr):
		return kind + " more time"
	}
	return kind + " odd"
}

// set changes the server.
func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// told returns what the server has heard, and forgets it.
func (s *server) told() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	told := s.heard
	s.heard = nil
	return told
}

// await waits until the server hears a message.
func (s *server) await(t *testing.T, want string) {
	t.Helper()
	eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Contains(s.heard, want)
	}, "the server hears "+want)
}

// eventually waits for a condition.
func eventually(t *testing.T, is func() bool, what string) {
	t.Helper()
	require.Eventually(t, is, 30*time.Second, 20*time.Millisecond, what)
}

// seconds are the times of a lease.
func seconds(renew, rebind, length int) []dhcpv4.Option {
	return []dhcpv4.Option{
		dhcpv4.OptRenewTimeValue(time.Duration(renew) * time.Second),
		dhcpv4.OptRebindingTimeValue(time.Duration(rebind) * time.Second),
		dhcpv4.OptIPAddressLeaseTime(time.Duration(length) * time.Second),
	}
}
