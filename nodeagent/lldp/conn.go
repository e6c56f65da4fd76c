// SPDX-License-Identifier: Apache-2.0

package lldp

import (
	"errors"
	"fmt"
	"net"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// etherType is that of LLDP (ETH_P_LLDP).
	etherType = 0x88cc
	// maxFrame is the longest frame we take, and receiveBuffer what the kernel keeps for us of frames that come faster
	// than we read.
	maxFrame      = 1514
	receiveBuffer = 64 << 10
	headerLength  = 14
)

// groups are the addresses that announcements are sent to (IEEE 802.1AB, table 7-1): those of the nearest bridge, of
// the nearest bridge that is not a relay of two ports, and of the nearest customer's bridge.
func groups() [][]byte {
	return [][]byte{
		{0x01, 0x80, 0xc2, 0, 0, 0x0e}, {0x01, 0x80, 0xc2, 0, 0, 0x03}, {0x01, 0x80, 0xc2, 0, 0, 0x00},
	}
}

// A conn is a socket that hears the announcements that arrive on one link. What this host sends, it does not hear.
type conn struct {
	index int
	raw   *packet.Conn
	// heard yields what is announced until the conn is closed.
	heard  chan announcement
	closed chan struct{}
}

// listen opens a conn on a link.
func listen(nic *net.Interface) (*conn, error) {
	filter, err := toGroups()
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", nic.Name, err)
	}
	raw, err := packet.Listen(nic, packet.Raw, etherType, &packet.Config{Filter: filter})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", nic.Name, err)
	}
	if err := join(raw, nic.Index); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", nic.Name, err), raw.Close())
	}
	c := &conn{index: nic.Index, raw: raw, heard: make(chan announcement), closed: make(chan struct{})}
	go c.hear()
	return c, nil
}

// toGroups passes frames of LLDP to one of the groups. They differ in the last byte.
func toGroups() ([]bpf.RawInstruction, error) {
	return bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: etherType, SkipFalse: 6},
		bpf.LoadAbsolute{Off: 0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x0180c200, SkipFalse: 4},
		bpf.LoadAbsolute{Off: 4, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x0e, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x03, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x00, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: maxFrame},
	})
}

// join has the NIC pass frames to the groups on. The kernel ends that when the socket is closed.
func join(raw *packet.Conn, index int) error {
	control, err := raw.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = control.Control(func(fd uintptr) {
		for _, group := range groups() {
			request := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_MULTICAST, Alen: uint16(len(group))}
			copy(request.Address[:], group)
			failed = errors.Join(failed,
				unix.SetsockoptPacketMreq(int(fd), unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &request))
		}
		failed = errors.Join(failed, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer))
	})
	return errors.Join(err, failed)
}

// hear passes announcements on until the conn is closed. What is none is left out.
func (c *conn) hear() {
	defer close(c.heard)
	buffer := make([]byte, maxFrame)
	for {
		n, _, err := c.raw.ReadFrom(buffer)
		if err != nil {
			return
		}
		if n < headerLength {
			continue
		}
		a, err := decode(buffer[headerLength:n])
		if err != nil {
			continue
		}
		select {
		case c.heard <- a:
		case <-c.closed:
			return
		}
	}
}

// close gives the socket back and waits for nothing.
func (c *conn) close() {
	close(c.closed)
	_ = c.raw.Close() // nothing was written
}
