// SPDX-License-Identifier: Apache-2.0

//go:build guest

package dhcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/rfc1035label"
	"github.com/mdlayher/packet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/e2e/dhcpserver"
	"github.com/bridgehead-dev/bridgehead/e2e/hosts"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// openGuest returns the guest's network.
func openGuest(t *testing.T) *kernel.Kernel {
	k, err := kernel.Open()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, k.Close()) })
	return k
}

// running returns clients that run until stop, or the end of the test.
func running(t *testing.T, k *kernel.Kernel, folder string) (clients *Clients, stop func()) {
	clients = New(Options{Network: k, Folder: folder, Hostname: "node01.example.com", Log: testr.New(t)})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- clients.Run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			assert.NoError(t, <-ended)
		}
	}
	t.Cleanup(stop)
	return clients, stop
}

func wanted(link string) Wanted { return Wanted{Link: link} }

// set makes the links of the list, and no others, have clients, as a change does that is final.
func set(c *Clients, wanted []Wanted) error {
	step := func(at seat, ip netstate.IP) error {
		link := &netstate.Interface{Name: at.link, IPv4: &ip}
		if at.ipv6 {
			link.IPv4, link.IPv6 = nil, &ip
		}
		return c.Do(netstate.Step{Kind: netstate.StepDHCP, Link: at.link, To: netstate.Value{Link: link}})
	}
	var errs []error
	seats := map[seat]bool{}
	for _, w := range wanted {
		at := seat{w.Link, w.IPv6}
		seats[at] = true
		w.Orders.DHCP = new(true)
		errs = append(errs, step(at, w.Orders))
	}
	for _, at := range c.seatsLocked() {
		if !seats[at] {
			errs = append(errs, step(at, netstate.IP{DHCP: new(false)}))
		}
	}
	return errors.Join(append(errs, c.GiveBack())...)
}

// address returns the first IPv4 address of a link, and the seconds it has left; "" for none.
func address(t *testing.T, k *kernel.Kernel, link string) (string, uint32) {
	t.Helper()
	station, err := k.Station(link)
	require.NoError(t, err)
	if len(station.Addresses) == 0 {
		return "", 0
	}
	return station.Addresses[0].Prefix().String(), station.Addresses[0].ValidLifeTime
}

// awaitAddress waits until a link has an address, or none.
func awaitAddress(t *testing.T, k *kernel.Kernel, link, want string) {
	t.Helper()
	eventually(t, func() bool {
		have, _ := address(t, k, link)
		return have == want
	}, link+" has "+want)
}

// awaitLease waits until clients hold one lease.
func awaitLease(t *testing.T, clients *Clients) Lease {
	t.Helper()
	eventually(t, func() bool { return len(clients.Leases()) == 1 }, "a lease")
	return clients.Leases()[0]
}

// eventually waits for a condition.
func eventually(t *testing.T, is func() bool, what string) {
	t.Helper()
	require.Eventually(t, is, time.Minute, 20*time.Millisecond, what)
}

// waysOf returns the DHCP routes of a node, in words.
func waysOf(t *testing.T, k *kernel.Kernel) []string {
	t.Helper()
	state, err := k.Read()
	require.NoError(t, err)
	list := []string{}
	for _, r := range state.Routes.Running {
		if r.Protocol == protocolDHCP {
			step := netstate.Step{Kind: netstate.StepRoute, Link: r.NextHopInterface, To: netstate.Value{Route: &r}}
			list = append(list, strings.TrimSpace(netstate.Format([]netstate.Step{step})))
		}
	}
	return list
}

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

func TestALeaseIsRenewedAndKeptBeyondItsEnd(t *testing.T) {
	k := openGuest(t)
	s := dhcpserver.Start(t, "old0", "192.0.2.0/24", append(dhcpserver.Seconds(1, 3, 4), dhcpv4.OptRouter(net.IPv4(192, 0, 2, 1)))...)
	clients, _ := running(t, k, t.TempDir())
	require.NoError(t, set(clients, []Wanted{wanted("old0")}))
	awaitAddress(t, k, "old0", "192.0.2.7/24")
	first := awaitLease(t, clients)
	s.Await(t, "REQUEST more time")
	eventually(t, func() bool { return time.Now().After(first.Expires().Add(time.Second)) }, "more than a lease's time")
	assert.True(t, awaitLease(t, clients).Begun.After(first.Begun))
	assert.NotContains(t, s.Told()[2:], "DISCOVER")
	require.Len(t, waysOf(t, k), 1)

	s.Set(func() { s.Silent = true })
	s.Await(t, "DISCOVER")
	have, left := address(t, k, "old0")
	assert.Equal(t, "192.0.2.7/24", have, "a server that is away does not cost the node its address")
	assert.Greater(t, left, lifetime/2)
	require.Len(t, waysOf(t, k), 1)

	s.Set(func() { s.Silent, s.Lends = false, netip.MustParseAddr("192.0.2.8") })
	awaitAddress(t, k, "old0", "192.0.2.8/24")
	eventually(t, func() bool { return len(waysOf(t, k)) == 1 }, "and its route")
}

