// SPDX-License-Identifier: Apache-2.0

package systems_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/systems"
	"github.com/bridgehead-dev/bridgehead/e2e/systems/layout"
)

// bridgeOverEth1 is the policy of the user guide.
const bridgeOverEth1 = `interfaces:
- {name: br1, type: linux-bridge, state: up, ipv4: {enabled: false}, ipv6: {enabled: false}, bridge: {port: [{name: eth1}]}}
`

// do runs a line of shell in the guest.
func do(t *testing.T, s *systems.System, line string) string {
	t.Helper()
	out, err := s.Exec(t.Context(), "sh", "-c", line)
	require.NoError(t, err, out)
	return out
}

// inBridge says whether eth1 is a port of br1.
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

// leased waits until eth1 has its lease from the LAN.
func leased(t *testing.T, s *systems.System) {
	t.Helper()
	says(t, s, layout.LeasedAddress, "ip", "addr", "show", "eth1")
}

// trials are what happens to a node whose eth1 is a port of br1, as lines of shell that end when it is over.
func trials() map[string]string {
	return map[string]string{
		"nmcli con up":                "nmcli -w 60 con up 'Wired connection 2' || true",
		"NetworkManager is restarted": "systemctl restart NetworkManager; nmcli -w 60 general status; sleep 8",
	}
}

// What becomes of the link when the policy is reverted, and networkd, are not tried here yet.
func TestLinksTakenOverFromNetworkManagerStayWhereTheyAre(t *testing.T) {
	const manager = "NetworkManager"
	s := start(t, managers()[manager])
	leased(t, s)
	out, err := apply(t, s, "apply", bridgeOverEth1)
	require.NoError(t, err, out)
	assert.Contains(t, out, "~ eth1 taken over from "+manager)
	assert.True(t, inBridge(t, s), "after the change")
	for what, line := range trials() {
		do(t, s, line)
		assert.True(t, inBridge(t, s), what)
		assert.NotContains(t, do(t, s, "/usr/sbin/ip addr show eth1"), "inet ", what)
	}
}
