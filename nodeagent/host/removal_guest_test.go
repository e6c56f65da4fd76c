// SPDX-License-Identifier: Apache-2.0

//go:build guest

package host_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/dhcpserver"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

// run runs lines of ip and bridge.
func run(t *testing.T, lines string) string {
	t.Helper()
	var all strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(lines), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		out, err := exec.CommandContext(context.WithoutCancel(t.Context()), words[0], words[1:]...).CombinedOutput()
		require.NoError(t, err, "%s: %s", line, out)
		all.Write(out)
	}
	return all.String()
}

// record returns what a generation of a policy comes to.
func record(t *testing.T, policy string, generation int64, desired string) journal.Record {
	t.Helper()
	state, errs := netstate.Parse([]byte(desired))
	require.Empty(t, errs)
	return journal.Record{Policy: policy, Generation: generation, Desired: journal.State(state), Heal: true}
}

// sameAs compares the node with a state.
func (a agent) sameAs(t *testing.T, want netstate.State, about string) {
	t.Helper()
	got, err := a.host.Read()
	require.NoError(t, err)
	if !netstate.Equal(want, got) {
		wanted, err := netstate.Marshal(want)
		require.NoError(t, err)
		found, err := netstate.Marshal(got)
		require.NoError(t, err)
		assert.Equal(t, string(wanted), string(found), about)
		assert.Fail(t, about)
	}
}

// A policy that goes is undone whatever the node was before it, and whatever others have done since; and so is a change
// over which the node lost what it reached.
func TestTheWayBackIsNotRefused(t *testing.T) {
	const bridge = `interfaces: [{name: br9, type: linux-bridge, state: up, bridge: {port: [{name: nic1, vlan: {}}]}},
  {name: nic2, mtu: 1400}]`
	tests := map[string]struct {
		made, policy, meanwhile string
		// shows are lines of ip that have to say something afterwards; none where all is as it was.
		shows map[string]string
		told  string
	}{
		"a bond that takes the MAC of its active port was removed": {
			made: `
				ip link add bond9 type bond mode active-backup miimon 100 fail_over_mac active
				ip link set nic1 down
				ip link set nic2 down
				ip link set nic1 master bond9
				ip link set nic2 master bond9
				ip link set bond9 up
				ip addr add 192.0.2.9/24 dev bond9`,
			policy: `interfaces: [{name: bond9, state: absent}]`,
		},
		"a VLAN of id 0 was removed": {
			made: `
				ip link set nic1 up
				ip link add nic1.0 link nic1 type vlan id 0
				ip link set nic1.0 up`,
			policy: `interfaces: [{name: nic1.0, state: absent}]`,
		},
		"a route by way of an IPv6 gateway was taken away": {
			made: `
				ip link set nic1 up
				ip addr add 192.0.2.9/24 dev nic1
				ip route add 198.51.100.0/24 via inet6 fe80::1 dev nic1`,
			policy: `interfaces: [{name: nic1, type: dummy, state: down}]`,
		},
		"a NIC is gone": {
			policy: bridge, meanwhile: `ip link del nic1`,
			shows: map[string]string{"ip -o link": "nic2: ", "ip -o link show dev nic2": " mtu 1500 "},
		},
		"a pod is plugged into the bridge": {
			policy: bridge,
			meanwhile: `
				ip link add vethpod type veth peer name vethin
				ip link set vethpod master br9
				ip link set vethpod up`,
			shows: map[string]string{"ip -o link show dev vethpod": " master br9 ", "ip -o link show dev nic2": " mtu 1500 "},
			told:  "RevertedInPart: policy p is reverted except for br9, which is still used by vethpod",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, way := range []string{"removed", "undone"} {
				t.Run(way, func(t *testing.T) {
					run(t, "ip link add nic1 type dummy\nip link add nic2 type dummy\nip link set nic2 up")
					t.Cleanup(func() { clear(t, "br9", "bond9", "nic1.0", "vethpod", "nic1", "nic2") })
					run(t, test.made)
					a := start(t, shortDir(t))
					var told []string
					a.Event = func(_, reason, note string) { told = append(told, reason+": "+note) }
					before, err := a.host.Read()
					require.NoError(t, err)
					if way == "undone" {
						a.Probe = func(context.Context) func(context.Context) error {
							return func(context.Context) error {
								run(t, test.meanwhile)
								return errors.New("no answer")
							}
						}
						var lost *nodeagent.LostError
						require.ErrorAs(t, a.Apply(t.Context(), record(t, "p", 1, test.policy)), &lost)
					} else {
						require.NoError(t, a.Apply(t.Context(), record(t, "p", 1, test.policy)))
						run(t, test.meanwhile)
						require.NoError(t, a.Revert(t.Context(), "p"))
						assert.Equal(t, test.told, strings.Join(told, "; "))
					}
					assert.Empty(t, a.Records())
					pending, err := a.Journal.Pending()
					require.NoError(t, err)
					assert.Nil(t, pending, "other policies go on")
					if test.shows == nil {
						a.sameAs(t, before, way)
					}
					for line, text := range test.shows {
						assert.Contains(t, run(t, line), text)
					}
				})
			}
		})
	}
}

