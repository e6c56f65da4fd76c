// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// A scope is what there is to be had by DHCPv6.
type scope int

const (
	nothing scope = iota
	// allButAddresses are name servers and search list.
	allButAddresses
	everything
)

// scopeOf returns what the routers of a link say; where they are not listened to, everything is asked for.
func scopeOf(s kernel.Station) scope {
	switch {
	case s.Managed || !s.Autoconf:
		return everything
	case s.Other:
		return allButAddresses
	}
	return nothing
}

// A machine6 decides what one IPv6 client says and which lease it holds, as a machine does.
type machine6 struct {
	link string
	id   identity6

	// roll yields random numbers.
	roll func() uint32

	// lease is held now, beyond its end until a server gives another or takes it back; nil for none. last is the one that
	// was held or remembered, whose address is asked for again.
	lease, last *Lease
	// info is what is known without a lease, if there is none to be had.
	info *Lease

	phase phase
	scope scope
	up    bool
	// offer is the best so far in the phase selecting, with its preference, and what is asked for in the phase requesting.
	offer      *Lease
	preference uint8
	// taken is the lease whose address somebody else has, in the phase declining.
	taken *Lease

	xid dhcpv6.TransactionID
	// since is when the phase began. tries counts its messages, failures what servers refused since the last lease.
	since           time.Time
	tries, failures int
	// next is when the machine has something to do; zero for never.
	next time.Time
}

// newMachine6 returns a machine whose link is down. last is a lease to ask for again, or nil; held says that the
// address is still in use. Who had a lease asks for it whatever routers say by now.
func newMachine6(link string, id identity6, roll func() uint32, last *Lease, held bool) *machine6 {
	m := &machine6{link: link, id: id, roll: roll, last: last, phase: idle}
	if last != nil {
		m.scope = everything
	}
	if held {
		m.lease = last
	}
	return m
}

// held implements protocol.
func (m *machine6) held() *Lease {
	if m.lease == nil {
		return m.info
	}
	return m.lease
}

// remembered implements protocol.
func (m *machine6) remembered() *Lease { return m.last }

// mac implements protocol.
func (m *machine6) mac() netstate.MAC { return m.id.mac }

// wake implements protocol.
func (m *machine6) wake() time.Time {
	if !m.up {
		return time.Time{}
	}
	return m.next
}

// listening implements protocol.
func (m *machine6) listening() bool {
	return m.up && m.phase != idle && m.phase != bound && m.phase != informed
}

// hear implements protocol.
func (m *machine6) hear(now time.Time, in incoming) (remark string) {
	if in.message6 != nil {
		m.receive(now, in.message6)
	}
	return ""
}

// setUp implements protocol.
func (m *machine6) setUp(now time.Time, up bool) {
	if up && !m.up {
		m.ask(now)
	}
	m.up = up
}

// setScope says what is to be had. What once was to be had is so for good: of several routers, one may say less.
func (m *machine6) setScope(now time.Time, s scope) {
	if s <= m.scope {
		return
	}
	m.scope = s
	if m.up {
		m.ask(now)
	}
}

// ask begins again. The first message is late by up to a second, so that the clients of a network that comes back do
// not speak in chorus (RFC 8415, 18.2).
func (m *machine6) ask(now time.Time) {
	switch {
	case m.scope == nothing:
		m.phase, m.next = idle, time.Time{}
		return
	case m.scope == allButAddresses:
		m.enter(informing, now)
	case m.last != nil && now.Before(m.last.Expires()):
		m.enter(rebooting, now)
	default:
		m.enter(selecting, now)
	}
	m.next = now.Add(time.Duration(m.roll()%1000) * time.Millisecond)
}

// enter begins a phase with a transaction of its own, whose first message is due at once.
func (m *machine6) enter(p phase, now time.Time) {
	m.phase, m.since, m.tries, m.next = p, now, 0, now
	m.xid = xid6(m.roll())
	if p == selecting {
		m.offer, m.preference = nil, 0
	}
}

// tick implements protocol.
func (m *machine6) tick(now time.Time) []outgoing {
	if !m.up || m.next.IsZero() || now.Before(m.next) {
		return nil
	}
	m.advance(now)
	if !m.listening() || now.Before(m.next) {
		return nil
	}
	m.next = now.Add(m.pause(now))
	m.tries++
	return []outgoing{{message6: m.say(now)}}
}

