// SPDX-License-Identifier: Apache-2.0

package systems_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/systems"
	"github.com/bridgehead-dev/bridgehead/e2e/systems/layout"
)

// bridgeOverEth1 is the policy of the user guide.
const bridgeOverEth1 = `interfaces:
- {name: br1, type: linux-bridge, state: up, ipv4: {enabled: false}, ipv6: {enabled: false}, bridge: {port: [{name: eth1}]}}
`

// By hand, eth1 becomes a port of br1 as by netlink alone, and is set free again.
const (
	byHand = `/usr/sbin/ip link add br1 type bridge && /usr/sbin/ip link set br1 up && /usr/sbin/ip addr flush dev eth1 &&
	/usr/sbin/ip link set eth1 master br1 up`
	undoneByHand = "/usr/sbin/ip link set eth1 nomaster; /usr/sbin/ip link del br1"
)

// do runs a line of shell in the guest.
func do(t *testing.T, s *systems.System, line string) string {
	t.Helper()
	out, err := s.Exec(t.Context(), "sh", "-c", line)
	require.NoError(t, err, out)
	return out
}

// inBridge reports whether eth1 is a port of br1.
func inBridge(t *testing.T, s *systems.System) bool {
	t.Helper()
	return strings.Contains(do(t, s, "bridge link show dev eth1"), "master br1")
}

// apply applies a desired state as policy p, and returns the plan.
func apply(t *testing.T, s *systems.System, verb, desired string) (string, error) {
	t.Helper()
	require.NoError(t, s.Write(t.Context(), "/tmp/policy.yaml", desired))
	return s.Exec(t.Context(), "applier", verb, "p", "/tmp/policy.yaml")
}

// A row is something that happens to a node whose eth1 is a port of br1.
type row struct {
	name string
	// lan is how the DHCP server of the LAN behaves meanwhile.
	lan layout.LAN
	// given is what is so before eth1 becomes a port, and back what eth1 has then, and has again in the end: a line of
	// shell that succeeds.
	given, back string
	// happens is what happens, as a line of shell that ends when it is over. unplugged says that the cable of eth1 is
	// out meanwhile.
	happens   string
	unplugged bool
	// loses says that without us eth1 does not stay in the bridge, sooner or later.
	loses bool
}

const (
	ipOfEth1 = "/usr/sbin/ip -4 addr show dev eth1 | grep -q "
	hasLease = ipOfEth1 + "192.0.2.7/24 && /usr/sbin/ip route show default dev eth1 | grep -q 192.0.2.1"
)

// long returns a lease that does not end.
func long() layout.LAN { return layout.LAN{Lease: 3600} }

// rowsOfNetworkManager returns what was seen with NetworkManager.
func rowsOfNetworkManager() []row {
	const again = "nmcli -w 60 con up 'Wired connection 2'"
	return []row{
		{name: "nmcli con up eth1", lan: long(), given: again, back: hasLease, happens: again + " || true", loses: true},
		{name: "NetworkManager is restarted", lan: long(), given: again, back: hasLease,
			happens: "systemctl restart NetworkManager; nmcli -w 60 general status; sleep 8"},
		{name: "the bridge was made before NetworkManager starts", lan: long(), given: "systemctl stop NetworkManager",
			back: "systemctl start NetworkManager; " + hasLease, happens: "systemctl start NetworkManager; sleep 8"},
		{name: "the cable is out for a while", lan: long(), given: again, back: hasLease, happens: "sleep 8", unplugged: true},
		{name: "the lease ends", lan: layout.LAN{Lease: 20}, given: again, back: hasLease, happens: "true", loses: true},
		{name: "no DHCP server answers", lan: layout.LAN{Silent: true},
			given: "nmcli device disconnect eth1; (nmcli con up 'Wired connection 2' >/dev/null 2>&1 &) ; sleep 3",
			back:  "nmcli -g GENERAL.STATE device show eth1 | grep -q connecting", happens: "true", loses: true},
		{name: "a profile with a static address that is activated by hand", lan: long(),
			given: "nmcli con show fixed || nmcli con add type ethernet ifname eth1 con-name fixed ip4 192.0.2.9/24 autoconnect no; nmcli con up fixed",
			back:  ipOfEth1 + "192.0.2.9/24", happens: "sleep 8"},
	}
}

