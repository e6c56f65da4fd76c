// SPDX-License-Identifier: Apache-2.0

//go:build guest

package dhcp

import (
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/rfc1035label"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/dhcpserver"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

func TestALeaseIsGotAndGivenBack(t *testing.T) {
	k := openGuest(t)
	s := dhcpserver.Start(t, "got0", "192.0.2.0/24", append(dhcpserver.Seconds(600, 900, 1200),
		dhcpv4.OptClasslessStaticRoute(
			route("0.0.0.0/0", "192.0.2.1"), route("10.0.0.0/8", "192.0.2.1"), route("198.51.100.0/24", "0.0.0.0")),
		dhcpv4.OptDNS(net.IPv4(192, 0, 2, 53)),
		dhcpv4.OptDomainSearch(&rfc1035label.Labels{Labels: []string{"lab.example"}}))...)
	clients, _ := running(t, k, t.TempDir())
	require.NoError(t, set(clients, []Wanted{wanted("got0")}))
	awaitAddress(t, k, "got0", "192.0.2.7/24")
	_, left := address(t, k, "got0")
	assert.Greater(t, left, lifetime/2, "the kernel never takes it away")
	<-clients.Changed()
	assert.Equal(t, []string{"DISCOVER", "REQUEST the offer"}, s.Told())
	assert.Equal(t, []string{"node01", "node01"}, s.Names())
	assert.Equal(t, netstate.DNSConfig{Server: []string{"192.0.2.53"}, Search: []string{"lab.example"}}, clients.DNS())
	awaitLease(t, clients)
	assert.Equal(t, []string{
		"+ route default (0.0.0.0/0) via 192.0.2.1 through got0 from 192.0.2.7 metric 100",
		"+ route 10.0.0.0/8 via 192.0.2.1 through got0 from 192.0.2.7 metric 100",
		"+ route 198.51.100.0/24 through got0 from 192.0.2.7 metric 100",
	}, waysOf(t, k))
	state, err := k.Read()
	require.NoError(t, err)
	link, _ := state.Interface("got0")
	assert.True(t, *link.IPv4.DHCP, "the node says that the address is dynamic")

	require.NoError(t, set(clients, []Wanted{wanted("got0")}), "the same again changes nothing")
	assert.Empty(t, s.Told())

	require.NoError(t, set(clients, nil))
	have, _ := address(t, k, "got0")
	assert.Empty(t, have)
	assert.Empty(t, waysOf(t, k))
	assert.Empty(t, clients.Leases())
	assert.Empty(t, clients.DNS().Server)
	s.Await(t, "RELEASE")
}

func TestOrdersAreFollowed(t *testing.T) {
	k := openGuest(t)
	dhcpserver.Start(t, "auto0", "192.0.2.0/24", append(dhcpserver.Seconds(600, 900, 1200), dhcpv4.OptDNS(net.IPv4(192, 0, 2, 53)),
		dhcpv4.OptClasslessStaticRoute(route("0.0.0.0/0", "192.0.2.1"), route("10.0.0.0/8", "192.0.2.1")))...)
	clients, _ := running(t, k, t.TempDir())
	const (
		all = "+ route default (0.0.0.0/0) via 192.0.2.1 through auto0 from 192.0.2.7 "
		ten = "+ route 10.0.0.0/8 via 192.0.2.1 through auto0 from 192.0.2.7 "
		net = "+ route 192.0.2.0/24 through auto0 from 192.0.2.7 "
	)
	tests := []struct {
		name   string
		orders netstate.IP
		ways   []string
		dns    []string
	}{
		{"everything by default", netstate.IP{}, []string{all + "metric 100", ten + "metric 100"}, []string{"192.0.2.53"}},
		{"no gateway", netstate.IP{AutoGateway: new(false)}, []string{ten + "metric 100"}, []string{"192.0.2.53"}},
		{"no routes", netstate.IP{AutoRoutes: new(false)}, []string{all + "metric 100"}, []string{"192.0.2.53"}},
		{"no DNS", netstate.IP{AutoDNS: new(false)}, []string{all + "metric 100", ten + "metric 100"}, nil},
		{
			"another table and metric", netstate.IP{AutoRoutes: new(false), AutoRouteTableID: new(300), AutoRouteMetric: new(7)},
			[]string{all + "table 300 metric 7", net + "table 300 metric 7"}, []string{"192.0.2.53"},
		},
	}
	for _, test := range tests { // in this order, for each begins where the last ended
		t.Run(test.name, func(t *testing.T) {
			require.NoError(t, set(clients, []Wanted{{Link: "auto0", Orders: test.orders}}))
			eventually(t, func() bool { return assert.ObjectsAreEqual(test.ways, waysOf(t, k)) }, "the routes as ordered")
			awaitLease(t, clients)
			assert.Equal(t, test.dns, clients.DNS().Server)
		})
	}
}

func TestAnAddressThatSomebodyHasIsDeclined(t *testing.T) {
	k := openGuest(t)
	s := dhcpserver.Start(t, "acd0", "192.0.2.0/24", dhcpserver.Seconds(600, 900, 1200)...)
	s.AddAddress(t, "192.0.2.7/24")
	clients, _ := running(t, k, t.TempDir())
	require.NoError(t, set(clients, []Wanted{wanted("acd0")}))
	s.Await(t, "DECLINE")
	have, _ := address(t, k, "acd0")
	assert.Empty(t, have, "two hosts with one address help nobody")
	s.Set(func() { s.Lends = netip.MustParseAddr("192.0.2.8") })
	awaitAddress(t, k, "acd0", "192.0.2.8/24")
}

func TestARefusedAddressIsDropped(t *testing.T) {
	k := openGuest(t)
	s := dhcpserver.Start(t, "nak0", "192.0.2.0/24", dhcpserver.Seconds(1, 30, 40)...)
	clients, _ := running(t, k, t.TempDir())
	require.NoError(t, set(clients, []Wanted{wanted("nak0")}))
	awaitAddress(t, k, "nak0", "192.0.2.7/24")
	s.Set(func() { s.Refuses = true })
	awaitAddress(t, k, "nak0", "")
	s.Set(func() { s.Refuses, s.Lends = false, netip.MustParseAddr("192.0.2.8") })
	awaitAddress(t, k, "nak0", "192.0.2.8/24")
}

func TestClientsStartAgainWithTheirLeases(t *testing.T) {
	k := openGuest(t)
	folder := filepath.Join(t.TempDir(), "leases")
	s := dhcpserver.Start(t, "again0", "192.0.2.0/24", dhcpserver.Seconds(600, 900, 1200)...)
	clients, stop := running(t, k, folder)
	require.NoError(t, set(clients, []Wanted{wanted("again0")}))
	awaitAddress(t, k, "again0", "192.0.2.7/24")
	stop()
	have, _ := address(t, k, "again0")
	assert.Equal(t, "192.0.2.7/24", have, "a stop is not an end")
	require.Equal(t, []string{"DISCOVER", "REQUEST the offer"}, s.Told())

	clients, stop = running(t, k, folder)
	require.NoError(t, set(clients, []Wanted{wanted("again0")}))
	s.Await(t, "REQUEST again")
	awaitLease(t, clients)
	stop()
	assert.Equal(t, []string{"REQUEST again"}, s.Told())

	clients, _ = running(t, k, folder)
	require.NoError(t, set(clients, nil), "a lease from before a restart that nobody wants any more")
	have, _ = address(t, k, "again0")
	assert.Empty(t, have)
	s.Await(t, "RELEASE")
}

func TestNothingWaitsForALease(t *testing.T) {
	k := openGuest(t)
	s := dhcpserver.Start(t, "calm0", "192.0.2.0/24", dhcpserver.Seconds(600, 900, 1200)...)
	s.Set(func() { s.Silent = true })
	clients, _ := running(t, k, t.TempDir())
	require.NoError(t, set(clients, []Wanted{wanted("calm0"), wanted("nosuch0")}), "it returns, though no lease comes")
	s.Await(t, "DISCOVER")
	require.NoError(t, set(clients, nil), "it returns in the middle of an exchange")
	assert.Empty(t, clients.Leases())
}

func TestDHCPIsSwitchedOffByAPlan(t *testing.T) {
	k := openGuest(t)
	s := dhcpserver.Start(t, "off0", "192.0.2.0/24", withRouter()...)
	clients, _ := running(t, k, t.TempDir())
	on := netstate.Step{Kind: netstate.StepDHCP, Link: "off0",
		From: netstate.Value{Link: &netstate.Interface{Name: "off0", IPv4: &netstate.IP{DHCP: new(false)}}},
		To:   netstate.Value{Link: &netstate.Interface{Name: "off0", IPv4: &netstate.IP{DHCP: new(true)}}}}
	require.NoError(t, clients.Do(on))
	awaitAddress(t, k, "off0", "192.0.2.7/24")
	awaitLease(t, clients)

	current, err := k.Read()
	require.NoError(t, err)
	steps, err := netstate.Plan(current, netstate.State{Interfaces: []netstate.Interface{{
		Name: "off0", IPv4: &netstate.IP{Enabled: new(true), DHCP: new(false)}}}})
	require.NoError(t, err)
	for _, step := range steps {
		require.NoError(t, clients.Do(step))
		require.NoError(t, k.Do(step))
	}
	require.NoError(t, set(clients, nil))
	have, left := address(t, k, "off0")
	assert.Equal(t, "192.0.2.7/24", have, "the address stays, as nmstate has it")
	assert.Zero(t, left, "and is static")
	assert.NotContains(t, s.Told(), "RELEASE")
}

func TestARemovedAddressIsPutBack(t *testing.T) {
	k := openGuest(t)
	dhcpserver.Start(t, "heal0", "192.0.2.0/24", withRouter()...)
	clients, _ := running(t, k, t.TempDir())
	require.NoError(t, set(clients, []Wanted{wanted("heal0")}))
	lease := awaitLease(t, clients)
	taken := lease.address()
	require.NoError(
		t, k.Do(netstate.Step{Kind: netstate.StepAddress, Link: "heal0", From: netstate.Value{Address: &taken}}),
	)
	awaitAddress(t, k, "heal0", "")
	awaitAddress(t, k, "heal0", "192.0.2.7/24")
	eventually(t, func() bool { return len(waysOf(t, k)) == 1 }, "its route too")
}
