// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A door is a probe that answers from a time after its first question on, and until then says no at once, or
// is silent.
type door struct {
	name   string
	opens  time.Duration
	silent bool
	first  time.Time
	asked  int
}

func (d *door) String() string { return d.name }

func (d *door) Ask(ctx context.Context) error {
	d.asked++
	if d.asked == 1 {
		d.first = time.Now()
	}
	if time.Since(d.first) >= d.opens {
		return nil
	}
	if d.silent {
		<-ctx.Done()
		return errors.New("silence")
	}
	return errors.New("closed")
}

const never = 1000 * time.Hour

func TestBefore(t *testing.T) {
	tests := map[string]struct {
		probes Probes
		want   []string
		takes  time.Duration
	}{
		"nothing to ask takes no time": {takes: 0},
		"all that answer are chosen": {
			probes: Probes{Optional: []Probe{&door{name: "gateway"}, &door{name: "DNS"}}}, want: []string{"gateway", "DNS"},
		},
		"one that is slow is waited for": {
			probes: Probes{Optional: []Probe{&door{name: "DNS", opens: 500 * time.Millisecond}}},
			want:   []string{"DNS"}, takes: 600 * time.Millisecond,
		},
		"one that does not answer is not chosen, and costs no more than patience": {
			probes: Probes{Optional: []Probe{&door{name: "gateway", opens: never, silent: true}, &door{name: "DNS"}}},
			want:   []string{"DNS"}, takes: 2 * time.Second,
		},
		"patience is for all together": {
			probes: Probes{Patience: time.Second, Optional: []Probe{&door{opens: never}, &door{opens: never, silent: true}}},
			takes:  time.Second,
		},
		"where there is nobody to ask nobody is waited for": {
			probes: Probes{Optional: []Probe{gateway{node: node{}}, DNS(node{}), &door{name: "DNS"}}}, want: []string{"DNS"},
		},
		"what is asked always is not asked before": {
			probes: Probes{Always: []Probe{&door{name: "API server", opens: never}}, Optional: []Probe{&door{name: "DNS"}}},
			want:   []string{"API server", "DNS"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				chosen := test.probes.Before(t.Context())
				assert.Equal(t, test.takes, time.Since(begun))
				var names []string
				for _, p := range chosen.Probes {
					names = append(names, p.String())
				}
				assert.Equal(t, test.want, names)
			})
		})
	}
}

func TestAfter(t *testing.T) {
	tests := map[string]struct {
		probes []Probe
		want   string
		takes  time.Duration
	}{
		"nothing was chosen": {},
		"everything answers": {probes: []Probe{&door{}, &door{}}},
		"a network that needs a moment gets it": {
			probes: []Probe{&door{opens: 3 * time.Second}, &door{opens: 4 * time.Second, silent: true}},
			takes:  4800 * time.Millisecond,
		},
		"what does not answer is named in one line": {
			probes: []Probe{
				&door{name: "API server https://192.0.2.1:6443", opens: never}, &door{name: "DNS"},
				&door{name: "default gateway", opens: never, silent: true},
			},
			want:  "no answer from API server https://192.0.2.1:6443 (closed), default gateway (silence)",
			takes: 10 * time.Second,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				begun := time.Now()
				err := Chosen{Probes: test.probes, Attempt: time.Second}.After(ctx)
				assert.Equal(t, test.takes, time.Since(begun))
				if test.want == "" {
					require.NoError(t, err)
					return
				}
				var lost *LostError
				require.ErrorAs(t, err, &lost)
				require.EqualError(t, err, test.want)
			})
		})
	}
}

// A node is a state that can be read.
type node struct {
	state netstate.State
	err   error
}

func (n node) Read() (netstate.State, error) { return n.state, n.err }