// rowsOfNetworkd returns what was seen with systemd-networkd.
func rowsOfNetworkd() []row {
	const again = "networkctl reconfigure eth1"
	return []row{
		{name: "systemd-networkd runs", lan: long(), given: again, back: hasLease, happens: "sleep 8"},
		{name: "systemd-networkd reads its files again", lan: long(), given: again, back: hasLease,
			happens: "networkctl reload; sleep 5"},
		{name: "systemd-networkd is restarted", lan: long(), given: again, back: hasLease,
			happens: "systemctl restart systemd-networkd; sleep 5", loses: true},
		{name: "systemd-networkd is stopped and started", lan: long(), given: again, back: hasLease,
			happens: "systemctl stop systemd-networkd; systemctl start systemd-networkd; sleep 5", loses: true},
		{name: "networkctl reconfigure eth1", lan: long(), given: again, back: hasLease,
			happens: again + " || true; sleep 5", loses: true},
		{name: "the lease ends", lan: layout.LAN{Lease: 20}, given: again, back: hasLease, happens: "sleep 40"},
		{name: "the cable is out for a while", lan: long(), given: again, back: hasLease, happens: "sleep 8", unplugged: true},
	}
}

func TestTheTableOfNetworkManager(t *testing.T) {
	const manager = "NetworkManager"
	s := start(t, managers()[manager])
	succeeds(t, s, hasLease)
	for _, r := range rowsOfNetworkManager() {
		t.Run(r.name, func(t *testing.T) { tryRow(t, s, manager, r) })
	}
	t.Run("a profile that kubernetes-nmstate left", func(t *testing.T) { tryProfileOfNMState(t, s) })
	t.Run("name servers beside systemd-resolved", func(t *testing.T) {
		tryNameServers(t, s, "resolvectl dns", "systemctl restart systemd-resolved")
	})
	t.Run("name servers", func(t *testing.T) {
		const alone = "/etc/NetworkManager/conf.d/alone.conf"
		require.NoError(t, s.Write(t.Context(), alone, "[main]\ndns=default\nrc-manager=file\nsystemd-resolved=false\n"))
		do(t, s, "systemctl mask --now systemd-resolved; rm -f /etc/resolv.conf; systemctl restart NetworkManager")
		says(t, s, "Generated by NetworkManager", "cat", "/etc/resolv.conf")
		tryNameServers(t, s, "cat /etc/resolv.conf", "systemctl restart NetworkManager; nmcli -w 60 general status")
	})
}

func TestTheTableOfNetworkd(t *testing.T) {
	const manager = "systemd-networkd"
	s := start(t, managers()[manager])
	succeeds(t, s, hasLease)
	for _, r := range rowsOfNetworkd() {
		t.Run(r.name, func(t *testing.T) { tryRow(t, s, manager, r) })
	}
	t.Run("name servers", func(t *testing.T) {
		do(t, s, "rm -f /etc/resolv.conf; busybox ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf")
		tryNameServers(t, s, "resolvectl dns", "systemctl restart systemd-resolved")
	})
	t.Run("a link whose name is a pattern", func(t *testing.T) { tryPattern(t, s) })
}

// tryPattern takes over a link whose name, as a pattern, is that of the node's NICs too.
func tryPattern(t *testing.T, s *systems.System) {
	succeeds(t, s, "networkctl reconfigure eth1; "+hasLease)
	do(t, s, "/usr/sbin/ip link add 'eth*' type veth peer name far && /usr/sbin/ip link set 'eth*' up")
	const managed, others = "networkctl status 'eth\\*' | grep -q 20-wired", "networkctl status eth1 | grep -q 20-wired"
	succeeds(t, s, managed)
	out, err := apply(t, s, "apply", `interfaces:
- {name: br9, type: linux-bridge, state: up, ipv4: {enabled: false}, ipv6: {enabled: false}, bridge: {port: [{name: "eth*"}]}}
`)
	require.NoError(t, err, out)
	assert.Contains(t, out, "~ eth* taken over from systemd-networkd")
	succeeds(t, s, "networkctl reload && networkctl status 'eth\\*' | grep -q unmanaged")
	succeeds(t, s, others+" && "+hasLease)
	do(t, s, "applier revert p")
	succeeds(t, s, managed)
	assert.Empty(t, strings.TrimSpace(do(t, s, leftovers)))
	do(t, s, "/usr/sbin/ip link del far")
}

// succeeds waits until a line of shell succeeds in the guest.
func succeeds(t *testing.T, s *systems.System, line string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := s.Exec(t.Context(), "sh", "-c", line)
		return err == nil
	}, patience, time.Second, "this succeeds: %s", line)
}

// uptime returns the guest's clock, in seconds.
func uptime(t *testing.T, s *systems.System) float64 {
	t.Helper()
	first, _, _ := strings.Cut(do(t, s, "cat /proc/uptime"), " ")
	seconds, err := strconv.ParseFloat(first, 64)
	require.NoError(t, err)
	return seconds
}

