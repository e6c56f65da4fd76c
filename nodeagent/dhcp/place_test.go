// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// routed returns a lease with a default route, one more route, and a gateway that is not in the lease's network.
func routed() *Lease {
	l := lent(0)
	l.Routes = []Route{
		{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("192.0.2.1")},
		{Destination: netip.MustParsePrefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("198.51.100.1")},
	}
	return l
}

// with returns a node with one link, its IPv4 addresses and some routes.
func with(kind netstate.LinkType, addresses []netstate.Address, running ...netstate.Route) netstate.State {
	return netstate.State{
		Interfaces: []netstate.Interface{{Name: "eth1", Type: kind, IPv4: &netstate.IP{Address: addresses}}},
		Routes:     netstate.Routes{Running: running},
	}
}

func renewable(cidr string, left uint32) netstate.Address {
	p := netip.MustParsePrefix(cidr)
	return netstate.Address{IP: p.Addr(), PrefixLength: p.Bits(), ValidLifeTime: left, PreferredLifeTime: left}
}

// lines returns steps in words, one a line.
func lines(steps []netstate.Step) []string {
	words := make([]string, 0, len(steps))
	for _, step := range steps {
		word := strings.TrimSpace(netstate.Format([]netstate.Step{step}))
		if step.From.Address != nil && step.To.Address != nil {
			word = "~ more time for " + step.To.Address.Prefix().String()
		}
		words = append(words, word)
	}
	return words
}

// after returns the node with all steps done, as the kernel would show it.
func after(s netstate.State, steps []netstate.Step) netstate.State {
	addresses, running := s.Interfaces[0].IPv4.Address, s.Routes.Running
	for _, step := range steps {
		if step.To.Address != nil && step.From.Address == nil {
			addresses = append(addresses, *step.To.Address)
		}
		if step.To.Route != nil {
			running = append(running, *step.To.Route)
		}
	}
	return with(s.Interfaces[0].Type, addresses, running...)
}