// shortDir returns a folder with a name that is short enough for a socket in it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") //nolint:usetesting // the name of a test makes it too long
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// clear removes links that are there.
func clear(t *testing.T, links ...string) {
	t.Helper()
	for _, link := range links {
		_ = exec.CommandContext(context.WithoutCancel(t.Context()), "ip", "link", "del", link).Run() // it may be gone
	}
}

// What no policy names stays: the address of keepalived, that of the loopback, learnt routes, rules that have more.
func TestOnlyWhatThePolicySaysIsTouched(t *testing.T) {
	run(t, "ip link add nic1 type dummy\nip link set nic1 up")
	t.Cleanup(func() { clear(t, "nic1") })
	a := start(t, t.TempDir())
	static := func(address string) string {
		return `interfaces: [{name: nic1, type: dummy, state: up, ipv4: {enabled: true, address: [{ip: ` + address +
			`, prefix-length: 24}]}}]`
	}
	require.NoError(t, a.Apply(t.Context(), record(t, "p", 1, static("192.0.2.5"))))

	t.Run("a virtual address", func(t *testing.T) {
		run(t, "ip addr add 192.0.2.100/32 dev nic1\nip addr add 192.0.2.101/24 dev nic1")
		healed, _ := a.Heal()
		assert.Empty(t, healed, "it is no drift")
		require.NoError(t, a.Apply(t.Context(), record(t, "p", 2, static("192.0.2.6"))))
		shown := run(t, "ip -o addr show dev nic1")
		for _, address := range []string{"192.0.2.6/24", "192.0.2.100/32", "192.0.2.101/24"} {
			assert.Contains(t, shown, " "+address+" ")
		}
		assert.NotContains(t, shown, "192.0.2.5/24", "the policy named it before")
		strict := strings.Replace(static("192.0.2.6"), "enabled: true,", "enabled: true, allow-extra-address: false,", 1)
		require.NoError(t, a.Apply(t.Context(), record(t, "p", 3, strict)))
		assert.NotContains(t, run(t, "ip -o addr show dev nic1"), "192.0.2.10")
	})
	t.Run("the loopback", func(t *testing.T) {
		before := run(t, "ip -o addr show dev lo")
		require.NoError(t, a.Apply(t.Context(), record(t, "lo", 1, `interfaces: [{name: lo, type: loopback, state: up,
  ipv4: {enabled: true, allow-extra-address: false, address: [{ip: 198.51.100.1, prefix-length: 32}]}}]`)))
		shown := run(t, "ip -o addr show dev lo")
		assert.Contains(t, shown, "127.0.0.1/8 scope host lo")
		assert.Contains(t, shown, "::1/128 scope host")
		assert.Contains(t, shown, "198.51.100.1/32")
		require.NoError(t, a.Revert(t.Context(), "lo"))
		assert.Equal(t, before, run(t, "ip -o addr show dev lo"))
	})
	t.Run("learnt routes", func(t *testing.T) {
		run(t, `
			ip route add 203.0.113.0/24 via 192.0.2.1 dev nic1 proto dhcp
			ip -6 route add 2001:db8:9::/48 dev nic1 proto ra
			ip route add 198.51.100.0/24 via 192.0.2.1 dev nic1 metric 100`)
		again := `routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: nic1, next-hop-address: 192.0.2.1,
  metric: 200}]}`
		require.NoError(t, a.Apply(t.Context(), record(t, "metric", 1, again)))
		assert.Contains(t, run(t, "ip route"), "metric 200")
		assert.NotContains(t, run(t, "ip route"), "metric 100", "the route was said again")
		require.NoError(t, a.Revert(t.Context(), "metric"))
		assert.Contains(t, run(t, "ip route"), "metric 100")
		assert.NotContains(t, run(t, "ip route"), "metric 200")
		require.NoError(t, a.Apply(t.Context(), record(t, "absent", 1,
			`routes: {config: [{state: absent, next-hop-interface: nic1}]}`)))
		shown := run(t, "ip route\nip -6 route")
		assert.Contains(t, shown, "203.0.113.0/24 via 192.0.2.1 dev nic1 proto dhcp")
		assert.Contains(t, shown, "2001:db8:9::/48 dev nic1 proto ra")
		assert.NotContains(t, shown, "198.51.100.0/24")
	})
	t.Run("a rule that has more", func(t *testing.T) {
		run(t, "ip rule add from 192.0.2.0/24 fwmark 7 table 9 priority 77\nip rule add from 192.0.2.0/24 tos 0x10 table 9 priority 77")
		t.Cleanup(func() { run(t, "ip rule del priority 77\nip rule del priority 77") })
		before := run(t, "ip rule")
		require.NoError(t, a.Apply(t.Context(), record(t, "rule", 1,
			`route-rules: {config: [{ip-from: 192.0.2.0/24, route-table: 9, priority: 77}]}`)))
		require.NotEqual(t, before, run(t, "ip rule"))
		require.NoError(t, a.Revert(t.Context(), "rule"))
		assert.ElementsMatch(t, strings.Split(before, "\n"), strings.Split(run(t, "ip rule"), "\n"))
	})
}

