package systems_test

import (
	"fmt"
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

// By hand, eth1 becomes a port of br1 as by netlink alone.
const byHand = `/usr/sbin/ip link add br1 type bridge && /usr/sbin/ip link set br1 up && /usr/sbin/ip addr flush dev eth1 &&
	/usr/sbin/ip link set eth1 master br1 up`

const undoneByHand = "/usr/sbin/ip link set eth1 nomaster; /usr/sbin/ip link del br1"

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

// A trial is something that happens to a node whose eth1 is a port of br1.
type trial struct {
	// does is what happens, as a line of shell, until it is over and done with.
	does string
	// seen is what proves that the manager had its say: what the log has from then on.
	breaks bool
}

// trials are what happens under each manager. breaks says what becomes of a port that nobody took over.
func trials(manager string) map[string]trial {
	if manager == "NetworkManager" {
		return map[string]trial{
			"nmcli con up":                {"nmcli -w 60 con up 'Wired connection 2' || true", true},
			"NetworkManager is restarted": {"systemctl restart NetworkManager; nmcli -w 60 general status; sleep 8", false},
		}
	}
	return map[string]trial{
		"systemd-networkd is restarted":          {"systemctl restart systemd-networkd; sleep 5", true},
		"systemd-networkd reads its files again": {"networkctl reload; sleep 3", false},
	}
}

func TestTakenOverLinksStayWhereTheyAre(t *testing.T) {
	for name, options := range managers() {
		t.Run(name, func(t *testing.T) {
			s := start(t, options)
			leased(t, s)
			out, err := apply(t, s, "apply", bridgeOverEth1)
			require.NoError(t, err, out)
			assert.Contains(t, out, "~ eth1 taken over from "+name)
			assert.True(t, inBridge(t, s), "after the change")
			for what, trial := range trials(name) {
				do(t, s, trial.does)
				assert.True(t, inBridge(t, s), what)
				assert.NotContains(t, do(t, s, "/usr/sbin/ip addr show eth1"), "inet ", what)
			}
			out = do(t, s, "applier revert p")
			assert.False(t, inBridge(t, s), "reverted: %s", out)
			leased(t, s)
			assert.Empty(t, strings.TrimSpace(do(t, s, "ls /run/systemd/network /run/NetworkManager/conf.d 2>/dev/null | grep bridgehead || true")))

			out, err = apply(t, s, "fail", bridgeOverEth1)
			require.Error(t, err, out)
			assert.False(t, inBridge(t, s), "undone")
			leased(t, s)

			for what, trial := range trials(name) {
				do(t, s, byHand)
				do(t, s, trial.does)
				assert.Equal(t, !trial.breaks, inBridge(t, s), "before us: %s", what)
				fmt.Fprintln(t.Output(), what)
				do(t, s, undoneByHand)
				do(t, s, "networkctl reconfigure eth1 2>/dev/null || nmcli -w 60 device connect eth1")
				leased(t, s)
			}
		})
	}
}
