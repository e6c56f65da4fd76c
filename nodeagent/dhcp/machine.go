// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A phase is a state of the machine of RFC 2131, 4.4, or of RFC 8415, 18.2.
type phase int

const (
	// selecting asks for offers.
	selecting phase = iota
	// requesting has chosen one and asks for it.
	requesting
	// checking has been given an address, and asks whether somebody has it (RFC 5227).
	checking
	// rebooting asks whether an address from before is still right: after a start, and after the link was
	// without a carrier, for it may be plugged in elsewhere now.
	rebooting
	// bound has a lease and says nothing.
	bound
	// renewing asks the server of the lease for more time, rebinding asks any server.
	renewing
	rebinding
	// idle waits until a router says that there is something to be had; declining gives an address back that somebody
	// else has; informing asks for all but an address, and informed has got that. All are of IPv6 alone.
	idle
	declining
	informing
	informed
)

// How often a client asks before it does something else.
const (
	requestTries = 4
	rebootTries  = 2
)

// The time between two messages (RFC 2131, 4.1 and 4.4.5).
const (
	firstPause = 4 * time.Second
	maxPause   = 64 * time.Second
	renewPause = time.Minute
)

// How an address is checked before it is used. RFC 5227 takes seconds, for networks as slow as they were; the pauses
// are what other clients take today. After a conflict a client waits as RFC 2131, 3.1.5, says.
const (
	checkTries   = 3
	checkPause   = 200 * time.Millisecond
	declinePause = 10 * time.Second
)

// A machine decides what one client says and which lease it holds. It has no clock and no socket: those
// who do tell it what happened and when, send what it returns, and call tick at wake.
type machine struct {
	link string
	id   identity

	// roll yields random numbers.
	roll func() uint32

	// lease is held now; nil for none. Each acknowledgement makes a new one. It is held beyond its end, until a server
	// refuses it or gives another: a server that is away must not cost the node its address.
	lease *Lease
	// given is the lease in the phase checking.
	given *Lease
	// last is the lease that was held or remembered; its address is asked for again.
	last *Lease

	phase phase
	up    bool
	// server and offered are what was chosen in the phase requesting.
	server, offered netip.Addr
	xid             dhcpv4.TransactionID
	// since is when the client began to ask, asked when it began to ask for this lease.
	since, asked time.Time
	// tries counts the messages of this phase, naks the refusals since the last lease.
	tries, naks int
	// next is when the machine has something to say, and due what it says whatever it does next.
	next time.Time
	due  []outgoing
}

// newMachine returns a machine whose link is down. last is a lease to ask for again, or nil; held says that
// the address is still in use.
func newMachine(link string, id identity, roll func() uint32, last *Lease, held bool) *machine {
	m := &machine{link: link, id: id, roll: roll, last: last}
	if held {
		m.lease = last
	}
	return m
}

// held implements protocol.
func (m *machine) held() *Lease { return m.lease }

// remembered implements protocol.
func (m *machine) remembered() *Lease { return m.last }

// mac implements protocol.
func (m *machine) mac() netstate.MAC { return m.id.mac }

// hear implements protocol.
func (m *machine) hear(now time.Time, in incoming) (remark string) {
	switch {
	case in.message != nil:
		m.receive(now, in.message)
	case in.arp != nil && m.receiveARP(now, *in.arp):
		return "declined an address that " + in.arp.mac.String() + " has already"
	}
	return ""
}

// wake returns when tick has something to do; the zero time means never.
func (m *machine) wake() time.Time {
	if !m.up {
		return time.Time{}
	}
	return m.next
}

// listening reports whether the machine waits for an answer.
func (m *machine) listening() bool { return m.up && m.phase != bound }

// setUp reports whether the link can carry messages. When it comes up, everything is asked again.
func (m *machine) setUp(now time.Time, up bool) {
	if up && !m.up {
		m.ask(now)
	}
	m.up = up
}

// ask begins again: with the address that was held last while its lease lasts, else with none.
func (m *machine) ask(now time.Time) {
	if m.last != nil && now.Before(m.last.Expires()) {
		m.enter(rebooting, now)
		return
	}
	m.enter(selecting, now)
}

// enter begins a phase with a transaction of its own, whose first message is due at once.
func (m *machine) enter(p phase, now time.Time) {
	m.phase, m.since, m.asked, m.tries, m.next = p, now, now, 0, now
	binary.BigEndian.PutUint32(m.xid[:], m.roll())
}

// hold rests until the lease must be renewed.
func (m *machine) hold() { m.phase, m.next = bound, m.lease.RenewAt() }

// tick does what is due and returns the messages to send, if any.
func (m *machine) tick(now time.Time) []outgoing {
	due := m.due
	m.due = nil
	if !m.up || now.Before(m.next) {
		return due
	}
	if m.phase == checking {
		return append(due, m.check(now)...)
	}
	m.advance(now)
	if m.phase == bound {
		return due
	}
	m.next = now.Add(m.pause(now))
	m.tries++
	return append(due, m.say(now))
}

