// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/rfc1035label"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// acknowledged returns a plain acknowledgement, changed by options.
func acknowledged(options ...dhcpv4.Option) *dhcpv4.DHCPv4 {
	m := newMachine("eth1", identity{mac: mac(1)}, func() uint32 { return 1 }, nil, false)
	return answer(m, dhcpv4.MessageTypeAck, "192.0.2.1", options...)
}

func route(destination, router string) *dhcpv4.Route {
	_, network, _ := net.ParseCIDR(destination)
	return &dhcpv4.Route{Dest: network, Router: net.ParseIP(router)}
}

func TestReadLease(t *testing.T) {
	viaRouter := []Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("192.0.2.1")}}
	tests := map[string]struct {
		options []dhcpv4.Option
		want    func(*Lease)
	}{
		"a lease says when it is renewed, or it is half its time": {
			want: func(*Lease) {},
		},
		"a server may say when": {
			options: []dhcpv4.Option{dhcpv4.OptRenewTimeValue(time.Minute), dhcpv4.OptRebindingTimeValue(time.Minute * 2)},
			want:    func(l *Lease) { l.Renew, l.Rebind = time.Minute, 2*time.Minute },
		},
		"but not anything": {
			options: []dhcpv4.Option{dhcpv4.OptRenewTimeValue(2 * time.Hour), dhcpv4.OptRebindingTimeValue(time.Minute)},
			want:    func(*Lease) {},
		},
		"a lease without an end has one the kernel can count to": {
			options: []dhcpv4.Option{dhcpv4.OptIPAddressLeaseTime((1<<32 - 1) * time.Second)},
			want:    func(l *Lease) { l.Length, l.Renew, l.Rebind = maxLifetime, maxLifetime/2, maxLifetime/8*7 },
		},
		"the first router is the gateway": {
			options: []dhcpv4.Option{dhcpv4.OptRouter(net.IPv4(192, 0, 2, 1), net.IPv4(192, 0, 2, 2))},
			want:    func(l *Lease) { l.Routes = viaRouter },
		},
		"classless routes make routers void, and 0.0.0.0 is the link itself": {
			options: []dhcpv4.Option{
				dhcpv4.OptRouter(net.IPv4(192, 0, 2, 1)),
				dhcpv4.OptClasslessStaticRoute(
					route("10.0.0.0/8", "192.0.2.3"), route("198.51.100.0/24", "0.0.0.0"), route("10.1.0.0/16", "224.0.0.1")),
			},
			want: func(l *Lease) {
				l.Routes = []Route{
					{Destination: netip.MustParsePrefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("192.0.2.3")},
					{Destination: netip.MustParsePrefix("198.51.100.0/24")},
				}
			},
		},
		"broken classless routes do not": {
			options: []dhcpv4.Option{
				dhcpv4.OptRouter(net.IPv4(192, 0, 2, 1)), dhcpv4.OptGeneric(dhcpv4.OptionClasslessStaticRoute, []byte{33, 1, 2}),
			},
			want: func(l *Lease) { l.Routes = viaRouter },
		},
		"name servers that are none are left out": {
			options: []dhcpv4.Option{dhcpv4.OptDNS(net.IPv4(192, 0, 2, 53), net.IPv4zero, net.IPv4bcast)},
			want:    func(l *Lease) { l.DNS = []netip.Addr{netip.MustParseAddr("192.0.2.53")} },
		},
		"the domain is where to search": {
			options: []dhcpv4.Option{dhcpv4.OptDomainName("example.com")},
			want:    func(l *Lease) { l.Search = []string{"example.com"} },
		},
		"unless there is a list for that": {
			options: []dhcpv4.Option{
				dhcpv4.OptDomainName("example.com"),
				dhcpv4.OptDomainSearch(&rfc1035label.Labels{Labels: []string{"a.example.com", "b.example.com"}}),
			},
			want: func(l *Lease) { l.Search = []string{"a.example.com", "b.example.com"} },
		},
		"nobody smuggles lines into a file": {
			options: []dhcpv4.Option{dhcpv4.OptDomainName("fine.example bad\x00one a..b #x -")},
			want:    func(l *Lease) { l.Search = []string{"fine.example", "-"} },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := *lent(0)
			test.want(&want)
			have, err := readLease("eth1", mac(1), acknowledged(test.options...), noon())
			require.NoError(t, err)
			assert.Equal(t, want, have)
		})
	}
}

