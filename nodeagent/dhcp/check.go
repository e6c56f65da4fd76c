// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// give takes a lease that a server acknowledged: at once if its address is in use here already, else when it is known
// that nobody else has it.
func (m *machine) give(now time.Time, lease *Lease) {
	if m.lease != nil && m.lease.Address.Addr() == lease.Address.Addr() {
		m.take(lease)
		return
	}
	m.given, m.phase, m.tries, m.next = lease, checking, 0, now
}

// take holds a lease.
func (m *machine) take(lease *Lease) {
	m.lease, m.last, m.given, m.naks = lease, lease, nil, 0
	m.hold()
}

// check asks once more who has the address, or takes it when that was asked often enough, and says so to everybody.
func (m *machine) check(now time.Time) []outgoing {
	address := m.given.Address.Addr()
	if m.tries >= checkTries {
		m.take(m.given)
		return []outgoing{{arp: &arp{operation: arpRequest, mac: m.id.mac, sender: address, target: address}}}
	}
	m.tries++
	m.next = now.Add(checkPause)
	return []outgoing{{arp: &arp{operation: arpRequest, mac: m.id.mac, target: address}}}
}

// receiveARP takes an ARP packet from the network, and reports whether it shows that somebody else has the address that
// is being checked, or is about to use it (RFC 5227, 2.1.1). Then the address is declined.
func (m *machine) receiveARP(now time.Time, p arp) (conflict bool) {
	if m.phase != checking || p.mac == m.id.mac {
		return false
	}
	address := m.given.Address.Addr()
	probed := p.operation == arpRequest && p.sender.IsUnspecified() && p.target == address
	if p.sender != address && !probed {
		return false
	}
	m.decline(now)
	return true
}

// decline tells the server that its address is in use, and begins again after a while.
func (m *machine) decline(now time.Time) {
	decline := m.id.message(dhcpv4.MessageTypeDecline, m.xid, 0)
	decline.UpdateOption(dhcpv4.OptRequestedIPAddress(m.given.Address.Addr().AsSlice()))
	decline.UpdateOption(dhcpv4.OptServerIdentifier(m.given.Server.AsSlice()))
	m.due = append(m.due, outgoing{message: decline})
	if m.last != nil && m.last.Address == m.given.Address {
		m.last = nil
	}
	m.given = nil
	m.enter(selecting, now)
	m.next = now.Add(declinePause)
}