// via returns a default route.
func via(link, gateway string, metric int) netstate.Route {
	addr := netip.MustParseAddr(gateway)
	all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if addr.Is6() {
		all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netstate.Route{
		Destination: all, NextHopInterface: link, NextHopAddress: addr, Metric: &metric, TableID: new(netstate.TableMain),
	}
}

func TestGateways(t *testing.T) {
	elsewhere := via("eth0", "192.0.2.1", 0)
	elsewhere.TableID = new(100)
	narrow := via("eth0", "192.0.2.1", 0)
	narrow.Destination = netip.MustParsePrefix("10.0.0.0/8")
	tests := map[string]struct {
		routes []netstate.Route
		ipv6   bool
		want   []string
	}{
		"no routes": {want: []string{}},
		"the default route": {
			routes: []netstate.Route{narrow, via("eth0", "192.0.2.1", 100)}, want: []string{"192.0.2.1 through eth0"},
		},
		"the best one, wherever it is": {
			routes: []netstate.Route{via("eth0", "192.0.2.1", 100), via("br0", "192.0.2.2", 50), via("eth1", "192.0.2.3", 70)},
			want:   []string{"192.0.2.2 through br0"},
		},
		"several that are equally good": {
			routes: []netstate.Route{via("eth0", "192.0.2.1", 0), via("eth1", "192.0.2.2", 0)},
			want:   []string{"192.0.2.1 through eth0", "192.0.2.2 through eth1"},
		},
		"not of another table": {
			routes: []netstate.Route{elsewhere}, want: []string{},
		},
		"not those without a gateway": {
			routes: []netstate.Route{via("ppp0", "0.0.0.0", 0)}, want: []string{},
		},
		"the other IP version on its own": {
			routes: []netstate.Route{via("eth0", "192.0.2.1", 0), via("eth0", "fe80::1", 1024)}, ipv6: true,
			want: []string{"fe80::1 through eth0"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			have := []string{}
			for _, g := range gateways(netstate.State{Routes: netstate.Routes{Running: test.routes}}, test.ipv6) {
				have = append(have, g.String())
			}
			assert.Equal(t, test.want, have)
		})
	}
}

func TestAGatewayAnswersIfOneDoes(t *testing.T) {
	two := node{state: netstate.State{Routes: netstate.Routes{Running: []netstate.Route{
		via("eth0", "192.0.2.1", 0), via("eth1", "192.0.2.2", 0),
	}}}}
	answering := func(links ...string) func(context.Context, string, netip.Addr) error {
		return func(_ context.Context, link string, _ netip.Addr) error {
			for _, l := range links {
				if l == link {
					return nil
				}
			}
			return errors.New("no ARP reply")
		}
	}
	tests := map[string]struct {
		node    node
		resolve func(context.Context, string, netip.Addr) error
		want    []string
	}{
		"both answer":     {two, answering("eth0", "eth1"), nil},
		"the second does": {two, answering("eth1"), nil},
		"none does":       {two, answering(), []string{"192.0.2.1 through eth0: no ARP", "192.0.2.2 through eth1: no ARP"}},
		"there is none":   {node{}, answering(), []string{"there is no default route"}},
		"nobody can tell": {node{err: errors.New("list routes: broken")}, answering(), []string{"list routes: broken"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := gateway{node: test.node, resolve: test.resolve}.Ask(t.Context())
			if test.want == nil {
				require.NoError(t, err)
			}
			for _, text := range test.want {
				require.ErrorContains(t, err, text)
			}
		})
	}
}

func TestNameServers(t *testing.T) {
	dns := func(servers ...string) netstate.State {
		return netstate.State{DNS: netstate.DNS{Running: &netstate.DNSConfig{Server: servers}}}
	}
	assert.Nil(t, nameServers(netstate.State{}))
	assert.Equal(t, []nameServer{"192.0.2.1", "fe80::1%eth0", "192.0.2.3"},
		nameServers(dns("192.0.2.1", "192.0.2.1", "fe80::1%eth0", "192.0.2.3", "192.0.2.4")))
	require.EqualError(t, DNS(node{}).Ask(t.Context()), "there is no name server: nobody to ask")
}

func TestMessages(t *testing.T) {
	us, them := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("192.0.2.1")
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	request := arpRequest(mac, us, them)
	assert.Equal(
		t, []byte{0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 192, 0, 2, 9, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1}, request,
	)
	assert.False(t, isARPReply(request, us), "a request is no reply")
	reply := arpRequest(mac, them, us)
	reply[7] = arpReplies
	assert.True(t, isARPReply(reply, them))
	assert.False(t, isARPReply(reply, us), "a reply of somebody else")
	assert.False(t, isARPReply(reply[:20], them))

	router := netip.MustParseAddr("fe80::1")
	asks := solicitation(mac, router)
	assert.Len(t, asks, 32)
	assert.False(t, isAdvertisement(asks, router), "a question is no answer")
	asks[0] = 136
	assert.True(t, isAdvertisement(asks, router))
	assert.False(t, isAdvertisement(asks, netip.MustParseAddr("fe80::2")))
	assert.False(t, isAdvertisement(asks[:23], router))
}