func TestAnAgentThatIsAwayForLongerThanTheLeaseKeepsTheAddress(t *testing.T) {
	k := openGuest(t)
	s := dhcpserver.Start(t, "away0", "192.0.2.0/24", dhcpserver.Seconds(1, 2, 3)...)
	folder := t.TempDir()
	clients, stop := running(t, k, folder)
	require.NoError(t, set(clients, []Wanted{wanted("away0")}))
	awaitAddress(t, k, "away0", "192.0.2.7/24")
	lease := awaitLease(t, clients)
	stop()
	eventually(
		t, func() bool { return time.Now().After(lease.Expires().Add(2 * time.Second)) }, "more than a lease's time",
	)
	have, _ := address(t, k, "away0")
	assert.Equal(t, "192.0.2.7/24", have)
	s.Told()
	clients, _ = running(t, k, folder)
	require.NoError(t, clients.Resume())
	s.Await(t, "DISCOVER")
	s.Await(t, "REQUEST more time")
	assert.Equal(t, lease.Address, awaitLease(t, clients).Address)
}

// What a server gives at a renewal may differ from what it gave before in everything.
func TestARenewalMayChangeTheLease(t *testing.T) {
	k := openGuest(t)
	brings := func(router, dns byte) []dhcpv4.Option {
		return append(dhcpserver.Seconds(1, 30, 40), dhcpv4.OptRouter(net.IPv4(192, 0, 2, router)),
			dhcpv4.OptDNS(net.IPv4(192, 0, 2, dns)))
	}
	s := dhcpserver.Start(t, "new0", "192.0.2.0/24", brings(1, 53)...)
	clients, _ := running(t, k, t.TempDir())
	require.NoError(t, set(clients, []Wanted{wanted("new0")}))
	awaitAddress(t, k, "new0", "192.0.2.7/24")
	has := func(way, dns string) {
		t.Helper()
		eventually(t, func() bool {
			return assert.ObjectsAreEqual([]string{"+ route default (0.0.0.0/0) via " + way + " metric 100"}, waysOf(t, k)) &&
				assert.ObjectsAreEqual([]string{dns}, clients.DNS().Server)
		}, "its way is "+way+", and its name server "+dns)
	}
	has("192.0.2.1 through new0 from 192.0.2.7", "192.0.2.53")
	s.Told()

	s.Set(func() { s.Options = brings(254, 54) })
	has("192.0.2.254 through new0 from 192.0.2.7", "192.0.2.54")
	have, _ := address(t, k, "new0")
	assert.Equal(t, "192.0.2.7/24", have, "the address is as it was")

	s.Set(func() { s.Lends = netip.MustParseAddr("192.0.2.8") })
	has("192.0.2.254 through new0 from 192.0.2.8", "192.0.2.54")
	station, err := k.Station("new0")
	require.NoError(t, err)
	require.Len(t, station.Addresses, 1)
	assert.Equal(t, "192.0.2.8/24", station.Addresses[0].Prefix().String())
	assert.NotContains(t, s.Told(), "DISCOVER", "all of it by renewals")
}

// A renewal goes to the server of the lease and to nobody else; when that does not answer, anybody is asked.
func TestARenewalIsForTheServerAndARebindingForAll(t *testing.T) {
	k := openGuest(t)
	s := dhcpserver.Start(t, "uni0", "192.0.2.0/24", dhcpserver.Seconds(1, 200, 300)...)
	var tap *packet.Conn
	s.Do(t, func() error {
		nic, err := net.InterfaceByName("server")
		if err != nil {
			return err
		}
		tap, err = packet.Listen(nic, packet.Datagram, unix.ETH_P_IP, nil)
		return err
	})
	t.Cleanup(func() { assert.NoError(t, tap.Close()) })
	// asked waits for a message from the leased address, and returns where it goes.
	asked := func() string {
		t.Helper()
		require.NoError(t, tap.SetReadDeadline(time.Now().Add(time.Minute)))
		for buffer := make([]byte, maxMessage); ; {
			n, _, err := tap.ReadFrom(buffer)
			require.NoError(t, err)
			const header, protocol = 20, 9 // without options
			if n < header+4 || buffer[0] != 4<<4|header/4 || buffer[protocol] != unix.IPPROTO_UDP ||
				buffer[header+3] != dhcpv4.ServerPort {
				continue
			}
			if netip.AddrFrom4([4]byte(buffer[12:16])) == s.Lends {
				return netip.AddrFrom4([4]byte(buffer[16:20])).String()
			}
		}
	}
	clients, _ := running(t, k, t.TempDir())
	require.NoError(t, set(clients, []Wanted{wanted("uni0")}))
	awaitAddress(t, k, "uni0", "192.0.2.7/24")
	assert.Equal(t, "192.0.2.1", asked())
	s.Set(func() { s.Options = dhcpserver.Seconds(1, 2, 300) })
	eventually(t, func() bool { return awaitLease(t, clients).Rebind == 2*time.Second }, "the server says when to rebind")
	s.Set(func() {
		s.Ignores = 1 // the renewal; what comes next is for any server
		s.Options = dhcpserver.Seconds(100, 200, 400)
	})
	for asked() != "255.255.255.255" {
	}
	eventually(t, func() bool { return awaitLease(t, clients).Length == 400*time.Second }, "the lease goes on")
}

