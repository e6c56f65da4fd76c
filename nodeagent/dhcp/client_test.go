// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

func TestWhoRenewsTheAddressesOfALink(t *testing.T) {
	lease := &Lease{Address: netip.MustParsePrefix("192.0.2.7/24")}
	for name, c := range map[string]struct {
		last   *Lease
		life   uint32
		others bool
	}{
		"an address that stays for ever":                         {},
		"an hour that we know nothing of":                        {life: 3600, others: true},
		"an hour by our last lease":                              {life: 3600, last: lease},
		"no end to speak of, by our last lease":                  {life: lifetime - 60, last: lease},
		"no end to speak of, and the lease is forgotten by now":  {life: lifetime - 60},
		"half a day that another program renews, beside a lease": {life: 43200, last: &Lease{}, others: true},
	} {
		t.Run(name, func(t *testing.T) {
			client := client{machine: &machine{last: c.last}}
			address := netstate.Address{IP: lease.Address.Addr(), PrefixLength: 24, ValidLifeTime: c.life}
			assert.Equal(t, c.others, client.renewedByOthers(kernel.Station{Addresses: []netstate.Address{address}}))
		})
	}
}

func TestWhoRenewsTheIPv6AddressesOfALink(t *testing.T) {
	lent := netstate.Address{IP: netip.MustParseAddr("2001:db8::7"), PrefixLength: 128, ValidLifeTime: 3600}
	made := netstate.Address{IP: lent.IP, PrefixLength: 64, ValidLifeTime: 3600}
	forever, ours := lent, lent
	forever.ValidLifeTime, ours.ValidLifeTime = 0, lifetime-60
	for name, c := range map[string]struct {
		address netstate.Address
		last    *Lease
		placed  *Lease
		others  bool
	}{
		"made of what a router says":                     {address: made},
		"one that stays for ever":                        {address: forever},
		"lent to somebody else":                          {address: lent, others: true},
		"lent to somebody else, and another to us":       {address: lent, last: &Lease{}, others: true},
		"by our last lease":                              {address: lent, last: &Lease{Address: lent.Prefix()}},
		"by the lease that is in force":                  {address: lent, placed: &Lease{Address: lent.Prefix()}},
		"no end to speak of, and the lease is forgotten": {address: ours},
	} {
		t.Run(name, func(t *testing.T) {
			client := client{machine: &machine6{last: c.last}, placed: c.placed}
			assert.Equal(t, c.others, client.renewedByOthers(kernel.Station{Addresses: []netstate.Address{c.address}}))
		})
	}
}

// stations are links with their MACs, and no network beside.
type stations map[string]netstate.MAC

func (s stations) Station(link string) (kernel.Station, error) {
	if mac, is := s[link]; is {
		return kernel.Station{Index: 1, MAC: mac}, nil
	}
	return kernel.Station{}, errors.New("no answer")
}

func (s stations) Station6(link string) (kernel.Station, error) { return s.Station(link) }

func (stations) Read() (netstate.State, error) { return netstate.State{}, nil }

func (stations) Do(netstate.Step) error { return nil }

func (stations) Watch(context.Context) (<-chan kernel.Change, error) { return nil, nil }

func TestALeaseGoesOnWhereAnotherLinkHasItsMAC(t *testing.T) {
	four, six := netip.MustParsePrefix("192.0.2.7/24"), netip.MustParsePrefix("2001:db8::7/128")
	for name, c := range map[string]struct {
		lent    netip.Prefix
		running []seat
		on      bool
	}{
		"no client runs":                     {lent: six},
		"at the bridge that took the NIC":    {lent: six, running: []seat{{"br1", true}}, on: true},
		"and its IPv4 lease at that as well": {lent: four, running: []seat{{"br1", false}}, on: true},
		"the bridge asks for IPv4 only":      {lent: six, running: []seat{{"br1", false}}},
		"the bridge asks for IPv6 only":      {lent: four, running: []seat{{"br1", true}}},
		"a link with another MAC":            {lent: six, running: []seat{{"eth2", true}}},
		"a link that cannot be read":         {lent: six, running: []seat{{"gone", true}}},
		"among others":                       {lent: six, running: []seat{{"gone", true}, {"br1", true}}, on: true},
	} {
		t.Run(name, func(t *testing.T) {
			clients := New(Options{Network: stations{"br1": mac(1), "eth2": mac(2)}})
			for _, at := range c.running {
				clients.running[at] = &client{}
			}
			clients.mu.Lock()
			defer clients.mu.Unlock()
			assert.Equal(t, c.on, clients.goesOnLocked(Lease{Link: "eth1", MAC: mac(1), Address: c.lent}))
		})
	}
}
