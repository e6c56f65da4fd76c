// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// noon returns when the stories begin.
func noon() time.Time { return time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC) }

func mac(last byte) netstate.MAC { return netstate.MAC{2, 0, 0, 0, 0, last} }

// lent returns a lease of an hour from a server, begun some time after noon.
func lent(after time.Duration) *Lease {
	return &Lease{
		Link: "eth1", MAC: mac(1), Address: netip.MustParsePrefix("192.0.2.7/24"), Server: netip.MustParseAddr("192.0.2.1"),
		Begun: noon().Add(after), Renew: 30 * time.Minute, Rebind: 52*time.Minute + 30*time.Second, Length: time.Hour,
	}
}

// answer returns what a server answers to the last question of a machine.
func answer(m *machine, kind dhcpv4.MessageType, server string, more ...dhcpv4.Option) *dhcpv4.DHCPv4 {
	a := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootReply, TransactionID: m.xid, ClientHWAddr: m.id.mac[:],
		YourIPAddr: net.IPv4(192, 0, 2, 7), Options: dhcpv4.Options{},
	}
	a.UpdateOption(dhcpv4.OptMessageType(kind))
	a.UpdateOption(dhcpv4.OptServerIdentifier(net.ParseIP(server)))
	a.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)))
	a.UpdateOption(dhcpv4.OptIPAddressLeaseTime(time.Hour))
	for _, option := range more {
		a.UpdateOption(option)
	}
	return a
}