func TestAnotherServerTakesTheLeaseOver(t *testing.T) {
	k := openGuest(t)
	s := dhcpserver.Start(t, "move0", "192.0.2.0/24", dhcpserver.Seconds(1, 2, 60)...)
	clients, _ := running(t, k, t.TempDir())
	require.NoError(t, set(clients, []Wanted{wanted("move0")}))
	awaitAddress(t, k, "move0", "192.0.2.7/24")
	other := netip.MustParseAddr("192.0.2.2")
	s.Become(t, other.String())
	eventually(t, func() bool {
		leases := clients.Leases()
		return len(leases) == 1 && leases[0].Server == other
	}, "the lease is the other server's")
	have, _ := address(t, k, "move0")
	assert.Equal(t, "192.0.2.7/24", have)
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

func TestTwoLinks(t *testing.T) {
	k := openGuest(t)
	router := func(ip string) []dhcpv4.Option {
		return append(dhcpserver.Seconds(600, 900, 1200), dhcpv4.OptRouter(net.ParseIP(ip)))
	}
	dhcpserver.Start(t, "two0", "192.0.2.0/24", router("192.0.2.1")...)
	dhcpserver.Start(t, "two1", "198.51.100.0/24", router("198.51.100.1")...)
	clients, _ := running(t, k, t.TempDir())
	require.NoError(t, set(clients, []Wanted{wanted("two0"), wanted("two1")}))
	awaitAddress(t, k, "two0", "192.0.2.7/24")
	awaitAddress(t, k, "two1", "198.51.100.7/24")
	eventually(t, func() bool { return len(waysOf(t, k)) == 2 }, "both default routes, with different metrics")
	require.NoError(t, set(clients, []Wanted{wanted("two1")}))
	awaitAddress(t, k, "two0", "")
	have, _ := address(t, k, "two1")
	assert.Equal(t, "198.51.100.7/24", have, "one without the other")
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

func TestALinkThatComesLater(t *testing.T) {
	k := openGuest(t)
	clients, _ := running(t, k, t.TempDir())
	require.NoError(t, set(clients, []Wanted{wanted("late0")}))
	dhcpserver.Start(t, "late0", "192.0.2.0/24", dhcpserver.Seconds(600, 900, 1200)...)
	awaitAddress(t, k, "late0", "192.0.2.7/24")
}

// withRouter returns the options of a server with long leases that names a router.
func withRouter() []dhcpv4.Option {
	return append(dhcpserver.Seconds(600, 900, 1200), dhcpv4.OptRouter(net.IPv4(192, 0, 2, 1)))
}

func TestACarrierThatComesBackIsAskedAgain(t *testing.T) {
	k := openGuest(t)
	s := dhcpserver.Start(t, "flap0", "192.0.2.0/24", withRouter()...)
	clients, _ := running(t, k, t.TempDir())
	require.NoError(t, set(clients, []Wanted{wanted("flap0")}))
	awaitAddress(t, k, "flap0", "192.0.2.7/24")
	s.Told()
	s.SetUp(t, "server", false)
	eventually(t, func() bool {
		station, err := k.Station("flap0")
		return err == nil && !station.Running
	}, "no carrier")
	have, _ := address(t, k, "flap0")
	assert.Equal(t, "192.0.2.7/24", have, "kept without a carrier")
	s.SetUp(t, "server", true)
	s.Await(t, "REQUEST again")
	have, _ = address(t, k, "flap0")
	assert.Equal(t, "192.0.2.7/24", have)

	s.Told()
	hosts.SetMAC(t, "flap0", "02:00:00:00:00:99")
	s.Await(t, "DISCOVER")
	eventually(t, func() bool {
		leases := clients.Leases()
		return len(leases) == 1 && leases[0].MAC == mac(0x99)
	}, "a lease for the new MAC")
}

func TestAnAddressSomebodyElseRenewsIsTheirs(t *testing.T) {
	k := openGuest(t)
	s := dhcpserver.Start(t, "their0", "192.0.2.0/24", dhcpserver.Seconds(600, 900, 1200)...)
	theirs := renewable("192.0.2.99/24", 3)
	require.NoError(
		t, k.Do(netstate.Step{Kind: netstate.StepAddress, Link: "their0", To: netstate.Value{Address: &theirs}}),
	)
	clients, _ := running(t, k, t.TempDir())
	require.NoError(t, set(clients, []Wanted{wanted("their0")}))
	for have, _ := address(t, k, "their0"); have == "192.0.2.99/24"; have, _ = address(t, k, "their0") {
		require.Empty(t, s.Told(), "as long as it is there nobody asks for another")
	}
	awaitAddress(t, k, "their0", "192.0.2.7/24")
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
