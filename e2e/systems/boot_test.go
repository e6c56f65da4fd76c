// SPDX-License-Identifier: Apache-2.0

package systems_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/systems"
	"github.com/bridgehead-dev/bridgehead/e2e/systems/layout"
)

// A boot is a policy that a node boots by.
type boot struct {
	name, policy string
	// up succeeds once the node is as the policy says.
	up string
	// address is the node's, from which kubelet reaches the API server at api; the port of the machine itself if that has
	// none.
	address, api string
}

func boots() []boot {
	const bridged = "bridge link show dev eth1 | grep -q 'master br1'"
	return []boot{
		{"bridge on second NIC", bridgeOverEth1, bridged, "10.0.2.15", layout.UplinkHost},
		{"DHCP bridge over the only NIC", `interfaces:
- name: br1
  type: linux-bridge
  state: up
  ipv4: {enabled: true, dhcp: true}
  ipv6: {enabled: false}
  bridge: {port: [{name: eth1}]}
`, bridged + " && /usr/sbin/ip -4 addr show br1 | grep -q 192.0.2.7/24 && ping -c1 -W1 192.0.2.1", "192.0.2.7", "192.0.2.1:" + layout.APIPort},
		{"bond + VLAN as the API path", `interfaces:
- name: bond0
  type: bond
  state: up
  ipv4: {enabled: false}
  ipv6: {enabled: false}
  link-aggregation: {mode: active-backup, port: [eth1]}
- name: bond0.100
  type: vlan
  state: up
  vlan: {base-iface: bond0, id: 100}
  ipv4: {enabled: true, dhcp: false, address: [{ip: 198.51.100.7, prefix-length: 24}]}
  ipv6: {enabled: false}
`, "ping -c1 -W1 198.51.100.1", "198.51.100.7", "198.51.100.1:" + layout.APIPort},
	}
}

// reached returns when a unit was active, in seconds since the kernel started.
func reached(t *testing.T, s *systems.System, unit string) float64 {
	t.Helper()
	text := do(t, s, "systemctl show -P ActiveEnterTimestampMonotonic "+unit)
	micros, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	require.NoError(t, err)
	require.NotZero(t, micros, "%s is active", unit)
	return micros / 1e6
}

func TestNodesBootByPolicies(t *testing.T) {
	for manager, options := range managers() {
		t.Run(manager, func(t *testing.T) {
			plane := controlplane.StartForTest(t, controlplane.Options{UnsafeNoFsync: true})
			s := start(t, asNode(options, plane))
			succeeds(t, s, hasLease)
			for _, b := range boots() {
				t.Run(b.name, func(t *testing.T) { bootBy(t, s, plane, manager, b) })
			}
			t.Run("without the agent", func(t *testing.T) {
				do(t, s, "applier boot-unit remove; rm -rf /var/lib/bridgehead "+systems.KubeletAccess+"; sync")
				do(t, s, "! systemctl cat bridgehead-restore.service && test ! -e /usr/local/bin/bridgehead-restore")
				require.NoError(t, s.Reboot(t.Context()))
				succeeds(t, s, hasLease)
				assert.NotContains(t, do(t, s, "/usr/sbin/ip -br link"), "bond0", "as the distribution meant it")
				assert.Empty(t, strings.TrimSpace(do(t, s, leftovers)))
			})
		})
	}
}

// bootBy applies a policy, boots, and finds the node as the policy says before its manager or kubelet had a say.
func bootBy(t *testing.T, s *systems.System, plane *controlplane.ControlPlane, manager string, b boot) {
	joinBy(t, s, plane, b)
	out, err := apply(t, s, "apply", b.policy)
	require.NoError(t, err, out)
	do(t, s, "applier boot-unit install; systemctl is-enabled bridgehead-restore.service; sync")
	require.NoError(t, s.Reboot(t.Context()))
	succeeds(t, s, "systemctl is-active bridgehead-restore.service && systemctl is-active "+manager+".service")
	succeeds(t, s, b.up)
	restored, managed := reached(t, s, "bridgehead-restore.service"), reached(t, s, manager+".service")
	assert.Less(t, restored, managed, "before the manager runs")
	ready := nodeReady(t, s, plane)
	do(t, s, "systemctl stop kubelet containerd")
	do(t, s, "systemctl restart "+manager)
	succeeds(t, s, b.up)
	do(t, s, "systemctl stop bridgehead-restore.service")
	succeeds(t, s, b.up) // who takes over finds links and leases as they were
	fmt.Fprintf(t.Output(), "| %s | %s | %.1f s | %.1f s | %.1f s |\n", b.name, manager, restored, managed, ready)
	do(t, s, "applier revert p")
	succeeds(t, s, hasLease)
}
