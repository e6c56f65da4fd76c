// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"net/netip"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// The operations of ARP.
const (
	arpRequest = 1
	arpReply   = 2
)

// An arp is an ARP packet for Ethernet and IPv4 (RFC 826), as far as conflicts of addresses go.
type arp struct {
	operation byte
	// mac and sender are whose packet it is. A packet that probes has no sender address yet.
	mac            netstate.MAC
	sender, target netip.Addr
}

// arpLength is the length of a packet.
const arpLength = 28

// marshal returns the packet in its form on the wire.
func (a arp) marshal() []byte {
	b := append([]byte{0, 1, 8, 0, 6, 4, 0, a.operation}, a.mac[:]...) // Ethernet, IPv4, and their lengths
	sender := [4]byte{}
	if a.sender.IsValid() {
		sender = a.sender.As4()
	}
	target := a.target.As4()
	b = append(append(b, sender[:]...), make([]byte, len(a.mac))...)
	return append(b, target[:]...)
}

// parseARP reads a packet; false for one of other networks.
func parseARP(b []byte) (a arp, ok bool) {
	if len(b) < arpLength || [7]byte(b) != [7]byte{0, 1, 8, 0, 6, 4, 0} {
		return arp{}, false
	}
	a = arp{operation: b[7], mac: netstate.MAC(b[8:14])}
	a.sender, a.target = netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	return a, a.operation == arpRequest || a.operation == arpReply
}
