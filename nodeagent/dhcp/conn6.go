// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// A conn6 is where a client of one link listens and speaks IPv6: from its link-local address to all servers and relays
// of the link, as RFC 8415, 18.1 has it.
type conn6 struct {
	hearing
	link string
	udp  *net.UDPConn
	// servers is ff02::1:2 on the link.
	servers netip.AddrPort
}

// listen6 opens a conn6 on a link that has the address from.
func listen6(link string, from netip.Addr) (*conn6, error) {
	if !from.IsValid() {
		return nil, fmt.Errorf("listen on %s: it has no link-local address", link)
	}
	config := net.ListenConfig{Control: func(_, _ string, socket syscall.RawConn) error {
		var failed error
		err := socket.Control(func(fd uintptr) { failed = bindTo(int(fd), link) })
		return errors.Join(err, failed)
	}}
	local := net.JoinHostPort(from.WithZone(link).String(), strconv.Itoa(dhcpv6.DefaultClientPort))
	udp, err := config.ListenPacket(context.Background(), "udp6", local)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", link, err)
	}
	all, _ := netip.AddrFromSlice(dhcpv6.AllDHCPRelayAgentsAndServers)
	c := &conn6{
		hearing: newHearing(), link: link, udp: udp.(*net.UDPConn),
		servers: netip.AddrPortFrom(all.WithZone(link), dhcpv6.DefaultServerPort),
	}
	go c.hear()
	return c, nil
}

// hear passes messages on until the conn is closed.
func (c *conn6) hear() {
	buffer := make([]byte, maxMessage)
	c.hearing.listen(func() (incoming, bool, error) {
		n, _, err := c.udp.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return incoming{}, false, err
		}
		message, err := dhcpv6.MessageFromBytes(buffer[:n])
		return incoming{message6: message}, err == nil, nil
	})
}

// send sends a message to all servers.
func (c *conn6) send(p outgoing) error {
	if _, err := c.udp.WriteToUDPAddrPort(p.message6.ToBytes(), c.servers); err != nil {
		return fmt.Errorf("send on %s: %w", c.link, err)
	}
	return nil
}

// close gives the socket back and waits for nothing.
func (c *conn6) close() {
	close(c.closed)
	_ = c.udp.Close()
}