// tryRow tries a row without us, with us, and when we are gone again.
func tryRow(t *testing.T, s *systems.System, manager string, r row) {
	require.NoError(t, s.SetLAN(t.Context(), r.lan))
	succeeds(t, s, r.given)
	if !strings.HasPrefix(r.given, "systemctl stop") {
		succeeds(t, s, r.back)
	}
	t.Cleanup(func() {
		if t.Failed() { // the next row begins where this one did
			_, _ = s.Exec(context.WithoutCancel(t.Context()), "sh", "-c", "applier revert p; "+undoneByHand)
		}
	})
	do(t, s, byHand)
	began := uptime(t, s)
	happen(t, s, r)
	before := "stays"
	if r.loses {
		left := func() bool { return !inBridge(t, s) }
		require.Eventually(t, left, patience, time.Second, "without us it leaves the bridge")
	}
	took := uptime(t, s) - began
	if !inBridge(t, s) { // where nothing is said of that, managers do as they like
		before = fmt.Sprintf("leaves the bridge (%.0f s)", took)
	}
	do(t, s, undoneByHand)
	if strings.HasPrefix(r.given, "systemctl stop") {
		succeeds(t, s, r.back)
	}
	succeeds(t, s, r.given+" || true")
	if !strings.HasPrefix(r.given, "systemctl stop") {
		succeeds(t, s, r.back)
	}

	out, err := apply(t, s, "apply", bridgeOverEth1)
	require.NoError(t, err, out)
	if !strings.HasPrefix(r.given, "systemctl stop") {
		assert.Contains(t, out, "~ eth1 taken over from "+manager)
	}
	began = uptime(t, s)
	happen(t, s, r)
	for r.loses && uptime(t, s) < began+2*took {
		require.True(t, inBridge(t, s), "with us, as long as it takes without us")
		do(t, s, "sleep 1")
	}
	require.True(t, inBridge(t, s), "with us")
	assert.NotContains(t, do(t, s, "/usr/sbin/ip addr show eth1"), "inet ")

	out = do(t, s, "applier revert p")
	assert.False(t, inBridge(t, s), "reverted: %s", out)
	succeeds(t, s, r.back)
	assert.Empty(t, strings.TrimSpace(do(t, s, leftovers)), "nothing of ours is left")
	fmt.Fprintf(t.Output(), "| %s | %s | stays | as before |\n", r.name, before)
}

// tryProfileOfNMState has NetworkManager keep eth1 in br1 by profiles such as kubernetes-nmstate writes, and a policy
// that takes it out.
func tryProfileOfNMState(t *testing.T, s *systems.System) {
	const profiles = "nmcli con add type bridge ifname br1 con-name br1 ipv4.method disabled ipv6.method disabled bridge.stp no " +
		"connection.autoconnect-slaves 1 && nmcli con add type ethernet ifname eth1 con-name eth1 master br1 slave-type bridge && " +
		"nmcli -w 60 con up br1 && nmcli -w 60 con up eth1"
	do(t, s, profiles)
	require.True(t, inBridge(t, s))
	do(t, s, "/usr/sbin/ip link set eth1 nomaster")
	require.Eventually(t, func() bool { return inBridge(t, s) }, patience, time.Second,
		"without us NetworkManager puts it back")

	out, err := apply(t, s, "apply", `interfaces:
- {name: br1, type: linux-bridge, state: up, bridge: {port: []}}
- {name: eth1, type: ethernet, state: up}
`)
	require.NoError(t, err, out)
	assert.Contains(t, out, "the profile br1 of br1, which kubernetes-nmstate left, stays on disk and has no effect")
	assert.Contains(t, out, "the profile eth1 of eth1, which kubernetes-nmstate left, stays on disk and has no effect")
	do(t, s, "sleep 20")
	assert.False(t, inBridge(t, s), "with us")
	assert.Contains(t, do(t, s, "ls /etc/NetworkManager/system-connections"), "br1.nmconnection")

	do(t, s, "applier revert p")
	require.Eventually(t, func() bool { return inBridge(t, s) }, patience, time.Second, "given back by its profiles")
	assert.Empty(t, strings.TrimSpace(do(t, s, leftovers)))
	assert.Contains(t, do(t, s, "applier remove-profiles eth0 eth1 br1"), "removed [")
	assert.NotRegexp(t, `br1|eth1\.`, do(t, s, "ls /etc/NetworkManager/system-connections"))
	do(t, s, "sleep 10")
	assert.False(t, inBridge(t, s), "nobody puts it back any more")
}

const leftovers = "ls /run/systemd/network /run/systemd/networkd.conf.d /run/systemd/resolved.conf.d /run/NetworkManager/conf.d 2>/dev/null | grep bridgehead || true"

// happen has happen what happens.
func happen(t *testing.T, s *systems.System, r row) {
	t.Helper()
	if r.unplugged {
		require.NoError(t, s.SetCable(t.Context(), 1, false))
		says(t, s, "NO-CARRIER", "/usr/sbin/ip", "link", "show", "eth1")
	}
	do(t, s, r.happens)
	if r.unplugged {
		require.NoError(t, s.SetCable(t.Context(), 1, true))
		says(t, s, "LOWER_UP", "/usr/sbin/ip", "link", "show", "eth1")
		do(t, s, "sleep 3")
	}
}
