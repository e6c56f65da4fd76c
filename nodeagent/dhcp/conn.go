// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// maxMessage is the longest message we take.
const maxMessage = 1500

// A conn is where a client of one link listens and speaks while it waits for an answer. It hears everything
// sent to its port on the link, whether or not the link has an address yet.
type conn struct {
	hearing
	link string
	raw  *packet.Conn
	// arp is open once an ARP packet was sent.
	arp *packet.Conn
	// udp is bound to an address of ours, for messages to one server. It keeps the kernel from calling the
	// port unreachable; what it receives, raw has received as well.
	udp *net.UDPConn
}

// A hearing is what several sockets of a link hear together.
type hearing struct {
	// heard yields it. ended is closed when one of the sockets hears no more: the kernel ends them when the link goes
	// down. closed is closed when nobody listens any more.
	heard         chan incoming
	ended, closed chan struct{}
	end           *sync.Once
}

func newHearing() hearing {
	return hearing{
		heard: make(chan incoming), ended: make(chan struct{}), closed: make(chan struct{}), end: new(sync.Once),
	}
}

// listen passes on what a socket hears until that fails or nobody listens. What next makes nothing of is left out.
func (h hearing) listen(next func() (in incoming, ok bool, err error)) {
	defer h.end.Do(func() { close(h.ended) })
	for {
		in, ok, err := next()
		if err != nil {
			return
		}
		if !ok {
			continue
		}
		select {
		case h.heard <- in:
		case <-h.closed:
			return
		}
	}
}

// hears returns what is heard, and when that ends.
func (h hearing) hears() (heard <-chan incoming, ended <-chan struct{}) { return h.heard, h.ended }

// listen opens a conn on a link.
func listen(link string) (*conn, error) {
	nic, err := net.InterfaceByName(link)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", link, err)
	}
	filter, err := toClients()
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", link, err)
	}
	raw, err := packet.Listen(nic, packet.Datagram, unix.ETH_P_IP, &packet.Config{Filter: filter})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", link, err)
	}
	c := &conn{hearing: newHearing(), link: link, raw: raw}
	go c.hear()
	return c, nil
}

// toClients passes IPv4 packets that are UDP, not a later fragment, and to the clients' port, so that the
// rest of the link's traffic does not wake us.
func toClients() ([]bpf.RawInstruction, error) {
	return bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 9, Size: 1}, // the protocol
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_UDP, SkipFalse: 5},
		bpf.LoadAbsolute{Off: 6, Size: 2}, // flags and offset of the fragment
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 3},
		bpf.LoadMemShift{Off: 0}, // X is the length of the header
		bpf.LoadIndirect{Off: 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: nclient4.ClientPort, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 1 << 16},
	})
}

// hear passes messages on until the conn is closed.
func (c *conn) hear() {
	in := nclient4.NewBroadcastUDPConn(c.raw, &net.UDPAddr{Port: nclient4.ClientPort})
	buffer := make([]byte, maxMessage)
	c.hearing.listen(func() (incoming, bool, error) {
		n, _, err := in.ReadFrom(buffer)
		if err != nil {
			return incoming{}, false, err
		}
		message, err := dhcpv4.FromBytes(buffer[:n])
		return incoming{message: message}, err == nil, nil
	})
}

// send sends a message: to one server through the kernel, which knows the way, or else to all on the link.
func (c *conn) send(p outgoing) error {
	if p.arp != nil {
		return c.sendARP(*p.arp)
	}
	if p.To.IsValid() {
		return c.sendTo(p)
	}
	out := nclient4.NewBroadcastUDPConn(c.raw, &net.UDPAddr{IP: p.From.AsSlice(), Port: nclient4.ClientPort})
	_, err := out.WriteTo(p.message.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: nclient4.ServerPort})
	if err != nil {
		return fmt.Errorf("send on %s: %w", c.link, err)
	}
	return nil
}

// sendTo sends a message to one server from an address the link has.
func (c *conn) sendTo(p outgoing) error {
	if c.udp == nil {
		config := net.ListenConfig{Control: func(_, _ string, socket syscall.RawConn) error {
			var failed error
			err := socket.Control(func(fd uintptr) {
				noReader := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 0)
				failed = errors.Join(bindTo(int(fd), c.link), noReader)
			})
			return errors.Join(err, failed)
		}}
		from := net.JoinHostPort(p.From.String(), strconv.Itoa(nclient4.ClientPort))
		udp, err := config.ListenPacket(context.Background(), "udp4", from)
		if err != nil {
			return fmt.Errorf("send on %s: %w", c.link, err)
		}
		c.udp = udp.(*net.UDPConn)
	}
	_, err := c.udp.WriteToUDPAddrPort(p.message.ToBytes(), netip.AddrPortFrom(p.To, nclient4.ServerPort))
	if err != nil {
		return fmt.Errorf("send on %s: %w", c.link, err)
	}
	return nil
}

// sendARP sends a packet to everybody on the link, and listens for such packets from then on.
func (c *conn) sendARP(p arp) error {
	if c.arp == nil {
		nic, err := net.InterfaceByName(c.link)
		if err != nil {
			return fmt.Errorf("check an address on %s: %w", c.link, err)
		}
		socket, err := packet.Listen(nic, packet.Datagram, unix.ETH_P_ARP, nil)
		if err != nil {
			return fmt.Errorf("check an address on %s: %w", c.link, err)
		}
		c.arp = socket
		go c.hearARP(socket)
	}
	everybody := &packet.Addr{HardwareAddr: net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
	if _, err := c.arp.WriteTo(p.marshal(), everybody); err != nil {
		return fmt.Errorf("check an address on %s: %w", c.link, err)
	}
	return nil
}

// hearARP passes packets on until the conn is closed.
func (c *conn) hearARP(socket *packet.Conn) {
	buffer := make([]byte, 128)
	c.hearing.listen(func() (incoming, bool, error) {
		n, _, err := socket.ReadFrom(buffer)
		if err != nil {
			return incoming{}, false, err
		}
		p, ok := parseARP(buffer[:n])
		return incoming{arp: &p}, ok, nil
	})
}

// bindTo ties a socket to a link. Several links may have the same address, and other programs the port.
func bindTo(fd int, link string) error {
	return errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.BindToDevice(fd, link),
	)
}

// close gives the sockets back and waits for nothing.
func (c *conn) close() {
	close(c.closed)
	_ = c.raw.Close()
	if c.arp != nil {
		_ = c.arp.Close()
	}
	if c.udp != nil {
		_ = c.udp.Close()
	}
}
