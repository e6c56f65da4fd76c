// SPDX-License-Identifier: Apache-2.0

//go:build guest

package host_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/bridgehead-dev/bridgehead/e2e/dhcpserver"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent"
	"github.com/bridgehead-dev/bridgehead/nodeagent/dhcp"
	"github.com/bridgehead-dev/bridgehead/nodeagent/host"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
	"github.com/bridgehead-dev/bridgehead/nodeagent/lldp"
	"github.com/bridgehead-dev/bridgehead/nodeagent/managers"
	"github.com/bridgehead-dev/bridgehead/nodeagent/resolver"
)

// An agent is what keeps a guest without an API server.
type agent struct {
	*nodeagent.Keeper
	host *host.Host
	stop func()
}

// start starts an agent whose state is in a folder, on one boot of the guest.
func start(t *testing.T, dir string) agent {
	t.Helper()
	k, err := kernel.Open()
	require.NoError(t, err)
	h := host.New(host.Options{
		Kernel:   k,
		Log:      testr.New(t),
		Managers: managers.New(dir, testr.New(t)),
		Clients: dhcp.New(
			dhcp.Options{Network: k, Folder: filepath.Join(dir, "leases"), Hostname: "node01", Boot: "one", Log: testr.New(t)},
		),
		Listeners: lldp.New(lldp.Options{Network: k, Folder: filepath.Join(dir, "lldp"), Boot: "one", Log: testr.New(t)}),
		File:      resolver.File{Path: filepath.Join(dir, "etc", "resolv.conf"), Original: filepath.Join(dir, "original")},
	})
	require.NoError(t, h.Resume())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	j, err := journal.Open(dir)
	require.NoError(t, err)
	keeper := &nodeagent.Keeper{Node: h, Journal: j, Clock: clock.RealClock{}, Log: testr.New(t)}
	require.NoError(t, keeper.Restore())
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			cancel()
			assert.NoError(t, <-ended)
			k.Close()
		}
	}
	t.Cleanup(stop)
	return agent{keeper, h, stop}
}

// apply applies a policy, which must succeed, and ends what it ends.
func (a agent) apply(t *testing.T, policy, desired string) {
	t.Helper()
	state, errs := netstate.Parse([]byte(desired))
	require.Empty(t, errs)
	require.NoError(
		t, a.Apply(t.Context(), journal.Record{Policy: policy, Generation: 1, Desired: journal.State(state), Heal: true}),
	)
	a.host.Committed()
	healed, _ := a.Heal()
	assert.Empty(t, healed, "what was just applied is in order")
}

// ipv4 returns the IPv4 configuration of a link as the node shows it.
func (a agent) ipv4(t *testing.T, link string) netstate.IP {
	t.Helper()
	state, err := a.host.Read()
	require.NoError(t, err)
	i, found := state.Interface(link)
	require.True(t, found)
	return *i.IPv4
}

// awaitLease waits until br9 has the address that the server leases.
func (a agent) awaitLease(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		ip := a.ipv4(t, "br9")
		return len(ip.Address) == 1 && ip.Address[0].Prefix().String() == "192.0.2.7/24"
	}, time.Minute, 50*time.Millisecond, "br9 has its lease")
}

const overNIC = `
interfaces:
- name: br9
  type: linux-bridge
  state: up
  ipv4: {enabled: true, dhcp: true, auto-gateway: false}
  bridge: {options: {stp: {enabled: false}}, port: [{name: lan0}]}`

func TestABridgeWithDHCP(t *testing.T) {
	dir := t.TempDir()
	s := dhcpserver.Start(t, "lan0", "192.0.2.0/24", append(dhcpserver.Seconds(1, 2, 3), dhcpv4.OptDNS(net.IPv4(192, 0, 2, 53)))...)
	s.Set(func() { s.Silent = true })
	a := start(t, dir)
	a.apply(t, "p", overNIC)
	assert.True(t, *a.ipv4(t, "br9").DHCP, "a client runs, though it has no lease")
	assert.False(t, *a.ipv4(t, "br9").AutoGateway)
	s.Set(func() { s.Silent = false })
	a.awaitLease(t)
	healed, _ := a.Heal()
	assert.Empty(t, healed)
	require.Eventually(t, func() bool {
		state, err := a.host.Read()
		return err == nil && assert.ObjectsAreEqual([]string{"192.0.2.53"}, state.DNS.Running.Server)
	}, time.Minute, 50*time.Millisecond, "the leased name server is written")

	// The policy goes: what it made stays, and is renewed.
	require.NoError(t, a.Orphan("p"))
	a.host.Committed()
	s.Told()
	s.Await(t, "REQUEST more time")
	assert.NotContains(t, s.Told(), "RELEASE")

	// So it does when the agent restarts.
	a.stop()
	a = start(t, dir)
	s.Told()
	s.Await(t, "REQUEST more time")
	a.awaitLease(t)

	// A policy that says otherwise makes an end of it.
	a.apply(t, "q", "interfaces: [{name: br9, type: linux-bridge, state: absent}]")
	_, err := os.Stat(filepath.Join(dir, "leases", "br9.lease"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = os.Stat(filepath.Join(dir, "leases", "br9.client"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestDNSOfAFileThatIsNotOursFailsAndIsNotFoughtOver(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "etc"), 0o755))
	file := filepath.Join(dir, "etc", "resolv.conf")
	require.NoError(t, os.WriteFile(file, []byte("# Generated by NetworkManager\nnameserver 192.0.2.1\n"), 0o600))
	a := start(t, dir)
	state, errs := netstate.Parse([]byte("dns-resolver: {config: {server: [192.0.2.53]}}"))
	require.Empty(t, errs)
	err := a.Apply(t.Context(), journal.Record{Policy: "dns", Generation: 1, Desired: journal.State(state), Heal: true})
	require.ErrorContains(t, err, "is managed by NetworkManager")
	require.NoError(t, os.WriteFile(file, []byte("nameserver 192.0.2.1\n"), 0o600))
	a.apply(t, "dns", "dns-resolver: {config: {server: [192.0.2.53]}}")
	a.stop()
	a = start(t, dir)
	healed, _ := a.Heal()
	assert.Empty(t, healed)
}
