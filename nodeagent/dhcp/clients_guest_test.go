// SPDX-License-Identifier: Apache-2.0

//go:build guest

package dhcp

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// openGuest returns the guest's network.
func openGuest(t *testing.T) *kernel.Kernel {
	k, err := kernel.Open()
	require.NoError(t, err)
	t.Cleanup(k.Close)
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