func TestReadLeaseRefuses(t *testing.T) {
	tests := map[string]struct {
		spoil func(*dhcpv4.DHCPv4)
		want  string
	}{
		"no address": {
			func(a *dhcpv4.DHCPv4) { a.YourIPAddr = net.IPv4zero }, "0.0.0.0 cannot be the address of a link",
		},
		"a loopback address": {
			func(a *dhcpv4.DHCPv4) { a.YourIPAddr = net.IPv4(127, 0, 0, 1) }, "127.0.0.1 cannot be the address of a link",
		},
		"a lease of no time": {
			func(a *dhcpv4.DHCPv4) { a.DeleteOption(dhcpv4.OptionIPAddressLeaseTime) },
			"the message does not say how long the lease lasts",
		},
		"a mask with holes": {
			func(a *dhcpv4.DHCPv4) { a.UpdateOption(dhcpv4.OptSubnetMask(net.IPv4Mask(255, 0, 255, 0))) },
			"255.0.255.0 is not the mask of a network",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ack := acknowledged()
			test.spoil(ack)
			_, err := readLease("eth1", mac(1), ack, noon())
			require.EqualError(t, err, test.want)
		})
	}
}

func TestIdentity(t *testing.T) {
	tests := map[string]struct {
		text *string
		want []byte
	}{
		"nothing said is the MAC":         {nil, []byte{1, 2, 0, 0, 0, 0, 1}},
		"so is ll":                        {new("ll"), []byte{1, 2, 0, 0, 0, 0, 1}},
		"iaid+duid is made of the MAC":    {new("iaid+duid"), []byte{255, 0, 0, 0, 1, 0, 3, 0, 1, 2, 0, 0, 0, 0, 1}},
		"bytes are bytes":                 {new("01:2:aB"), []byte{1, 2, 0xab}},
		"any other text has a zero first": {new("node:7x"), []byte("\x00node:7x")},
		"a single byte is a text":         {new("ab"), []byte("\x00ab")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, clientID(test.text, mac(1))) })
	}
}

func TestHostname(t *testing.T) {
	const plain, qualified = 12, 81
	tests := map[string]struct {
		send   *bool
		custom *string
		option uint8
		want   string
	}{
		"the node's name without its domain": {option: plain, want: "node01"},
		"a name of its own":                  {custom: new("door"), option: plain, want: "door"},
		"a name with dots is a domain name": {
			custom: new("door.example"), option: qualified, want: "\x05\x00\x00\x04door\x07example\x00",
		},
		"an empty name is the node's": {custom: new(""), send: new(true), option: plain, want: "node01"},
		"none":                        {custom: new("door"), send: new(false)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			orders := ordersOf(netstate.IP{DHCP: new(true), DHCPSendHostname: test.send, DHCPCustomHostname: test.custom})
			m := identify(mac(1), orders, "node01.example.com").question(dhcpv4.MessageTypeDiscover, dhcpv4.TransactionID{}, 0)
			for _, code := range []uint8{plain, qualified} {
				want := ""
				if code == test.option {
					want = test.want
				}
				assert.Equal(t, want, string(m.Options[code]), code)
			}
		})
	}
}

func TestStore(t *testing.T) {
	s := store{folder: filepath.Join(t.TempDir(), "leases")}
	none, err := s.load("eth1")
	require.NoError(t, err)
	assert.Nil(t, none, "before the folder exists")
	require.NoError(t, s.remove("eth1"))

	l := *lent(0)
	l.ClientID, l.Search, l.DNS = []byte{1, 2}, []string{"example.com"}, []netip.Addr{l.Server}
	l.Routes = routed().Routes
	require.NoError(t, s.save(l))
	have, err := s.load("eth1")
	require.NoError(t, err)
	assert.Equal(t, &l, have)
	links, err := s.links()
	require.NoError(t, err)
	assert.Equal(t, []string{"eth1"}, links)

	require.NoError(t, os.WriteFile(s.path("eth2"), []byte("{"), 0o600))
	broken, err := s.load("eth2")
	require.NoError(t, err)
	assert.Nil(t, broken, "half a file is none")
	require.NoError(t, s.remove("eth1"))
	gone, err := s.load("eth1")
	require.NoError(t, err)
	assert.Nil(t, gone)
}
