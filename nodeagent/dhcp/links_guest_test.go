// SPDX-License-Identifier: Apache-2.0

//go:build guest

package dhcp

import (
	"net"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/dhcpserver"
	"github.com/bridgehead-dev/bridgehead/e2e/hosts"
)

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
