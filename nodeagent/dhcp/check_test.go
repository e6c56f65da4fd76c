// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// given returns a machine to which a server has just given 192.0.2.7.
func given(t *testing.T) *machine {
	t.Helper()
	m := newMachine("eth1", identity{mac: mac(1)}, func() uint32 { return 1000 }, nil, false)
	m.setUp(noon(), true)
	for _, kind := range []dhcpv4.MessageType{dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeAck} {
		require.Len(t, m.tick(noon()), 1)
		m.receive(noon(), answer(m, kind, "192.0.2.1"))
	}
	require.Equal(t, checking, m.phase)
	require.Nil(t, m.lease, "it is not used before that")
	return m
}

func TestAnAddressIsCheckedAndAnnouncedBeforeItIsUsed(t *testing.T) {
	m := given(t)
	address := netip.MustParseAddr("192.0.2.7")
	for n := range checkTries {
		out := m.tick(noon().Add(time.Duration(n) * checkPause))
		require.Len(t, out, 1)
		assert.Equal(t, arp{operation: arpRequest, mac: mac(1), target: address}, *out[0].arp)
		assert.Nil(t, m.lease)
	}
	out := m.tick(noon().Add(checkTries * checkPause))
	require.Len(t, out, 1)
	assert.Equal(t, arp{operation: arpRequest, mac: mac(1), sender: address, target: address}, *out[0].arp)
	require.NotNil(t, m.lease)
	assert.Equal(t, noon().Add(30*time.Minute), m.wake())
}

func TestAnAddressThatIsRenewedIsNotCheckedAgain(t *testing.T) {
	m := newMachine("eth1", identity{mac: mac(1)}, func() uint32 { return 1000 }, lent(0), true)
	m.setUp(noon(), true)
	require.Equal(t, "REQUEST for 192.0.2.7", spoken(m.tick(noon())))
	m.receive(noon(), answer(m, dhcpv4.MessageTypeAck, "192.0.2.1"))
	assert.Equal(t, bound, m.phase)
}

func TestWhoHasTheAddress(t *testing.T) {
	address, none, other := netip.MustParseAddr(
		"192.0.2.7",
	), netip.MustParseAddr(
		"0.0.0.0",
	), netip.MustParseAddr(
		"192.0.2.9",
	)
	for name, c := range map[string]struct {
		heard    arp
		conflict bool
	}{
		"a reply from it":                {arp{operation: arpReply, mac: mac(9), sender: address, target: none}, true},
		"a question from it":             {arp{operation: arpRequest, mac: mac(9), sender: address, target: other}, true},
		"somebody else about to take it": {arp{operation: arpRequest, mac: mac(9), sender: none, target: address}, true},
		"our own question":               {arp{operation: arpRequest, mac: mac(1), sender: none, target: address}, false},
		"somebody who asks for it":       {arp{operation: arpRequest, mac: mac(9), sender: other, target: address}, false},
		"another address":                {arp{operation: arpReply, mac: mac(9), sender: other, target: none}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := given(t)
			require.Equal(t, c.conflict, m.receiveARP(noon(), c.heard))
			if !c.conflict {
				return
			}
			out := m.tick(noon())
			require.Equal(t, "DECLINE for 192.0.2.7 of 192.0.2.1", spoken(out))
			assert.Nil(t, m.lease)
			assert.Empty(t, m.tick(noon().Add(declinePause-1)))
			assert.Equal(t, "DISCOVER", spoken(m.tick(noon().Add(declinePause))))
		})
	}
}

func TestARPIsReadAsItIsWritten(t *testing.T) {
	want := arp{
		operation: arpReply,
		mac:       mac(3),
		sender:    netip.MustParseAddr("192.0.2.7"),
		target:    netip.MustParseAddr("192.0.2.9"),
	}
	have, ok := parseARP(want.marshal())
	assert.True(t, ok)
	assert.Equal(t, want, have)
	for _, broken := range [][]byte{nil, want.marshal()[:arpLength-1], append([]byte{9}, want.marshal()[1:]...)} {
		_, ok := parseARP(broken)
		assert.False(t, ok)
	}
}
