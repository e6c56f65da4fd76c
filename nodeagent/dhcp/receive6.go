// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"errors"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// receive takes a message from the network. What is no answer to the last question is ignored.
func (m *machine6) receive(now time.Time, message *dhcpv6.Message) {
	client, server := message.Options.ClientID(), message.Options.ServerID()
	if !m.listening() || message.TransactionID != m.xid || client == nil || !client.Equal(m.id.duid) || server == nil {
		return
	}
	if message.MessageType == dhcpv6.MessageTypeAdvertise && m.phase == selecting {
		m.consider(now, message)
	}
	if message.MessageType != dhcpv6.MessageTypeReply {
		return
	}
	switch m.phase {
	case requesting:
		if slices.Equal(m.offer.ServerID, server.ToBytes()) { // and not of those whose offers were not taken
			m.granted(now, message)
		}
	case renewing, rebinding:
		m.granted(now, message)
	case rebooting:
		m.confirmed(now, readAnswer(m.id.iaid, message).status)
	case declining:
		m.retreat(now)
	case informing:
		m.inform(now, message)
	}
}

// consider takes an offer. Within the pause after the first question the server with the highest preference is chosen,
// after that the first that answers.
func (m *machine6) consider(now time.Time, message *dhcpv6.Message) {
	if readAnswer(m.id.iaid, message).status != iana.StatusSuccess {
		return // NoAddrsAvail, above all; another server may have one
	}
	offer, err := m.id.readLease6(m.link, message, m.last, now)
	if err != nil {
		return
	}
	const certain = 255
	preference := message.Options.Preference()
	if m.offer == nil || preference > m.preference {
		m.offer, m.preference = &offer, preference
	}
	if m.preference == certain || m.tries > 1 {
		m.next = now // and advance requests it
	}
}

// granted takes the answer of a server that was asked for an address or for more time.
func (m *machine6) granted(now time.Time, message *dhcpv6.Message) {
	answer := readAnswer(m.id.iaid, message)
	asking := m.phase == requesting
	switch {
	case answer.status == iana.StatusNoBinding && !asking: // it has forgotten the lease: may it be made again?
		offer := *m.lease
		offer.ServerID = answer.server.ToBytes()
		m.enter(requesting, now)
		m.offer = &offer
	case asking && (answer.status == iana.StatusNoAddrsAvail || answer.status == iana.StatusNoBinding ||
		answer.status == iana.StatusNotOnLink):
		m.retreat(now)
	case answer.status != iana.StatusSuccess:
		// UnspecFail, or UseMulticast, which is how everything is sent: it is asked again
	default:
		m.lend(now, message)
	}
}

// lend takes the lease that a message has.
func (m *machine6) lend(now time.Time, message *dhcpv6.Message) {
	lease, err := m.id.readLease6(m.link, message, m.last, m.since)
	switch {
	case errors.Is(err, errWithdrawn):
		m.lose(now)
	case err == nil:
		m.take(&lease)
	}
}

// confirmed goes on with the address from before, or without it where the network has another prefix.
func (m *machine6) confirmed(now time.Time, status iana.StatusCode) {
	switch status {
	case iana.StatusSuccess:
		m.take(m.last)
	case iana.StatusNotOnLink:
		m.lose(now)
	}
}

// lose begins without an address.
func (m *machine6) lose(now time.Time) {
	m.lease, m.last = nil, nil
	m.enter(selecting, now)
}

// How often the rest is asked for again, unless the server says when (RFC 8415, 21.23).
const (
	refreshPause    = 24 * time.Hour
	minRefreshPause = 10 * time.Minute
)

// inform takes what is known without a lease.
func (m *machine6) inform(now time.Time, message *dhcpv6.Message) {
	m.info = information(m.link, m.id.mac, message, now)
	m.phase = informed
	m.next = now.Add(max(message.Options.InformationRefreshTime(refreshPause), minRefreshPause))
}
