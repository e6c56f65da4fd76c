// SPDX-License-Identifier: Apache-2.0

//go:build guest

package dhcp

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/mdlayher/packet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/e2e/dhcpserver"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

func TestALeaseIsRenewedAndKeptBeyondItsEnd(t *testing.T) {
	k := openGuest(t)
	s := dhcpserver.Start(t, "old0", "192.0.2.0/24", append(dhcpserver.Seconds(1, 12, 14), dhcpv4.OptRouter(net.IPv4(192, 0, 2, 1)))...)
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
