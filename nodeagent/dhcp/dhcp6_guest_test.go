// SPDX-License-Identifier: Apache-2.0

//go:build guest

package dhcp

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/bridgehead-dev/bridgehead/e2e/dhcpserver"
	"github.com/bridgehead-dev/bridgehead/e2e/hosts"
	"github.com/bridgehead-dev/bridgehead/e2e/router"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

func wanted6(link string) []Wanted { return []Wanted{{Link: link, IPv6: true}} }

// serve6 lays a cable from a new link near, on which autoconf is on or off, to a new server.
func serve6(t *testing.T, near string, autoconf bool) (hosts.Host, *dhcpserver.Server6) {
	t.Helper()
	h := hosts.New(t)
	h.Plug(t, near, "server", "192.0.2.1/24")
	setAutoconf(t, near, autoconf)
	return h, dhcpserver.Start6(t, h, "server")
}

func setAutoconf(t *testing.T, link string, on bool) {
	t.Helper()
	value := []byte("0")
	if on {
		value = []byte("1")
	}
	for _, name := range []string{"autoconf", "accept_ra"} {
		require.NoError(t, os.WriteFile(filepath.Join("/proc/sys/net/ipv6/conf", link, name), value, 0o600))
	}
}

// leased6 returns the addresses of 128 bits that a link has, in words, if they are not tentative.
func leased6(t *testing.T, k *kernel.Kernel, link string) string {
	t.Helper()
	station, err := k.Station6(link)
	require.NoError(t, err)
	if len(station.Tentative) > 0 {
		return "tentative"
	}
	words := []string{}
	for _, a := range station.Addresses {
		if a.PrefixLength == 128 {
			words = append(words, a.IP.String())
			assert.Greater(t, a.ValidLifeTime, lifetime/2, "the kernel never takes it away")
		}
	}
	return strings.Join(words, " ")
}

func awaitLeased6(t *testing.T, k *kernel.Kernel, link, want string) {
	t.Helper()
	eventually(t, func() bool { return leased6(t, k, link) == want }, link+" has "+want)
}

func TestRoutersSayWhetherThereIsAnIPv6Server(t *testing.T) {
	k := openGuest(t)
	h, s := serve6(t, "six0", true)
	router.Advertise(t, h, "server", netip.MustParsePrefix("2001:db8:5::/64"))
	clients, _ := running(t, k, t.TempDir())
	require.NoError(t, set(clients, wanted6("six0")))
	hasPrefix := func() bool {
		station, err := k.Station6("six0")
		require.NoError(t, err)
		for _, a := range station.Addresses {
			if netip.MustParsePrefix("2001:db8:5::/64").Contains(a.IP) {
				return true
			}
		}
		return false
	}
	eventually(t, hasPrefix, "an address made of the prefix")
	assert.Empty(t, s.Told(), "the router does not say that there is a server")

	h2, managed := serve6(t, "six1", true)
	router.AdvertiseManaged(t, h2, "server", netip.MustParsePrefix("2001:db8:6::/64"))
	require.NoError(t, set(clients, append(wanted6("six0"), wanted6("six1")...)))
	awaitLeased6(t, k, "six1", "2001:db8::7")
	assert.Equal(t, []string{"SOLICIT", "REQUEST"}, slices.Compact(managed.Told())) // the first may have been too early
	assert.Equal(t, netstate.DNSConfig{Server: []string{"2001:db8::53"}, Search: []string{"six.example"}}, clients.DNS())
	assert.Empty(t, leased6(t, k, "six0"))
}

func TestAnIPv6LeaseIsKeptForLife(t *testing.T) {
	k := openGuest(t)
	_, s := serve6(t, "life0", false)
	s.Set(func() { s.Renew, s.Rebind, s.Length = 2*time.Second, 4*time.Second, 6*time.Second })
	folder := t.TempDir()
	clients, stop := running(t, k, folder)
	require.NoError(t, set(clients, wanted6("life0")))
	awaitLeased6(t, k, "life0", "2001:db8::7")
	s.Await(t, "RENEW")

	s.Set(func() { s.Forgets = true })
	s.Told()
	s.Await(t, "RENEW")
	s.Await(t, "REQUEST")
	s.Set(func() { s.Forgets, s.Own = false, "b" })
	s.Told()
	s.Await(t, "REBIND")

	s.Set(func() { s.Silent = true })
	s.Told()
	s.Await(t, "SOLICIT")
	assert.Equal(t, "2001:db8::7", leased6(t, k, "life0"), "a server that is away does not cost the node its address")

	stop()
	assert.Equal(t, "2001:db8::7", leased6(t, k, "life0"), "nor does an agent that is")
	s.Set(func() { s.Silent, s.Length, s.Renew, s.Rebind = false, time.Hour, time.Hour/2, time.Hour/2 })
	clients, stop = running(t, k, folder)
	require.NoError(t, set(clients, wanted6("life0")))
	eventually(t, func() bool {
		leases := clients.Leases()
		return len(leases) == 1 && leases[0].Length == time.Hour
	}, "an hour")
	s.Told()
	stop()
	clients, _ = running(t, k, folder)
	require.NoError(t, set(clients, wanted6("life0")))
	s.Await(t, "CONFIRM")
	assert.NotContains(t, s.Told(), "SOLICIT")
	assert.Len(t, s.Clients(), 1)

	require.NoError(t, set(clients, nil))
	assert.Empty(t, leased6(t, k, "life0"))
	s.Await(t, "RELEASE")
}

func TestAnIPv6AddressThatSomebodyHasIsDeclined(t *testing.T) {
	k := openGuest(t)
	h, s := serve6(t, "dup0", false)
	h.Do(t, func() error {
		link, err := netlink.LinkByName("server")
		if err != nil {
			return err
		}
		address, err := netlink.ParseAddr("2001:db8::7/64")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(link, address)
	})
	clients, _ := running(t, k, t.TempDir())
	require.NoError(t, set(clients, wanted6("dup0")))
	s.Await(t, "DECLINE")
	assert.Empty(t, leased6(t, k, "dup0"))
	s.Set(func() { s.Lends = netip.MustParseAddr("2001:db8::8") })
	awaitLeased6(t, k, "dup0", "2001:db8::8")
}

// A bridge that takes a NIC is the same client to the server, and nothing of the NIC takes the address from it.
func TestABridgeGoesOnWithTheIPv6LeaseOfItsNIC(t *testing.T) {
	k := openGuest(t)
	_, s := serve6(t, "nic0", false)
	clients, _ := running(t, k, t.TempDir())
	require.NoError(t, set(clients, wanted6("nic0")))
	awaitLeased6(t, k, "nic0", "2001:db8::7")
	before := awaitLease(t, clients)

	nic, err := netlink.LinkByName("nic0")
	require.NoError(t, err)
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br6", HardwareAddr: nic.Attrs().HardwareAddr}}
	require.NoError(t, netlink.LinkAdd(bridge))
	t.Cleanup(func() { assert.NoError(t, netlink.LinkDel(bridge)) })
	setAutoconf(t, "br6", false)
	require.NoError(t, netlink.LinkSetMaster(nic, bridge))
	require.NoError(t, netlink.LinkSetUp(bridge))
	s.Told()
	require.NoError(t, set(clients, wanted6("br6")))
	awaitLeased6(t, k, "br6", "2001:db8::7")
	after := awaitLease(t, clients)
	assert.Equal(t, before.IAID, after.IAID)
	assert.Equal(t, before.ClientID, after.ClientID)
	assert.NotContains(t, s.Told(), "RELEASE")
	assert.Empty(t, leased6(t, k, "nic0"))
}
