// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// maxFrame bounds a frame: the largest a virtio card sends, with room for headers.
const maxFrame = 68 << 10

// A Segment is a hub on the loopback interface: what one network card of a guest sends, all others get. Cards are
// attached by qemu's "socket" back end, a TCP stream of frames with their lengths in front (32 bits, big endian).
type Segment struct {
	listener net.Listener

	mu     sync.Mutex
	ports  map[*segmentPort]bool
	frames []Frame
	ended  sync.WaitGroup
}

// A Frame is an Ethernet frame as it was on the segment.
type Frame []byte

// VLAN returns the 802.1Q tag of the frame, if it has one.
func (f Frame) VLAN() (id int, tagged bool) {
	if len(f) < 16 || binary.BigEndian.Uint16(f[12:]) != 0x8100 {
		return 0, false
	}
	return int(binary.BigEndian.Uint16(f[14:]) & 0xfff), true
}

// Source returns the address the frame is from; nil if it is too short.
func (f Frame) Source() net.HardwareAddr {
	if len(f) < 12 {
		return nil
	}
	return net.HardwareAddr(f[6:12])
}

// keptFrames is how many frames a segment remembers.
const keptFrames = 10000

// A segmentPort is one card on the segment.
type segmentPort struct {
	conn net.Conn
	out  chan Frame
}

// NewSegment starts a hub. It ends by Close.
func NewSegment() (*Segment, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for network cards: %w", err)
	}
	s := &Segment{listener: listener, ports: map[*segmentPort]bool{}}
	s.ended.Go(s.accept)
	return s, nil
}

// Netdev returns qemu's back end for a card on the segment.
func (s *Segment) Netdev() string { return "socket,connect=" + s.listener.Addr().String() }

// Close ends the hub; every card loses its carrier.
func (s *Segment) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	for p := range s.ports {
		_ = p.conn.Close()
	}
	s.mu.Unlock()
	s.ended.Wait()
	return err
}

// Frames returns the frames that were on the segment and match, oldest first; the last 10,000 are remembered.
func (s *Segment) Frames(match func(Frame) bool) []Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Frame
	for _, f := range s.frames {
		if match(f) {
			found = append(found, f)
		}
	}
	return found
}

func (s *Segment) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		p := &segmentPort{conn: conn, out: make(chan Frame, 1024)}
		s.mu.Lock()
		s.ports[p] = true
		s.mu.Unlock()
		s.ended.Go(func() { s.receive(p) })
		s.ended.Go(p.send)
	}
}

// receive forwards what a card sends until it is unplugged.
func (s *Segment) receive(p *segmentPort) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.ports, p)
		close(p.out)
		_ = p.conn.Close()
	}()
	for {
		frame, err := readFrame(p.conn)
		if err != nil {
			return
		}
		s.forward(p, frame)
	}
}

// forward gives a frame to every card but the one it is from. A card that does not keep up loses it, as on a wire.
func (s *Segment) forward(from *segmentPort, frame Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = append(s.frames, frame)
	if len(s.frames) > 2*keptFrames {
		s.frames = append([]Frame(nil), s.frames[len(s.frames)-keptFrames:]...)
	}
	for p := range s.ports {
		if p == from {
			continue
		}
		select {
		case p.out <- frame:
		default:
		}
	}
}

func (p *segmentPort) send() {
	for frame := range p.out {
		packet := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(frame)), uint32(len(frame)))
		if _, err := p.conn.Write(append(packet, frame...)); err != nil {
			_ = p.conn.Close() // which ends receive, and by that us
		}
	}
}

func readFrame(r io.Reader) (Frame, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxFrame {
		return nil, errors.New("frame too long")
	}
	frame := make(Frame, n)
	_, err := io.ReadFull(r, frame)
	return frame, err
}
