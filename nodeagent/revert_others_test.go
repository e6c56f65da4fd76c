// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// What another policy's links, ports and routes stand on stays when the policy goes that made it, and people are told.
// The other one has nothing to heal.
func TestWhatAnotherPolicyStandsOnIsNotReverted(t *testing.T) {
	const bond = `interfaces: [{name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, port: [eth1, eth2]}}]`
	const bridge = `interfaces: [{name: br1, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]},
  ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.129, prefix-length: 25}]}}]`
	tests := map[string]struct{ one, other, told string }{
		"a VLAN on its bond": {
			bond, `interfaces: [{name: bond0.10, type: vlan, state: up, vlan: {base-iface: bond0, id: 10},
  ipv4: {enabled: true, dhcp: false, address: [{ip: 203.0.113.9, prefix-length: 24}]}}]`,
			"RevertedInPart: policy one is reverted except for bond0, which is still used by eth1, eth2, bond0.10",
		},
		"a port in its bridge": {
			bridge, `interfaces: [{name: eth2, type: ethernet, state: up, controller: br1}]`,
			"RevertedInPart: policy one is reverted except for br1, which is still used by eth1, eth2",
		},
		"a route through its bridge": {
			bridge, `routes: {config: [{destination: 198.51.100.0/24, next-hop-address: 192.0.2.254, next-hop-interface: br1}]}`,
			"RevertedInPart: policy one is reverted except for br1, which is still used by eth1, the route to 198.51.100.0/24",
		},
	}
	for name, test := range tests {
		for about, gone := range map[string]bool{"": false, " and is gone": true} {
			t.Run(name+about, func(t *testing.T) {
				dir := t.TempDir()
				k := startKeeper(t, kernel.NewModel(bare(t)), dir)
				var told []string
				k.Event = func(_, reason, note string) { told = append(told, reason+": "+note) }
				require.NoError(t, k.Apply(t.Context(), wish(t, "one", test.one)))
				other := wish(t, "other", test.other)
				require.NoError(t, k.Apply(t.Context(), other))
				if gone {
					require.NoError(t, k.Orphan("other"))
				}
				require.NoError(t, k.Revert(t.Context(), "one"))
				assertDone(t, other, k, "the other policy holds")
				assert.Equal(t, []string{test.told}, told)
				k = newKeeper(t, kernel.NewModel(bare(t)), dir)
				require.NoError(t, k.Restore(), "after a boot")
				assertDone(t, other, k, "restored")
			})
		}
	}
}
