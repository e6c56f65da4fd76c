// SPDX-License-Identifier: Apache-2.0

//go:build guest

package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/bridgehead-dev/bridgehead/e2e/hosts"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// A reader is the guest's kernel with name servers that no file of the guest has.
type reader struct {
	*kernel.Kernel
	servers []string
}

func (r reader) Read() (netstate.State, error) {
	state, err := r.Kernel.Read()
	state.DNS = netstate.DNS{Running: &netstate.DNSConfig{Server: r.servers}}
	return state, err
}

// do carries out steps and undoes them at the end of the test.
func do(t *testing.T, k *kernel.Kernel, steps ...netstate.Step) {
	t.Helper()
	require.NoError(t, kernel.Apply(k, steps))
	t.Cleanup(func() { assert.NoError(t, kernel.Undo(k, steps)) })
}

func address(link, cidr string) netstate.Step {
	prefix := netip.MustParsePrefix(cidr)
	return netstate.Step{Kind: netstate.StepAddress, Link: link, To: netstate.Value{
		Address: &netstate.Address{IP: prefix.Addr(), PrefixLength: prefix.Bits()}}}
}

func defaultRoute(link, gateway string, metric int) netstate.Step {
	route := via(link, gateway, metric)
	return netstate.Step{Kind: netstate.StepRoute, Link: link, To: netstate.Value{Route: &route}}
}

// serveDNS answers every question with a refusal.
func serveDNS(t *testing.T, h hosts.Host) {
	var conn net.PacketConn
	h.Do(t, func() (err error) {
		conn, err = net.ListenPacket("udp4", "192.0.2.1:53")
		return err
	})
	t.Cleanup(func() { assert.NoError(t, conn.Close()) })
	go func() {
		buffer := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:n]) != nil {
				continue
			}
			m.Response, m.RCode = true, dnsmessage.RCodeRefused
			answer, err := m.Pack()
			if err == nil {
				_, _ = conn.WriteTo(answer, from) // a lost answer is asked for again
			}
		}
	}()
}

// serveHTTPS returns a TLS server on the host, and what its clients trust.
func serveHTTPS(t *testing.T, h hosts.Host) (url string, config *tls.Config) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	}))
	require.NoError(t, s.Listener.Close())
	h.Do(t, func() (err error) {
		s.Listener, err = net.Listen("tcp4", "192.0.2.1:6443")
		return err
	})
	s.StartTLS()
	t.Cleanup(s.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(s.Certificate())
	return s.URL, &tls.Config{RootCAs: trusted, ServerName: "example.com", MinVersion: tls.VersionTLS12}
}

// within returns what became of the probes, as soon as all are answered and at the end of patience otherwise.
func within(t *testing.T, c Chosen, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return c.After(ctx)
}

func TestANodeThatLosesItsNetworkIsToldSo(t *testing.T) {
	h := hosts.New(t)
	h.Plug(t, "up0", "router", "192.0.2.1/24")
	k, err := kernel.Open()
	require.NoError(t, err)
	t.Cleanup(k.Close)
	h.AddAddress(t, "router", "2001:db8::1/64")
	do(t, k, address("up0", "192.0.2.9/24"), address("up0", "2001:db8::9/64"),
		defaultRoute("up0", "192.0.2.1", 10), defaultRoute("up0", "2001:db8::1", 1024))
	serveDNS(t, h)
	url, config := serveHTTPS(t, h)
	node := reader{k, []string{"192.0.2.1"}}
	probes := Probes{
		Always: []Probe{APIServer(url, config)}, Optional: append(Gateways(node), DNS(node)),
		Patience: time.Minute, // duplicate address detection takes a while
	}
	chosen := probes.Before(t.Context())
	require.NoError(t, within(t, Chosen{Probes: probes.Optional}, time.Minute))
	require.Len(t, chosen.Probes, 4)
	require.NoError(t, within(t, chosen, time.Minute))

	h.SetUp(t, "router", false)
	err = within(t, chosen, 2*time.Second)
	require.ErrorContains(t, err, "no answer from API server https://192.0.2.1:6443 (")
	require.ErrorContains(t, err, "default gateway (192.0.2.1 through up0: ")
	require.ErrorContains(t, err, "IPv6 default gateway (2001:db8::1 through up0: ")
	require.ErrorContains(t, err, "DNS (192.0.2.1: ")
	probes.Patience = 0
	assert.Len(t, probes.Before(t.Context()).Probes, 1, "what does not answer before a change is not asked after it")
}