// spoken returns a message in one line: the kind, whom to, and the addresses in it that count.
func spoken(out []outgoing) string {
	lines := make([]string, 0, len(out))
	for _, o := range out {
		line := o.message.MessageType().String()
		if o.To.IsValid() {
			line += " to " + o.To.String()
		}
		if !o.message.ClientIPAddr.IsUnspecified() {
			line += " holding " + o.message.ClientIPAddr.String()
		}
		if ip := o.message.RequestedIPAddress(); ip != nil {
			line += " for " + ip.String()
		}
		if ip := o.message.ServerIdentifier(); ip != nil {
			line += " of " + ip.String()
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ", ")
}

// An event is something that happens to a machine some time after noon, and what is true afterwards.
type event struct {
	at time.Duration
	// what is tick, up, down, or a kind of answer: OFFER, ACK, NAK.
	what string
	// by is the server that answers, 192.0.2.1 when empty.
	by string
	// says is what the machine says at its next tick, which is at once; holds is the address it then has.
	says, holds string
	// wake is when it wants to be called next, after noon.
	wake time.Duration
}

// tell lets an event happen.
func (e event) tell(m *machine) []outgoing {
	now := noon().Add(e.at)
	kinds := map[string]dhcpv4.MessageType{
		"OFFER": dhcpv4.MessageTypeOffer, "ACK": dhcpv4.MessageTypeAck, "NAK": dhcpv4.MessageTypeNak,
	}
	switch e.what {
	case "tick":
	case "up", "down":
		m.setUp(now, e.what == "up")
	default:
		server := e.by
		if server == "" {
			server = "192.0.2.1"
		}
		m.receive(now, answer(m, kinds[e.what], server))
		for m.phase == checking { // nobody has the address
			m.tick(m.next)
		}
	}
	return m.tick(now)
}

func TestMachine(t *testing.T) {
	const hour, minute, second = time.Hour, time.Minute, time.Second
	const rebind = 52*minute + 30*second
	const held, again = "192.0.2.7/24", "REQUEST to 192.0.2.1 holding 192.0.2.7"
	tests := map[string]struct {
		last   *Lease
		held   bool
		events []event
	}{
		"a lease is got from one server, held, renewed, rebound and kept beyond its end": {events: []event{
			{at: 0, what: "up", says: "DISCOVER", wake: 4 * second},
			{at: 1 * second, what: "OFFER", says: "REQUEST for 192.0.2.7 of 192.0.2.1", wake: 5 * second},
			{at: 2 * second, what: "ACK", holds: held, wake: 30*minute + second},
			{at: 30*minute + second, what: "tick", says: again, holds: held, wake: 41*minute + 16*second},
			{at: 41*minute + 16*second, what: "tick", says: again, holds: held, wake: 46*minute + 53*second + second/2},
			{at: 46 * minute, what: "ACK", holds: held, wake: 30*minute + 30*minute + second},
			{at: hour + second, what: "tick", says: again, holds: held, wake: 30*minute + second + (30*minute+rebind)/2},
			{at: 30*minute + second + rebind, what: "tick", says: "REQUEST holding 192.0.2.7", holds: held, wake: 30*minute + second + rebind + 225*second},
			{at: 90*minute + second, what: "tick", says: "DISCOVER for 192.0.2.7", holds: held, wake: 90*minute + 5*second},
		}},
		"a server that rebinds is asked the next time": {last: lent(0), held: true, events: []event{
			{at: 53 * minute, what: "up", says: "REQUEST for 192.0.2.7", holds: held, wake: 53*minute + 4*second},
			{at: 53*minute + 4*second, what: "tick", says: "REQUEST for 192.0.2.7", holds: held, wake: 53*minute + 12*second},
			{at: 53*minute + 12*second, what: "tick", says: "REQUEST holding 192.0.2.7", holds: held, wake: 56*minute + 36*second},
			{at: 54 * minute, what: "ACK", by: "192.0.2.2", holds: held, wake: 83*minute + 12*second},
			{at: 83*minute + 12*second, what: "tick", says: "REQUEST to 192.0.2.2 holding 192.0.2.7", holds: held, wake: 94*minute + 27*second},
		}},
		"nobody answers: the question is repeated, less and less often": {events: []event{
			{at: 0, what: "up", says: "DISCOVER", wake: 4 * second},
			{at: 3 * second, what: "tick", wake: 4 * second},
			{at: 4 * second, what: "tick", says: "DISCOVER", wake: 12 * second},
			{at: 12 * second, what: "tick", says: "DISCOVER", wake: 28 * second},
			{at: 28 * second, what: "tick", says: "DISCOVER", wake: minute},
			{at: minute, what: "tick", says: "DISCOVER", wake: 124 * second},
			{at: 124 * second, what: "tick", says: "DISCOVER", wake: 188 * second},
		}},
		"a server that offers and then is silent is given up": {events: []event{
			{at: 0, what: "up", says: "DISCOVER", wake: 4 * second},
			{at: 0, what: "OFFER", says: "REQUEST for 192.0.2.7 of 192.0.2.1", wake: 4 * second},
			{at: 4 * second, what: "tick", says: "REQUEST for 192.0.2.7 of 192.0.2.1", wake: 12 * second},
			{at: 12 * second, what: "tick", says: "REQUEST for 192.0.2.7 of 192.0.2.1", wake: 28 * second},
			{at: 28 * second, what: "tick", says: "REQUEST for 192.0.2.7 of 192.0.2.1", wake: minute},
			{at: minute, what: "tick", says: "DISCOVER", wake: 64 * second},
		}},
		"of two servers only the one that was chosen counts": {events: []event{
			{at: 0, what: "up", says: "DISCOVER", wake: 4 * second},
			{at: 0, what: "OFFER", says: "REQUEST for 192.0.2.7 of 192.0.2.1", wake: 4 * second},
			{at: 0, what: "OFFER", by: "192.0.2.2", wake: 4 * second},
			{at: 0, what: "NAK", by: "192.0.2.2", wake: 4 * second},
			{at: 0, what: "ACK", by: "192.0.2.2", wake: 4 * second},
			{at: 0, what: "ACK", holds: held, wake: 30 * minute},
		}},
		"an address that is no longer right is dropped at once": {last: lent(0), held: true, events: []event{
			{at: minute, what: "up", says: "REQUEST for 192.0.2.7", holds: held, wake: 64 * second},
			{at: 61 * second, what: "NAK", says: "DISCOVER", wake: 65 * second},
			{at: 61 * second, what: "OFFER", says: "REQUEST for 192.0.2.7 of 192.0.2.1", wake: 65 * second},
			{at: 62 * second, what: "NAK", wake: 66 * second},
			{at: 66 * second, what: "tick", says: "DISCOVER", wake: 70 * second},
		}},
		"an address from before is kept when nobody answers": {last: lent(0), held: true, events: []event{
			{at: minute, what: "up", says: "REQUEST for 192.0.2.7", holds: held, wake: 64 * second},
			{at: 64 * second, what: "tick", says: "REQUEST for 192.0.2.7", holds: held, wake: 72 * second},
			{at: 72 * second, what: "tick", holds: held, wake: 30 * minute},
		}},
		"an address from before a reboot is not used before a server says so": {last: lent(0), events: []event{
			{at: minute, what: "up", says: "REQUEST for 192.0.2.7", wake: 64 * second},
			{at: 64 * second, what: "tick", says: "REQUEST for 192.0.2.7", wake: 72 * second},
			{at: 72 * second, what: "tick", says: "DISCOVER for 192.0.2.7", wake: 76 * second},
		}},
		"an address whose lease is over is asked for again": {last: lent(-2 * hour), events: []event{
			{at: 0, what: "up", says: "DISCOVER for 192.0.2.7", wake: 4 * second},
		}},
		"without a carrier nothing is said, and the address stays when the lease ends": {last: lent(0), held: true, events: []event{
			{at: 0, what: "tick", holds: held, wake: -1},
			{at: hour, what: "tick", holds: held, wake: -1},
			{at: 2 * hour, what: "up", says: "DISCOVER for 192.0.2.7", holds: held, wake: 2*hour + 4*second},
		}},
		"a carrier that comes back may be another network": {last: lent(0), held: true, events: []event{
			{at: 0, what: "up", says: "REQUEST for 192.0.2.7", holds: held, wake: 4 * second},
			{at: 0, what: "ACK", holds: held, wake: 30 * minute},
			{at: minute, what: "down", holds: held, wake: -1},
			{at: 2 * minute, what: "up", says: "REQUEST for 192.0.2.7", holds: held, wake: 2*minute + 4*second},
			{at: 2 * minute, what: "NAK", says: "DISCOVER", wake: 2*minute + 4*second},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inTheMiddle := func() uint32 { return 1000 } // of what the pauses are off by
			m := newMachine("eth1", identity{mac: mac(1)}, inTheMiddle, test.last, test.held)
			for n, e := range test.events {
				at := fmt.Sprintf("event %d, %s at %s", n, e.what, e.at)
				require.Equal(t, e.says, spoken(e.tell(m)), at)
				holds := ""
				if m.lease != nil {
					holds = m.lease.Address.String()
				}
				require.Equal(t, e.holds, holds, at)
				if e.wake < 0 {
					require.True(t, m.wake().IsZero(), at)
					continue
				}
				require.Equal(t, e.wake, m.wake().Sub(noon()), at)
			}
		})
	}
}

func TestMachineHearsOnlyItsOwn(t *testing.T) {
	tests := map[string]func(*dhcpv4.DHCPv4){
		"a question of another client":  func(a *dhcpv4.DHCPv4) { a.OpCode = dhcpv4.OpcodeBootRequest },
		"an answer to another question": func(a *dhcpv4.DHCPv4) { a.TransactionID[0]++ },
		"an answer for another MAC":     func(a *dhcpv4.DHCPv4) { a.ClientHWAddr = net.HardwareAddr{2, 0, 0, 0, 0, 9} },
		"an offer of no address":        func(a *dhcpv4.DHCPv4) { a.YourIPAddr = net.IPv4zero },
		"an offer of a group's address": func(a *dhcpv4.DHCPv4) { a.YourIPAddr = net.IPv4(224, 0, 0, 1) },
		"an offer that names no server": func(a *dhcpv4.DHCPv4) { a.DeleteOption(dhcpv4.OptionServerIdentifier) },
		"a lease that nobody offered": func(a *dhcpv4.DHCPv4) {
			a.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeAck))
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine("eth1", identity{mac: mac(1)}, func() uint32 { return 1000 }, nil, false)
			m.setUp(noon(), true)
			require.Len(t, m.tick(noon()), 1)
			a := answer(m, dhcpv4.MessageTypeOffer, "192.0.2.1")
			spoil(a)
			m.receive(noon(), a)
			assert.Equal(t, selecting, m.phase)
			assert.Nil(t, m.lease)
		})
	}
}

func TestPausesAreOffByASecondAtMost(t *testing.T) {
	for _, roll := range []uint32{0, 1, 999, 1999, 2000, 1 << 31} {
		assert.InDelta(t, 4*time.Second, backoff(0, roll), float64(time.Second))
		assert.InDelta(t, 64*time.Second, backoff(100, roll), float64(time.Second))
	}
}