// advance goes to the phase whose time has come.
func (m *machine) advance(now time.Time) {
	over := m.lease == nil || !now.Before(m.lease.Expires())
	switch {
	case over && (m.phase == bound || m.phase == renewing || m.phase == rebinding):
		m.enter(selecting, now)
	case m.phase == bound && now.Before(m.lease.RebindAt()):
		m.enter(renewing, now)
	case m.phase == bound, m.phase == renewing && !now.Before(m.lease.RebindAt()):
		m.enter(rebinding, now)
	case m.phase == requesting && m.tries >= requestTries:
		m.enter(selecting, now)
	case m.phase == rebooting && m.tries >= rebootTries && over:
		m.enter(selecting, now)
	case m.phase == rebooting && m.tries >= rebootTries:
		m.hold() // nobody says no, and the lease still lasts
		if !now.Before(m.next) {
			m.advance(now)
		}
	}
}

// pause returns how long to wait for an answer: doubled each time and off by up to a second, so that the clients
// of a network that comes back do not speak in chorus.
func (m *machine) pause(now time.Time) time.Duration {
	switch m.phase {
	case renewing:
		return untilHalf(now, m.lease.RebindAt())
	case rebinding:
		return untilHalf(now, m.lease.Expires())
	}
	return backoff(m.tries, m.roll())
}

func backoff(tries int, roll uint32) time.Duration {
	off := time.Duration(roll%2000)*time.Millisecond - time.Second
	return min(firstPause<<min(tries, 8), maxPause) + off
}

// untilHalf returns half the time to a deadline, but no less than a minute, and no longer than the deadline.
func untilHalf(now, deadline time.Time) time.Duration {
	left := deadline.Sub(now)
	return min(max(left/2, renewPause), left)
}

// say returns the message of the phase (RFC 2131, table 5).
func (m *machine) say(now time.Time) outgoing {
	if m.phase == selecting {
		discover := m.id.question(dhcpv4.MessageTypeDiscover, m.xid, now.Sub(m.since))
		if m.last != nil {
			discover.UpdateOption(dhcpv4.OptRequestedIPAddress(m.last.Address.Addr().AsSlice()))
		}
		return outgoing{message: discover}
	}
	request := m.id.question(dhcpv4.MessageTypeRequest, m.xid, now.Sub(m.since))
	p := outgoing{message: request}
	switch m.phase {
	case requesting:
		request.UpdateOption(dhcpv4.OptRequestedIPAddress(m.offered.AsSlice()))
		request.UpdateOption(dhcpv4.OptServerIdentifier(m.server.AsSlice()))
	case rebooting:
		request.UpdateOption(dhcpv4.OptRequestedIPAddress(m.last.Address.Addr().AsSlice()))
	case renewing:
		p.From, p.To = m.lease.Address.Addr(), m.lease.Server
		request.ClientIPAddr = p.From.AsSlice()
	case rebinding:
		p.From = m.lease.Address.Addr()
		request.ClientIPAddr = p.From.AsSlice()
	}
	return p
}

// receive takes a message from the network. What is no answer to the last question is ignored.
func (m *machine) receive(now time.Time, answer *dhcpv4.DHCPv4) {
	if !m.listening() || !m.isOurs(answer) {
		return
	}
	server := addr(answer.ServerIdentifier())
	if m.phase == requesting && server != m.server {
		return // of the servers whose offers were not taken
	}
	switch kind := answer.MessageType(); {
	case kind == dhcpv4.MessageTypeOffer && m.phase == selecting:
		offered := addr(answer.YourIPAddr)
		if !usable(server) || !usable(offered) {
			return
		}
		m.server, m.offered = server, offered
		m.phase, m.asked, m.tries, m.next = requesting, now, 0, now
	case kind == dhcpv4.MessageTypeAck && m.phase != selecting && m.phase != checking:
		if lease, err := readLease(m.link, m.id.mac, answer, m.asked); err == nil {
			lease.ClientID = m.id.clientID
			m.give(now, &lease)
		}
	case kind == dhcpv4.MessageTypeNak && m.phase != selecting:
		m.refused(now)
	}
}

// isOurs reports whether a message answers the last question.
func (m *machine) isOurs(answer *dhcpv4.DHCPv4) bool {
	mac, known := macOf(answer)
	forUs := !known || mac == m.id.mac
	return forUs && answer.OpCode == dhcpv4.OpcodeBootReply && answer.TransactionID == m.xid
}

// refused begins without an address: at once the first time, later the more often it happens.
func (m *machine) refused(now time.Time) {
	m.lease, m.last, m.given = nil, nil, nil
	m.enter(selecting, now)
	if m.naks > 0 {
		m.next = now.Add(backoff(m.naks-1, m.roll()))
	}
	m.naks++
}

// macOf returns the MAC a message is for; false when it does not say.
func macOf(m *dhcpv4.DHCPv4) (netstate.MAC, bool) {
	var mac netstate.MAC
	return mac, copy(mac[:], m.ClientHWAddr) == len(mac)
}
