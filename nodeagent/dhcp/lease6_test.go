// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"encoding/hex"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

const machineID = "0123456789abcdef0123456789abcdef"

func TestWhatAnIPv6ClientIsCalled(t *testing.T) {
	earlier := &Lease{ClientID: []byte{0, 1, 0, 1, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1}}
	for name, c := range map[string]struct {
		setting, machineID string
		last               *Lease
		want               string
	}{
		"after its machine":                  {"", machineID, nil, "00044db325446b234a7d90d9c1a5622cdf67"},
		"after its machine, as is said":      {"uuid", machineID, nil, "00044db325446b234a7d90d9c1a5622cdf67"},
		"after its MAC, for want of an ID":   {"", "uninitialized", nil, "00030001020000000001"},
		"after its MAC, as is said":          {"ll", machineID, nil, "00030001020000000001"},
		"after its MAC and the time":         {"llt", machineID, nil, "00010001386f3dc0020000000001"},
		"after its MAC and the time before":  {"llt", machineID, earlier, "0001000100000009020000000001"},
		"by bytes of a type that is known":   {"00:03:00:01:2:0:0:0:0:9", machineID, nil, "00030001020000000009"},
		"by bytes of a type that is unknown": {"00:ff:01:02", machineID, nil, "00ff0102"},
		"by bytes that are no enterprise's":  {"00:02:01", machineID, nil, "000201"},
	} {
		t.Run(name, func(t *testing.T) {
			duid := duidOf(c.setting, mac(1), c.machineID, c.last, noon())
			assert.Equal(t, c.want, hex.EncodeToString(duid.ToBytes()))
		})
	}
}

func TestTheNumberOfAnIPv6LeaseGoesWithItsNetwork(t *testing.T) {
	vlan := netstate.Interface{Name: "eth1.7", VLAN: &netstate.VLAN{BaseIface: new("eth1"), ID: new(7)}}
	bridge := func(name, port string) netstate.Interface {
		ports := []netstate.BridgePort{{Name: port}}
		return netstate.Interface{Name: name, Type: netstate.TypeBridge, Bridge: &netstate.Bridge{Port: ports}}
	}
	state := netstate.State{Interfaces: []netstate.Interface{
		{Name: "eth1"}, vlan, bridge("br1", "eth1"), bridge("br7", "eth1.7"),
	}}
	iaid := func(link string) [4]byte {
		return identify6(mac(1), vlanOf(state, link), netstate.IP{}, "", "", nil, noon()).iaid
	}
	assert.Equal(t, iaid("eth1"), iaid("br1"), "a bridge is its NIC")
	assert.Equal(t, iaid("eth1.7"), iaid("br7"), "and that over a VLAN is the VLAN")
	assert.NotEqual(t, iaid("eth1"), iaid("eth1.7"), "which has the MAC of its base")
}

func TestTheNameOfTheHostIsToldByIPv6(t *testing.T) {
	for name, c := range map[string]struct {
		orders netstate.IP
		want   string
	}{
		"its first label":  {netstate.IP{}, "node01"},
		"another":          {netstate.IP{DHCPCustomHostname: new("db.example.com")}, "db.example.com"},
		"none, as is said": {netstate.IP{DHCPSendHostname: new(false)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			id := identify6(mac(1), 0, c.orders, "node01.example.com", machineID, nil, noon())
			m := id.message(dhcpv6.MessageTypeSolicit, xid6(1), 0)
			id.ask(m)
			received, err := dhcpv6.MessageFromBytes(m.ToBytes())
			require.NoError(t, err)
			have := ""
			if fqdn := received.Options.FQDN(); fqdn != nil {
				have = fqdn.DomainName.Labels[0]
			}
			assert.Equal(t, c.want, have)
		})
	}
}

func TestTheTimesOfAnIPv6Lease(t *testing.T) {
	const m = time.Minute
	const forever = (1<<32 - 1) * time.Second
	for name, c := range map[string]struct {
		t1, t2, preferred, valid time.Duration
		renew, rebind, length    time.Duration
	}{
		"as the server says":                     {10 * m, 20 * m, 30 * m, 60 * m, 10 * m, 20 * m, 60 * m},
		"left to the client":                     {0, 0, 30 * m, 60 * m, 15 * m, 24 * m, 60 * m},
		"the first left to the client":           {0, 20 * m, 30 * m, 60 * m, 15 * m, 20 * m, 60 * m},
		"the second left to the client":          {28 * m, 0, 30 * m, 60 * m, 28 * m, 28 * m, 60 * m},
		"out of order":                           {20 * m, 10 * m, 30 * m, 60 * m, 15 * m, 24 * m, 60 * m},
		"longer than the lease":                  {70 * m, 80 * m, 30 * m, 60 * m, 15 * m, 24 * m, 60 * m},
		"without an end":                         {forever, forever, forever, forever, maxLifetime, maxLifetime, maxLifetime},
		"of an address that is to be used by no": {0, 0, 0, 60 * m, 30 * m, 48 * m, 60 * m},
	} {
		t.Run(name, func(t *testing.T) {
			ia := &dhcpv6.OptIANA{IaId: id6().iaid, T1: c.t1, T2: c.t2}
			ia.Options.Add(&dhcpv6.OptIAAddress{
				IPv6Addr: net.ParseIP("2001:db8::7"), PreferredLifetime: c.preferred, ValidLifetime: c.valid})
			reply := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply}
			reply.AddOption(dhcpv6.OptServerID(duid6("a")))
			reply.AddOption(ia)
			l, err := id6().readLease6("eth1", reply, nil, noon())
			require.NoError(t, err)
			assert.Equal(t, []time.Duration{c.renew, c.rebind, c.length}, []time.Duration{l.Renew, l.Rebind, l.Length})
			assert.Equal(t, c.preferred == 0, l.Deprecated)
		})
	}
}

