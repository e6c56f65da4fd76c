// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/stretchr/testify/assert"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// Whatever a server says, a lease made of it has an order of times, and steps the kernel can be given.
func FuzzReadLease(f *testing.F) {
	f.Add(acknowledged().ToBytes())
	f.Add(acknowledged(
		dhcpv4.OptClasslessStaticRoute(route("10.0.0.0/8", "192.0.2.3"), route("198.51.100.0/24", "0.0.0.0")),
		dhcpv4.OptDomainName("example.com"),
	).ToBytes())
	f.Fuzz(func(t *testing.T, message []byte) {
		ack, err := dhcpv4.FromBytes(message)
		if err != nil {
			return // not a message, so nobody passes it on
		}
		l, err := readLease("eth1", mac(1), ack, noon())
		if err != nil {
			return
		}
		assert.True(t, usable(l.Address.Addr()))
		assert.True(t, 0 <= l.Renew && l.Renew <= l.Rebind && l.Rebind <= l.Length, "%s %s %s", l.Renew, l.Rebind, l.Length)
		for _, step := range place(with(netstate.TypeEthernet, nil), "eth1", nil, &l, netstate.IP{}) {
			if r := step.To.Route; r != nil {
				assert.True(t, r.Destination.IsValid() && r.Destination == r.Destination.Masked(), r.Destination)
				assert.True(t, !r.NextHopAddress.IsValid() || r.NextHopAddress.Is4())
			}
			if a := step.To.Address; a != nil {
				assert.True(t, a.Dynamic())
			}
		}
		for _, domain := range l.Search {
			assert.NotContains(t, domain, "\n")
		}
	})
}
