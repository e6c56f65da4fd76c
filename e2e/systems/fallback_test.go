// SPDX-License-Identifier: Apache-2.0

package systems_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/systems/layout"
)

// taggedWay is a policy by which the node reaches others in a VLAN of eth1.
const taggedWay = `interfaces:
- name: eth1
  type: ethernet
  state: up
  ipv4: {enabled: false}
  ipv6: {enabled: false}
- name: eth1.100
  type: vlan
  state: up
  vlan: {base-iface: eth1, id: 100}
  ipv4: {enabled: true, dhcp: false, address: [{ip: 198.51.100.7, prefix-length: 24}]}
  ipv6: {enabled: false}
routes:
  config: [{destination: 0.0.0.0/0, next-hop-address: 198.51.100.1, next-hop-interface: eth1.100, metric: 10}]
`

func TestABootFallsBackWhereThePortIsNoTrunkAnyMore(t *testing.T) {
	for manager, options := range managers() {
		t.Run(manager, func(t *testing.T) {
			s := start(t, options)
			succeeds(t, s, hasLease)
			out, err := apply(t, s, "apply", taggedWay)
			require.NoError(t, err, out)
			succeeds(t, s, "ping -c1 -W1 198.51.100.1")
			// As the agent does, until there is an answer.
			succeeds(t, s, "applier way 198.51.100.7 && grep -q 'default gateway' "+layout.StateDir+"/way.json")
			do(t, s, "applier boot-unit install; sync")

			require.NoError(t, s.Reboot(t.Context()))
			succeeds(t, s, "systemctl is-active bridgehead-restore.service && ping -c1 -W1 198.51.100.1")
			do(t, s, "test ! -e "+layout.StateDir+"/fallen.json")

			require.NoError(t, s.SetLAN(t.Context(), layout.LAN{Lease: 3600, Untagged: true}))
			do(t, s, "sync")
			require.NoError(t, s.Reboot(t.Context()))
			succeeds(t, s, "systemctl is-active bridgehead-restore.service && "+hasLease)
			fell, managed := reached(t, s, "bridgehead-restore.service"), reached(t, s, manager+".service")
			assert.Less(t, fell, managed, "the manager finds the node as after a plain boot")
			assert.Contains(t, do(t, s, "cat "+layout.StateDir+"/fallen.json"), "no answer from default gateway (198.51.100.1")
			assert.NotContains(t, do(t, s, "/usr/sbin/ip -br link"), "eth1.100")
			assert.Empty(t, strings.TrimSpace(do(t, s, leftovers)), "the manager has all links")

			require.NoError(t, s.Reboot(t.Context()))
			succeeds(t, s, "systemctl is-active bridgehead-restore.service && "+hasLease)
			assert.NotContains(t, do(t, s, "/usr/sbin/ip -br link"), "eth1.100", "the next boot is a plain one")
		})
	}
}
