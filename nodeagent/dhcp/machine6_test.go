// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// id6 is the client of the stories.
func id6() identity6 {
	return identify6(mac(1), 0, netstate.IP{DHCPDUID: new("ll"), DHCPSendHostname: new(false)}, "", "", nil, noon())
}

// duid6 is what a server calls itself.
func duid6(server string) dhcpv6.DUID {
	return &dhcpv6.DUIDEN{EnterpriseNumber: 1, EnterpriseIdentifier: []byte(server)}
}

// lent6 returns a lease of an hour from server a, begun some time after noon.
func lent6(after time.Duration) *Lease {
	id := id6()
	return &Lease{
		Link: "eth1", MAC: mac(1), ClientID: id.duid.ToBytes(), IAID: id.iaid, ServerID: duid6("a").ToBytes(),
		Address: netip.MustParsePrefix("2001:db8::7/128"),
		Begun:   noon().Add(after), Renew: 30 * time.Minute, Rebind: 48 * time.Minute, Length: time.Hour,
	}
}

// spoken6 returns messages in one line: the kind, the server in it, and the address in it.
func spoken6(out []outgoing) string {
	lines := make([]string, 0, len(out))
	for _, o := range out {
		m := o.message6
		line := m.MessageType.String()
		if server, ok := m.Options.ServerID().(*dhcpv6.DUIDEN); ok {
			line += " to " + string(server.EnterpriseIdentifier)
		}
		if ia := m.Options.OneIANA(); ia != nil {
			for _, address := range ia.Options.Addresses() {
				line += " " + address.IPv6Addr.String()
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ", ")
}

// An event6 is something that happens to a machine6 some time after noon, and what is true afterwards.
type event6 struct {
	at time.Duration
	// what is tick, up, down, other or managed (what a router says), taken (somebody has the address), or what a server
	// answers: ADVERTISE or REPLY.
	what string
	// by is the server that answers, a when empty; status is of the association, or of the message when the answer has no
	// lends. lends are the addresses in it with their preferred and valid lifetime in minutes, [2001:db8::7 60 60] when
	// nil.
	by         string
	status     iana.StatusCode
	lends      []string
	preference uint8
	// says is what the machine says at its next tick, which is at once; holds is the address it then has.
	says, holds string
	// wake is when it wants to be called next, after noon; negative for never.
	wake time.Duration
}

// answerTo returns what a server answers to the last question of a machine.
func (e event6) answerTo(t *testing.T, m *machine6) *dhcpv6.Message {
	t.Helper()
	lends := e.lends
	if lends == nil && e.status == iana.StatusSuccess {
		lends = []string{"2001:db8::7 60 60"}
	}
	var addresses []*dhcpv6.OptIAAddress
	for _, text := range lends {
		var ip string
		var preferred, valid int
		_, err := fmt.Sscan(text, &ip, &preferred, &valid)
		require.NoError(t, err)
		addresses = append(addresses, &dhcpv6.OptIAAddress{IPv6Addr: net.ParseIP(ip),
			PreferredLifetime: time.Duration(preferred) * time.Minute, ValidLifetime: time.Duration(valid) * time.Minute})
	}
	return e.message(m, addresses)
}

// message returns an answer that lends addresses, or that has a status only where nothing is to be lent.
func (e event6) message(m *machine6, addresses []*dhcpv6.OptIAAddress) *dhcpv6.Message {
	a := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply, TransactionID: m.xid}
	if e.what == "ADVERTISE" {
		a.MessageType = dhcpv6.MessageTypeAdvertise
	}
	a.AddOption(dhcpv6.OptClientID(m.id.duid))
	a.AddOption(dhcpv6.OptServerID(duid6(cmp.Or(e.by, "a"))))
	a.AddOption(dhcpv6.OptPreference(e.preference))
	a.AddOption(dhcpv6.OptDNS(net.ParseIP("2001:db8::53")))
	status := &dhcpv6.OptStatusCode{StatusCode: e.status}
	if m.phase == rebooting || m.phase == informing || m.phase == declining {
		a.AddOption(status)
		return a
	}
	ia := &dhcpv6.OptIANA{IaId: m.id.iaid}
	for _, address := range addresses {
		ia.Options.Add(address)
	}
	ia.Options.Add(status)
	a.AddOption(ia)
	return a
}

// tell lets an event happen.
func (e event6) tell(t *testing.T, m *machine6) []outgoing {
	t.Helper()
	now := noon().Add(e.at)
	switch e.what {
	case "tick":
	case "up", "down":
		m.setUp(now, e.what == "up")
	case "nothing", "other", "managed":
		m.setScope(now, scopeOf(kernel.Station{Autoconf: true, Other: e.what == "other", Managed: e.what == "managed"}))
	case "taken":
		m.decline(now)
	default:
		received, err := dhcpv6.MessageFromBytes(e.answerTo(t, m).ToBytes())
		require.NoError(t, err)
		m.receive(now, received)
	}
	return m.tick(now)
}

func TestMachine6(t *testing.T) {
	const hour, minute, second = time.Hour, time.Minute, time.Second
	const soon = second / 10 // of what the first message is late
	const held, again = "2001:db8::7", "RENEW to a 2001:db8::7"
	const solicit, request, confirm = "SOLICIT", "REQUEST to a 2001:db8::7", "CONFIRM 2001:db8::7"
	// got are the events by which a lease is got that begins a second after the first question.
	got := func(more ...event6) []event6 {
		return append([]event6{
			{at: 0, what: "managed", wake: -1},
			{at: 0, what: "up", wake: soon},
			{at: soon, what: "tick", says: solicit, wake: soon + second},
			{at: soon, what: "ADVERTISE", wake: soon + second},
			{at: soon + second, what: "tick", says: request, wake: soon + 2*second},
			{at: soon + second, what: "REPLY", holds: held, wake: soon + second + 30*minute},
		}, more...)
	}
	const begun = soon + second
	tests := map[string]struct {
		last   *Lease
		held   bool
		events []event6
	}{
		"a lease is got, held, renewed, rebound by any server and kept beyond its end": {events: got([]event6{
			{at: begun + 30*minute, what: "tick", says: again, holds: held, wake: begun + 30*minute + 10*second},
			{at: begun + 30*minute + 10*second, what: "tick", says: again, holds: held, wake: begun + 30*minute + 30*second},
			{at: begun + 30*minute + 10*second, what: "REPLY", holds: held, wake: begun + hour},
			{at: begun + hour, what: "tick", says: again, holds: held, wake: begun + hour + 10*second},
			{at: begun + 78*minute, what: "tick", says: "REBIND 2001:db8::7", holds: held, wake: begun + 78*minute + 10*second},
			{at: begun + 79*minute, what: "REPLY", by: "b", holds: held, wake: begun + 108*minute},
			{at: begun + 108*minute, what: "tick", says: "RENEW to b 2001:db8::7", holds: held, wake: begun + 108*minute + 10*second},
			{at: begun + 126*minute, what: "tick", says: "REBIND 2001:db8::7", holds: held, wake: begun + 126*minute + 10*second},
			{at: begun + 138*minute, what: "tick", says: "SOLICIT 2001:db8::7", holds: held, wake: begun + 138*minute + second},
			{at: begun + 139*minute, what: "ADVERTISE", by: "b", lends: []string{"2001:db8::8 60 60"}, holds: held,
				says: "REQUEST to b 2001:db8::8", wake: begun + 139*minute + second},
			{at: begun + 139*minute, what: "REPLY", by: "b", lends: []string{"2001:db8::8 60 60"}, holds: "2001:db8::8",
				wake: begun + 169*minute},
		}...)},
		"nobody answers: the question is repeated, less and less often": {events: []event6{
			{at: 0, what: "managed", wake: -1},
			{at: 0, what: "up", wake: soon},
			{at: soon, what: "tick", says: solicit, wake: soon + second},
			{at: soon + second, what: "tick", says: solicit, wake: soon + 3*second},
			{at: hour, what: "tick", says: solicit, wake: hour + 4*second},
			{at: 2 * hour, what: "tick", says: solicit, wake: 2*hour + 8*second},
		}},
		"the server that most is thought of is asked": {events: []event6{
			{at: 0, what: "managed", wake: -1},
			{at: 0, what: "up", wake: soon},
			{at: soon, what: "tick", says: solicit, wake: soon + second},
			{at: soon, what: "ADVERTISE", wake: soon + second},
			{at: soon, what: "ADVERTISE", by: "b", preference: 9, wake: soon + second},
			{at: soon, what: "ADVERTISE", by: "c", preference: 3, wake: soon + second},
			{at: soon + second, what: "tick", says: "REQUEST to b 2001:db8::7", wake: soon + 2*second},
			{at: soon + second, what: "REPLY", wake: soon + 2*second},
			{at: soon + second, what: "REPLY", by: "b", holds: held, wake: begun + 30*minute},
		}},
		"nobody is waited for beside a server that is sure of itself": {events: []event6{
			{at: 0, what: "managed", wake: -1},
			{at: 0, what: "up", wake: soon},
			{at: soon, what: "tick", says: solicit, wake: soon + second},
			{at: soon, what: "ADVERTISE", preference: 255, says: request, wake: soon + second},
		}},
		"after the first pause the first offer is taken; one without an address is none": {events: []event6{
			{at: 0, what: "managed", wake: -1},
			{at: 0, what: "up", wake: soon},
			{at: soon, what: "tick", says: solicit, wake: soon + second},
			{at: soon + second, what: "tick", says: solicit, wake: soon + 3*second},
			{at: 2 * second, what: "ADVERTISE", status: iana.StatusNoAddrsAvail, wake: soon + 3*second},
			{at: 2 * second, what: "ADVERTISE", lends: []string{"ff02::1 60 60", "fe80::1 60 60"}, wake: soon + 3*second},
			{at: 2 * second, what: "ADVERTISE", says: request, wake: 3 * second},
		}},
		"a server that refuses what it has offered is asked again after a while": {events: append(got()[:5], []event6{
			{at: 2 * second, what: "REPLY", status: iana.StatusNoAddrsAvail, wake: 12 * second},
			{at: 12 * second, what: "tick", says: solicit, wake: 13 * second},
			{at: 12 * second, what: "ADVERTISE", preference: 255, says: request, wake: 13 * second},
			{at: 12 * second, what: "REPLY", status: iana.StatusNotOnLink, wake: 32 * second},
		}...)},
		"a server that wants to be asked by multicast, or fails, is asked again": {events: append(got()[:5], []event6{
			{at: 2 * second, what: "REPLY", status: iana.StatusUseMulticast, wake: soon + 2*second},
			{at: 2 * second, what: "REPLY", status: iana.StatusUnspecFail, wake: soon + 2*second},
			{at: soon + 2*second, what: "tick", says: request, wake: soon + 4*second},
		}...)},
		"a server that has offered and then is silent is given up": {events: append(got()[:5], []event6{
			{at: minute, what: "tick", says: request, wake: minute + 2*second},
			{at: 2 * minute, what: "tick", says: request, wake: 2*minute + 4*second},
			{at: 3 * minute, what: "tick", says: request, wake: 3*minute + 8*second},
			{at: 4 * minute, what: "tick", says: request, wake: 4*minute + 16*second},
			{at: 5 * minute, what: "tick", says: request, wake: 5*minute + 30*second},
			{at: 6 * minute, what: "tick", says: request, wake: 6*minute + 30*second},
			{at: 7 * minute, what: "tick", says: request, wake: 7*minute + 30*second},
			{at: 8 * minute, what: "tick", says: request, wake: 8*minute + 30*second},
			{at: 9 * minute, what: "tick", says: request, wake: 9*minute + 30*second},
			{at: 10 * minute, what: "tick", says: solicit, wake: 10*minute + second},
		}...)},
		"a server that has forgotten the lease is asked for it again, and the address stays": {events: got([]event6{
			{at: begun + 30*minute, what: "tick", says: again, holds: held, wake: begun + 30*minute + 10*second},
			{at: begun + 30*minute, what: "REPLY", status: iana.StatusNoBinding, says: request, holds: held,
				wake: begun + 30*minute + second},
			{at: begun + 30*minute, what: "REPLY", holds: held, wake: begun + hour},
		}...)},
		"a server that takes the address back is obeyed": {events: got([]event6{
			{at: begun + 30*minute, what: "tick", says: again, holds: held, wake: begun + 30*minute + 10*second},
			{at: begun + 30*minute, what: "REPLY", lends: []string{"2001:db8::7 0 0"}, says: solicit,
				wake: begun + 30*minute + second},
		}...)},
		"a server that renumbers gives another address with the renewal": {events: got([]event6{
			{at: begun + 30*minute, what: "tick", says: again, holds: held, wake: begun + 30*minute + 10*second},
			{at: begun + 30*minute, what: "REPLY", lends: []string{"2001:db8::7 0 0", "2001:db8:1::7 60 60"},
				holds: "2001:db8:1::7", wake: begun + hour},
		}...)},
		"of several addresses the one that is held is kept": {events: got([]event6{
			{at: begun + 30*minute, what: "tick", says: again, holds: held, wake: begun + 30*minute + 10*second},
			{at: begun + 30*minute, what: "REPLY", lends: []string{"2001:db8:1::7 60 60", "2001:db8::7 60 60"},
				holds: held, wake: begun + hour},
		}...)},
		"an address that somebody has is declined until the server has heard it": {events: got([]event6{
			{at: 2 * second, what: "taken", says: "DECLINE to a 2001:db8::7", wake: 3 * second},
			{at: 3 * second, what: "tick", says: "DECLINE to a 2001:db8::7", wake: 5 * second},
			{at: 4 * second, what: "REPLY", wake: 14 * second},
			{at: 14 * second, what: "tick", says: solicit, wake: 15 * second},
		}...)},
		"a decline that nobody hears is given up": {events: got([]event6{
			{at: 2 * second, what: "taken", says: "DECLINE to a 2001:db8::7", wake: 3 * second},
			{at: minute, what: "tick", says: "DECLINE to a 2001:db8::7", wake: minute + 2*second},
			{at: 2 * minute, what: "tick", says: "DECLINE to a 2001:db8::7", wake: 2*minute + 4*second},
			{at: 3 * minute, what: "tick", says: "DECLINE to a 2001:db8::7", wake: 3*minute + 8*second},
			{at: 4 * minute, what: "tick", wake: 4*minute + 10*second},
		}...)},
		"an address from before is kept when the network is the same": {last: lent6(0), held: true, events: []event6{
			{at: minute, what: "up", holds: held, wake: minute + soon},
			{at: minute + soon, what: "tick", says: confirm, holds: held, wake: minute + soon + second},
			{at: minute + second, what: "REPLY", holds: held, wake: 30 * minute},
		}},
		"an address from before is kept when nobody answers": {last: lent6(0), held: true, events: []event6{
			{at: minute, what: "up", holds: held, wake: minute + soon},
			{at: 2 * minute, what: "tick", says: confirm, holds: held, wake: 2*minute + second},
			{at: 3 * minute, what: "tick", says: confirm, holds: held, wake: 3*minute + 2*second},
			{at: 4 * minute, what: "tick", says: confirm, holds: held, wake: 4*minute + 4*second},
			{at: 5 * minute, what: "tick", says: confirm, holds: held, wake: 5*minute + 4*second},
			{at: 6 * minute, what: "tick", holds: held, wake: 30 * minute},
		}},
		"an address of another network is dropped at once": {last: lent6(0), held: true, events: []event6{
			{at: minute, what: "up", holds: held, wake: minute + soon},
			{at: minute + soon, what: "tick", says: confirm, holds: held, wake: minute + soon + second},
			{at: minute + second, what: "REPLY", status: iana.StatusNotOnLink, says: solicit, wake: minute + 2*second},
		}},
		"an address from before a reboot is not used before a server says so": {last: lent6(0), events: []event6{
			{at: minute, what: "up", wake: minute + soon},
			{at: minute + soon, what: "tick", says: confirm, wake: minute + soon + second},
			{at: minute + second, what: "REPLY", holds: held, wake: 30 * minute},
		}},
		"an agent that was away for longer than the lease keeps the address": {last: lent6(-2 * hour), held: true, events: []event6{
			{at: 0, what: "up", holds: held, wake: soon},
			{at: soon, what: "tick", says: "SOLICIT 2001:db8::7", holds: held, wake: soon + second},
			{at: soon, what: "ADVERTISE", status: iana.StatusNoAddrsAvail, holds: held, wake: soon + second},
		}},
		"without a carrier nothing is said, and the address stays when the lease ends": {last: lent6(0), held: true, events: []event6{
			{at: 2 * hour, what: "tick", holds: held, wake: -1},
			{at: 2 * hour, what: "up", holds: held, wake: 2*hour + soon},
		}},
		"nobody is asked before a router says that there is something": {events: []event6{
			{at: 0, what: "up", wake: -1},
			{at: 0, what: "nothing", wake: -1},
			{at: minute, what: "other", wake: minute + soon},
			{at: minute + soon, what: "tick", says: "INFORMATION-REQUEST", wake: minute + soon + second},
			{at: minute + soon, what: "REPLY", holds: "no address", wake: minute + soon + 24*hour},
			{at: hour, what: "managed", holds: "no address", wake: hour + soon},
			{at: hour + soon, what: "tick", says: solicit, holds: "no address", wake: hour + soon + second},
			{at: hour + soon, what: "other", holds: "no address", wake: hour + soon + second},
			{at: hour + soon, what: "ADVERTISE", preference: 255, says: request, holds: "no address", wake: hour + soon + second},
			{at: hour + soon, what: "REPLY", holds: held, wake: hour + soon + 30*minute},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inTheMiddle := func() uint32 { return 100 } // of what the pauses are off by
			m := newMachine6("eth1", id6(), inTheMiddle, test.last, test.held)
			for n, e := range test.events {
				at := fmt.Sprintf("event %d, %s at %s", n, e.what, e.at)
				require.Equal(t, e.says, spoken6(e.tell(t, m)), at)
				require.Equal(t, e.holds, holding(m.held()), at)
				if e.wake < 0 {
					require.True(t, m.wake().IsZero(), at)
					continue
				}
				require.Equal(t, e.wake, m.wake().Sub(noon()), at)
			}
		})
	}
}

// holding names what is held.
func holding(l *Lease) string {
	switch {
	case l == nil:
		return ""
	case !l.Address.IsValid():
		return "no address"
	}
	return l.Address.Addr().String()
}

func TestMachine6HearsOnlyItsOwn(t *testing.T) {
	tests := map[string]func(*dhcpv6.Message){
		"an answer to another question":   func(a *dhcpv6.Message) { a.TransactionID[0]++ },
		"an answer to another client":     func(a *dhcpv6.Message) { a.UpdateOption(dhcpv6.OptClientID(duid6("x"))) },
		"an answer to nobody":             func(a *dhcpv6.Message) { a.Options.Del(dhcpv6.OptionClientID) },
		"an offer that names no server":   func(a *dhcpv6.Message) { a.Options.Del(dhcpv6.OptionServerID) },
		"a lease that nobody offered":     func(a *dhcpv6.Message) { a.MessageType = dhcpv6.MessageTypeReply },
		"an offer for another link of us": func(a *dhcpv6.Message) { a.Options.OneIANA().IaId[0]++ },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine6("eth1", id6(), func() uint32 { return 100 }, nil, false)
			m.setScope(noon(), everything)
			m.setUp(noon(), true)
			require.Len(t, m.tick(noon().Add(time.Second)), 1)
			a := event6{what: "ADVERTISE"}.answerTo(t, m)
			spoil(a)
			m.receive(noon(), a)
			assert.Equal(t, selecting, m.phase)
			assert.Nil(t, m.offer)
			assert.Nil(t, m.lease)
		})
	}
}