func TestPlace(t *testing.T) {
	theirs := netstate.Route{
		Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHopInterface: "eth0",
		NextHopAddress: netip.MustParseAddr("203.0.113.1"),
		Metric:         new(100), TableID: new(254), Protocol: protocolDHCP,
	}
	vrf := with(netstate.TypeEthernet, nil)
	vrf.Interfaces = append(vrf.Interfaces, netstate.Interface{
		Name: "blue", Type: netstate.TypeVRF, VRF: &netstate.VRF{Port: []string{"eth1"}, RouteTableID: new(77)}})
	const (
		address = "+ eth1 address 192.0.2.7/24"
		gateway = "+ route 198.51.100.1/32 through eth1 from 192.0.2.7 metric 100"
		all     = "+ route default (0.0.0.0/0) via 192.0.2.1 through eth1 from 192.0.2.7 metric 100"
		ten     = "+ route 10.0.0.0/8 via 198.51.100.1 through eth1 from 192.0.2.7 metric 100"
	)
	bare := with(netstate.TypeEthernet, nil)
	placed := after(bare, place(bare, "eth1", nil, routed(), netstate.IP{}))
	moved := routed()
	moved.Address, moved.Routes = netip.MustParsePrefix("192.0.2.9/24"), nil
	tests := map[string]struct {
		current netstate.State
		was, is *Lease
		orders  netstate.IP
		want    []string
	}{
		"a lease brings its address, and what a gateway is reached by comes before its routes": {
			current: with(netstate.TypeEthernet, nil), is: routed(), want: []string{address, gateway, all, ten},
		},
		"a lease that is renewed changes nothing": {
			current: placed, was: routed(), is: routed(), want: []string{},
		},
		"a lease that ends takes all it brought": {
			current: placed, was: routed(), want: []string{
				"- route 10.0.0.0/8 via 198.51.100.1 through eth1 from 192.0.2.7 metric 100",
				"- route default (0.0.0.0/0) via 192.0.2.1 through eth1 from 192.0.2.7 metric 100",
				"- route 198.51.100.1/32 through eth1 from 192.0.2.7 metric 100",
				"- eth1 address 192.0.2.7/24",
			},
		},
		"another address replaces the first": {
			current: with(netstate.TypeEthernet, []netstate.Address{renewable("192.0.2.7/24", 60)}), was: lent(0), is: moved,
			want: []string{"- eth1 address 192.0.2.7/24", "+ eth1 address 192.0.2.9/24"},
		},
		"an address that has become static stays when the lease ends": {
			current: with(netstate.TypeEthernet, []netstate.Address{renewable("192.0.2.7/24", 0)}),
			was:     lent(0),
			want:    []string{},
		},
		"an address that is static anyway is not given an end": {
			current: with(netstate.TypeEthernet, []netstate.Address{renewable("192.0.2.7/24", 0)}),
			is:      lent(0),
			want:    []string{},
		},
		"what the kernel has removed already is not removed": {
			current: with(netstate.TypeEthernet, nil), was: routed(), want: []string{},
		},
		"no gateway": {
			current: with(netstate.TypeEthernet, nil), is: routed(), orders: netstate.IP{AutoGateway: new(false)},
			want: []string{address, gateway, ten},
		},
		"no routes": {
			current: with(netstate.TypeEthernet, nil), is: routed(), orders: netstate.IP{AutoRoutes: new(false)},
			want: []string{address, all},
		},
		"neither gateway nor routes, although they were there": {
			current: placed, was: routed(), is: routed(), orders: netstate.IP{AutoGateway: new(false), AutoRoutes: new(false)},
			want: []string{
				"- route 10.0.0.0/8 via 198.51.100.1 through eth1 from 192.0.2.7 metric 100",
				"- route default (0.0.0.0/0) via 192.0.2.1 through eth1 from 192.0.2.7 metric 100",
				"- route 198.51.100.1/32 through eth1 from 192.0.2.7 metric 100",
			},
		},
		"another table has the link's network too": {
			current: with(netstate.TypeEthernet, nil), is: routed(),
			orders: netstate.IP{AutoRoutes: new(false), AutoRouteTableID: new(100), AutoRouteMetric: new(7)},
			want: []string{
				address, "+ route 192.0.2.0/24 through eth1 from 192.0.2.7 table 100 metric 7",
				"+ route default (0.0.0.0/0) via 192.0.2.1 through eth1 from 192.0.2.7 table 100 metric 7",
			},
		},
		"the routes of a port of a VRF are in its table": {
			current: vrf, is: routed(), orders: netstate.IP{AutoRoutes: new(false)},
			want: []string{address, "+ route default (0.0.0.0/0) via 192.0.2.1 through eth1 from 192.0.2.7 table 77 metric 100"},
		},
		"real links are preferred to virtual ones": {
			current: with(netstate.TypeVLAN, nil), is: routed(), orders: netstate.IP{AutoRoutes: new(false)},
			want: []string{address, strings.ReplaceAll(all, "metric 100", "metric 400")},
		},
		"a route that is there by another link gets company": {
			current: with(netstate.TypeEthernet, nil, theirs), is: routed(), orders: netstate.IP{AutoRoutes: new(false)},
			want: []string{address, strings.ReplaceAll(all, "metric 100", "metric 101")},
		},
		"routes of other links and other makers stay": {
			current: with(netstate.TypeEthernet, nil, theirs, netstate.Route{
				Destination: netip.MustParsePrefix("10.0.0.0/8"), NextHopInterface: "eth1",
				Metric: new(0), TableID: new(254), Protocol: 4,
			}),
			was: routed(), want: []string{},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, lines(place(test.current, "eth1", test.was, test.is, test.orders)))
		})
	}
}

func TestAnAddressHasNoEndToSpeakOfWhateverItsLeaseSays(t *testing.T) {
	address := lent(0).address()
	assert.Equal(t, uint32(1<<32-2), address.ValidLifeTime, "the kernel takes 2^32-1 for forever, which is a static address")
	assert.Equal(t, uint32(1<<32-2), address.PreferredLifeTime)
}