func TestADefaultGatewayThatMovesIsFollowed(t *testing.T) {
	first, second := hosts.New(t), hosts.New(t)
	first.Plug(t, "old0", "router", "192.0.2.1/24")
	second.Plug(t, "new0", "router", "198.51.100.1/24")
	k, err := kernel.Open()
	require.NoError(t, err)
	t.Cleanup(k.Close)
	do(t, k, address("old0", "192.0.2.9/24"), address("new0", "198.51.100.9/24"))
	before := defaultRoute("old0", "192.0.2.1", 10)
	require.NoError(t, k.Do(before))
	chosen := Probes{Optional: Gateways(k), Patience: time.Minute}.Before(t.Context())
	require.Len(t, chosen.Probes, 1)

	require.NoError(t, k.Do(before.Inverse()))
	require.EqualError(t, within(t, chosen, time.Second),
		"no answer from default gateway (there is no default route: nobody to ask)")
	after := defaultRoute("new0", "198.51.100.1", 10)
	do(t, k, after)
	require.NoError(t, within(t, chosen, time.Minute))
}

func TestAnIPv6GatewayOfIPv4IsAskedByNeighbourDiscovery(t *testing.T) {
	h := hosts.New(t)
	h.Plug(t, "up0", "router", "192.0.2.1/24")
	h.AddAddress(t, "router", "2001:db8::1/64")
	k, err := kernel.Open()
	require.NoError(t, err)
	t.Cleanup(k.Close)
	route := via("up0", "192.0.2.1", 10)
	route.NextHopAddress = netip.MustParseAddr("2001:db8::1")
	do(t, k, address("up0", "192.0.2.9/24"), address("up0", "2001:db8::9/64"),
		netstate.Step{Kind: netstate.StepRoute, Link: "up0", To: netstate.Value{Route: &route}})
	probes := Probes{Optional: Gateways(k), Patience: time.Minute} // addresses are tried for duplicates first
	chosen := probes.Before(t.Context())
	require.Len(t, chosen.Probes, 1)
	require.NoError(t, within(t, chosen, time.Minute))
	h.SetUp(t, "router", false)
	require.ErrorContains(t, within(t, chosen, 2*time.Second),
		"default gateway (2001:db8::1 through up0: no neighbour advertisement)")
}

func TestAnIPv6GatewayOfAnotherLinkDoesNotAnswer(t *testing.T) {
	silent, other := hosts.New(t), hosts.New(t)
	silent.Plug(t, "up0", "router", "192.0.2.1/24")
	other.Plug(t, "up1", "router", "198.51.100.1/24")
	other.AddAddress(t, "router", "fe80::1/64")
	gateway := netip.MustParseAddr("fe80::1")
	ask := func(link string, patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return resolveND(ctx, link, gateway)
	}
	require.Eventually(t, func() bool {
		err := ask("up0", 200*time.Millisecond) // fails otherwise while the address is tried for duplicates
		return err != nil && err.Error() == "no neighbour advertisement" && ask("up1", time.Second) == nil
	}, time.Minute, time.Millisecond)
	answer := make(chan error, 1)
	go func() { answer <- ask("up0", 3*time.Second) }()
	for heard := 0; ; heard++ {
		select {
		case err := <-answer:
			require.ErrorContains(t, err, "no neighbour advertisement")
			require.Positive(t, heard, "the other router is heard meanwhile")
			return
		default:
			require.NoError(t, ask("up1", time.Minute))
		}
	}
}