// advance goes to the phase whose time has come.
func (m *machine6) advance(now time.Time) {
	over := m.lease == nil || !now.Before(m.lease.Expires())
	exhausted := m.tries >= paceOf(m.phase).tries && paceOf(m.phase).tries > 0
	switch {
	case m.phase == selecting && m.offer != nil: // nobody better has answered
		m.enter(requesting, now)
	case m.phase == requesting && exhausted:
		m.enter(selecting, now)
	case m.phase == declining && exhausted:
		m.retreat(now)
	case m.phase == informed:
		m.enter(informing, now)
	case m.phase == rebooting && exhausted && !over:
		m.take(m.last) // nobody says no, and the lease still lasts
		if !now.Before(m.next) {
			m.advance(now)
		}
	case m.phase == rebooting && exhausted:
		m.enter(selecting, now)
	case over && (m.phase == bound || m.phase == renewing || m.phase == rebinding):
		m.enter(selecting, now)
	case m.phase == bound && now.Before(m.lease.RebindAt()):
		m.enter(renewing, now)
	case m.phase == bound, m.phase == renewing && !now.Before(m.lease.RebindAt()):
		m.enter(rebinding, now)
	}
}

// A pace is how often a client says something again (RFC 8415, 15 and 7.6): first after first, then after twice as long
// each time up to max, and no more than tries times; 0 is no limit.
type pace struct {
	first, max time.Duration
	tries      int
}

// paceOf returns the pace of a phase. Where no server answers at all a client would wait an hour in the end, which is
// too long for a node whose server comes back: this is the two minutes of RFC 3315.
func paceOf(p phase) pace {
	switch p {
	case requesting:
		return pace{time.Second, 30 * time.Second, 10}
	case rebooting:
		return pace{time.Second, 4 * time.Second, 4} // about ten seconds
	case renewing, rebinding:
		return pace{10 * time.Second, 10 * time.Minute, 0}
	case declining:
		return pace{time.Second, 8 * time.Second, 4}
	}
	return pace{time.Second, 2 * time.Minute, 0}
}

// pause returns how long to wait for an answer, off by up to a tenth. It ends with the time of the phase.
func (m *machine6) pause(now time.Time) time.Duration {
	p := paceOf(m.phase)
	wait := min(p.first<<min(m.tries, 12), p.max)
	wait += wait * (time.Duration(m.roll()%201) - 100) / 1000
	switch m.phase {
	case renewing:
		return min(wait, m.lease.RebindAt().Sub(now))
	case rebinding:
		return min(wait, m.lease.Expires().Sub(now))
	}
	return wait
}

// say returns the message of the phase.
func (m *machine6) say(now time.Time) *dhcpv6.Message {
	kinds := map[phase]dhcpv6.MessageType{
		selecting: dhcpv6.MessageTypeSolicit, requesting: dhcpv6.MessageTypeRequest, rebooting: dhcpv6.MessageTypeConfirm,
		renewing: dhcpv6.MessageTypeRenew, rebinding: dhcpv6.MessageTypeRebind, declining: dhcpv6.MessageTypeDecline,
		informing: dhcpv6.MessageTypeInformationRequest,
	}
	message := m.id.message(kinds[m.phase], m.xid, now.Sub(m.since))
	about := m.last
	switch m.phase {
	case requesting:
		about = m.offer
		addServer(message, about.ServerID)
	case declining:
		about = m.taken
		addServer(message, about.ServerID)
	case renewing:
		about = m.lease
		addServer(message, about.ServerID)
	case rebinding:
		about = m.lease
	}
	if m.phase != declining && m.phase != rebooting {
		m.id.ask(message)
	}
	if m.phase != informing {
		addIA(message, m.id.iaid, about)
	}
	return message
}

// take holds a lease until it must be renewed.
func (m *machine6) take(lease *Lease) {
	m.lease, m.last, m.offer, m.info, m.failures = lease, lease, nil, nil, 0
	m.phase, m.next = bound, lease.RenewAt()
}

// retreat begins again after a while, the longer the more often servers have refused.
func (m *machine6) retreat(now time.Time) {
	m.enter(selecting, now)
	m.taken = nil
	m.next = now.Add(min(declinePause<<min(m.failures, 8), paceOf(selecting).max))
	m.failures++
}

// decline tells the server that somebody else has the address of the lease, and begins again.
func (m *machine6) decline(now time.Time) {
	m.taken = m.lease
	m.lease, m.last = nil, nil
	if m.taken == nil {
		m.ask(now)
		return
	}
	m.enter(declining, now)
}
