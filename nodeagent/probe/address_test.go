// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

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
	const noSix = "no answer from address of the node (2001:db8::7 is on no link that is up)"
	const noFour = "no answer from address of the node (192.0.2.7 is on no link that is up)"
	for name, c := range map[string]struct {
		before, after []netstate.Interface
		// named are the addresses of the Node, and then those after the change.
		named, then []netip.Addr
		err         string
	}{
		"both are there": {
			before: []netstate.Interface{four, six}, after: []netstate.Interface{four, six}, named: both, then: both,
		},
		"one moved to a bridge": {
			before: []netstate.Interface{four, six},
			after:  []netstate.Interface{at("br0", netstate.StateUp, "192.0.2.7/24"), six}, named: both, then: both,
		},
		"one is gone": {
			before: []netstate.Interface{four, six}, after: []netstate.Interface{four}, named: both, then: both, err: noSix,
		},
		"one was not there before": {
			before: []netstate.Interface{four}, after: []netstate.Interface{four}, named: both, then: both,
		},
		"one was not there before, and the other is gone": {
			before: []netstate.Interface{four}, named: both, then: both, err: noFour,
		},
		"one is on a link that is down": {
			before: []netstate.Interface{four, six},
			after:  []netstate.Interface{at("eth0", netstate.StateDown, "192.0.2.7/24"), six},
			named:  both, then: both, err: noFour,
		},
		"another takes its place": {
			before: []netstate.Interface{four}, after: []netstate.Interface{at("eth0", netstate.StateUp, "192.0.2.8/24")},
			named: both[:1], then: both[:1], err: noFour,
		},
		"another takes its place, and kubelet says so": {
			before: []netstate.Interface{four}, after: []netstate.Interface{at("eth0", netstate.StateUp, "192.0.2.8/24")},
			named: both[:1], then: []netip.Addr{netip.MustParseAddr("192.0.2.8")},
		},
		"the Node has a name only": {before: []netstate.Interface{four}},
		"the only IP version is the sixth": {
			before: []netstate.Interface{six}, after: []netstate.Interface{six}, named: both[1:], then: both[1:],
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now, named := &node{state: netstate.State{Interfaces: c.before}}, c.named
				probes := Probes{Optional: Addresses(now, func() []netip.Addr { return named })}
				chosen := probes.Before(t.Context())
				now.state.Interfaces, named = c.after, c.then
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err := chosen.After(ctx)
				if c.err == "" {
					require.NoError(t, err)
					return
				}
				require.EqualError(t, err, c.err)
			})
		})
	}
}
