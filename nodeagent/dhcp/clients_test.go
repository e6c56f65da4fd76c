// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// clientWith returns a client that holds a lease with these name servers and one search domain.
func clientWith(orders netstate.IP, domain string, servers ...string) *client {
	lease := &Lease{Link: domain, Search: []string{domain}}
	for _, server := range servers {
		lease.DNS = append(lease.DNS, netip.MustParseAddr(server))
	}
	c := &client{Wanted: Wanted{Orders: orders}}
	c.held.Store(lease)
	return c
}

func TestTheNodeUsesTheNameServersOfAllLeases(t *testing.T) {
	clients := New(Options{})
	clients.running = map[seat]*client{
		{"eth1", true}:  clientWith(netstate.IP{}, "six", "2001:db8::53", "192.0.2.53"),
		{"eth2", false}: clientWith(netstate.IP{AutoDNS: new(true)}, "b", "192.0.2.54", "192.0.2.53"),
		{"eth1", false}: clientWith(netstate.IP{}, "a", "192.0.2.53"),
		{"eth3", false}: clientWith(netstate.IP{AutoDNS: new(false)}, "c", "192.0.2.55"),
		{"eth4", false}: {},
	}
	assert.Equal(t, netstate.DNSConfig{
		Server: []string{"192.0.2.53", "192.0.2.54", "2001:db8::53"}, Search: []string{"a", "b", "six"},
	}, clients.DNS())
	var links []string
	for _, lease := range clients.Leases() {
		links = append(links, lease.Link)
	}
	assert.Equal(t, []string{"a", "b", "c", "six"}, links, "one without a lease has none, and one may have it for addresses only")
}

func TestWhatAStepOrders(t *testing.T) {
	on, off := &netstate.IP{DHCP: new(true)}, &netstate.IP{DHCP: new(false)}
	four := func(ip *netstate.IP) *netstate.Interface { return &netstate.Interface{IPv4: ip} }
	six := func(ip *netstate.IP) *netstate.Interface { return &netstate.Interface{IPv6: ip} }
	for name, tc := range map[string]struct {
		from, to *netstate.Interface
		want     *netstate.IP
		ipv6     bool
	}{
		"IPv4 begins":               {from: four(off), to: four(on), want: on},
		"IPv4 ends":                 {from: four(on), to: four(off), want: off},
		"IPv6 begins":               {from: six(off), to: six(on), want: on, ipv6: true},
		"IPv6 ends":                 {from: six(on), to: six(off), want: off, ipv6: true},
		"IPv6 ends with its link":   {from: six(on), ipv6: true},
		"IPv4 ends with its link":   {from: four(on)},
		"IPv6 begins on a new link": {to: six(on), want: on, ipv6: true},
		"IPv6 is not told of again": {from: six(on), to: &netstate.Interface{}, ipv6: true},
	} {
		t.Run(name, func(t *testing.T) {
			to, ipv6 := ordered(netstate.Step{
				Kind: netstate.StepDHCP, From: netstate.Value{Link: tc.from}, To: netstate.Value{Link: tc.to},
			})
			assert.Same(t, tc.want, to)
			assert.Equal(t, tc.ipv6, ipv6)
		})
	}
}
