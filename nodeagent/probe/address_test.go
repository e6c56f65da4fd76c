// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A still node does not change.
type still netstate.State

// Read implements Reader.
func (s still) Read() (netstate.State, error) { return netstate.State(s), nil }

func TestTheNodesAddressesMustStayWhereverTheyMove(t *testing.T) {
	at := func(link string, state netstate.LinkState, cidr string) netstate.Interface {
		prefix := netip.MustParsePrefix(cidr)
		ip := &netstate.IP{Address: []netstate.Address{{IP: prefix.Addr(), PrefixLength: prefix.Bits()}}}
		if prefix.Addr().Is6() {
			return netstate.Interface{Name: link, State: state, IPv6: ip}
		}
		return netstate.Interface{Name: link, State: state, IPv4: ip}
	}
	four, six := at("eth0", netstate.StateUp, "192.0.2.7/24"), at("eth0", netstate.StateUp, "2001:db8::7/64")
	both := []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}
	for name, c := range map[string]struct {
		links  []netstate.Interface
		wanted []netip.Addr
		err    string
	}{
		"both are there":        {links: []netstate.Interface{four, six}, wanted: both},
		"one moved to a bridge": {links: []netstate.Interface{at("br0", netstate.StateUp, "192.0.2.7/24"), six}, wanted: both},
		"one is gone":           {links: []netstate.Interface{four}, wanted: both, err: "2001:db8::7 is on no link that is up"},
		"one is on a link that is down": {
			links: []netstate.Interface{at("eth0", netstate.StateDown, "192.0.2.7/24"), six}, wanted: both, err: "192.0.2.7 is on no link that is up",
		},
		"another takes its place":          {links: []netstate.Interface{at("eth0", netstate.StateUp, "192.0.2.8/24")}, wanted: both[:1], err: "192.0.2.7 is on no link that is up"},
		"the API server was never reached": {links: []netstate.Interface{four}, err: "the Node names no address: nobody to ask"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Addresses(still{Interfaces: c.links}, func() []netip.Addr { return c.wanted }).Ask(t.Context())
			if c.err == "" {
				require.NoError(t, err)
				return
			}
			assert.EqualError(t, err, c.err)
		})
	}
}