// A VM whose veth has a lower MAC than the NIC does not change the bridge's: the lease stays, and so does the address.
func TestABridgeKeepsItsMACAndItsLeaseWhenAVMJoins(t *testing.T) {
	s := dhcpserver.Start(t, "lan0", "192.0.2.0/24", dhcpserver.Seconds(600, 300, 500)...)
	a := start(t, t.TempDir())
	mac := func() string {
		_, rest, _ := strings.Cut(run(t, "ip -o link show dev br9"), "link/ether ")
		return strings.Fields(rest)[0]
	}
	t.Cleanup(func() { clear(t, "vethvm", "br9") })
	a.apply(t, "p", overNIC)
	a.awaitLease(t)
	before := mac()
	s.Told()
	run(t, `
		ip link add vethvm address 02:00:00:00:00:01 type veth peer name vethin
		ip link set vethvm master br9
		ip link set vethvm up
		ip link set vethin up`)
	require.Less(t, "02:00:00:00:00:01", before, "the VM's is the lower one")
	assert.Equal(t, before, mac())
	healed, _ := a.Heal()
	assert.Empty(t, healed)
	a.awaitLease(t)
	assert.Empty(t, s.Told(), "the client has no reason to ask again")

	// So it is for a bridge that was there before, and for a MAC that a policy says and the bridge has already.
	run(t, "ip link del vethvm\nip link add br8 type bridge\nip link add nic1 type dummy\nip link set nic1 master br8\nip link set br8 up")
	t.Cleanup(func() { clear(t, "br8", "nic1") })
	_, rest, _ := strings.Cut(run(t, "ip -o link show dev br8"), "link/ether ")
	own := strings.Fields(rest)[0]
	a.apply(t, "q", `interfaces: [{name: br8, type: linux-bridge, state: up, mac-address: "`+own+`"}]`)
	run(t, "ip link add vethvm address 02:00:00:00:00:01 type veth peer name vethin\nip link set vethvm master br8")
	assert.Contains(t, run(t, "ip -o link show dev br8"), "link/ether "+own)
	require.NoError(t, a.Revert(t.Context(), "q"))
	assert.Contains(t, run(t, "ip -o link show dev br8"), "link/ether "+own, "the MAC it had")
}