func TestTheNameServersOfAnIPv6Lease(t *testing.T) {
	reply := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply}
	reply.AddOption(dhcpv6.OptDNS(net.ParseIP("2001:db8::53"), net.ParseIP("fe80::53"), net.ParseIP("ff02::1")))
	dhcpv6.WithDomainSearchList("lab.example", "not a\nname")(reply)
	info := information("eth1", mac(1), reply, noon())
	assert.Equal(t, []netip.Addr{netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("fe80::53%eth1")}, info.DNS)
	assert.Equal(t, []string{"lab.example"}, info.Search)
}

// What a lease becomes on the link: an address, and no route, since routers teach those.
func TestPlaceOfIPv6(t *testing.T) {
	theirs := netstate.Route{
		Destination: netip.MustParsePrefix("10.0.0.0/8"), NextHopInterface: "eth1", Protocol: protocolDHCP,
	}
	state := func(addresses ...netstate.Address) netstate.State {
		return netstate.State{
			Interfaces: []netstate.Interface{{Name: "eth1", IPv6: &netstate.IP{Enabled: new(true), Address: addresses}}},
			Routes:     netstate.Routes{Running: []netstate.Route{theirs}},
		}
	}
	deprecated, other := *lent6(0), *lent6(0)
	deprecated.Deprecated = true
	other.Address = netip.MustParsePrefix("2001:db8::8/128")
	static := lent6(0).address()
	static.ValidLifeTime, static.PreferredLifeTime = 0, 0
	short := lent6(0).address()
	short.ValidLifeTime, short.PreferredLifeTime = 60, 60
	for name, c := range map[string]struct {
		current netstate.State
		was, is *Lease
		want    int
		last    *netstate.Address
	}{
		"it comes":                            {state(), nil, lent6(0), 1, new(lent6(0).address())},
		"it is there":                         {state(lent6(0).address()), nil, lent6(0), 0, nil},
		"it is static by now":                 {state(static), nil, lent6(0), 0, nil},
		"it had an end by another client":     {state(short), nil, lent6(0), 1, new(lent6(0).address())},
		"it is not to be used by what begins": {state(lent6(0).address()), lent6(0), &deprecated, 1, new(deprecated.address())},
		"another comes for it":                {state(lent6(0).address()), lent6(0), &other, 2, new(other.address())},
		"it goes":                             {state(lent6(0).address()), lent6(0), nil, 1, nil},
		"it was never there":                  {state(), lent6(0), nil, 0, nil},
		"there is none to be had":             {state(), nil, &Lease{Link: "eth1"}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			steps := place(c.current, "eth1", c.was, c.is, netstate.IP{})
			require.Len(t, steps, c.want)
			for _, step := range steps {
				assert.Equal(t, netstate.StepAddress, step.Kind, "routes are IPv4's")
			}
			if len(steps) > 0 {
				assert.Equal(t, c.last, steps[len(steps)-1].To.Address)
			}
		})
	}
}

func TestWhatRoutersSayIsToBeHad(t *testing.T) {
	assert.Equal(t, everything, scopeOf(kernel.Station{}), "nobody listens to them")
	assert.Equal(t, everything, scopeOf(kernel.Station{Autoconf: true, Managed: true, Other: true}))
	assert.Equal(t, allButAddresses, scopeOf(kernel.Station{Autoconf: true, Other: true}))
	assert.Equal(t, nothing, scopeOf(kernel.Station{Autoconf: true}))
}

func TestTheStoreKeepsIPv6ByItself(t *testing.T) {
	folder := t.TempDir()
	four, six := store{folder: folder}, store{folder: folder, ipv6: true}
	require.NoError(t, four.save(*lent(0)))
	require.NoError(t, six.save(*lent6(0)))
	require.NoError(t, six.want("boot", Wanted{Link: "eth1", IPv6: true}))
	for s, want := range map[store]*Lease{four: lent(0), six: lent6(0)} {
		links, err := s.links()
		require.NoError(t, err)
		assert.Equal(t, []string{"eth1"}, links)
		have, err := s.load("eth1")
		require.NoError(t, err)
		assert.Equal(t, want, have)
	}
	wanted, err := six.wanted("boot")
	require.NoError(t, err)
	assert.Equal(t, []Wanted{{Link: "eth1", IPv6: true}}, wanted)
	wanted, err = four.wanted("boot")
	require.NoError(t, err)
	assert.Empty(t, wanted)
}

// Whatever a server says, a lease made of it has an order of times and an address of one host.
func FuzzReadLease6(f *testing.F) {
	m := newMachine6("eth1", id6(), func() uint32 { return 1 }, nil, false)
	m.phase = requesting
	f.Add(event6{what: "REPLY"}.message(m, []*dhcpv6.OptIAAddress{{IPv6Addr: net.ParseIP("2001:db8::7"),
		PreferredLifetime: time.Minute, ValidLifetime: time.Hour}}).ToBytes())
	f.Fuzz(func(t *testing.T, bytes []byte) {
		reply, err := dhcpv6.MessageFromBytes(bytes)
		if err != nil {
			return // not a message, so nobody passes it on
		}
		l, err := id6().readLease6("eth1", reply, lent6(0), noon())
		if err != nil {
			return
		}
		assert.True(t, usable6(l.Address.Addr()))
		assert.True(t, 0 <= l.Renew && l.Renew <= l.Rebind && l.Rebind <= l.Length, "%s %s %s", l.Renew, l.Rebind, l.Length)
	})
}
