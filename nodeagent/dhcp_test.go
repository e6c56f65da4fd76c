// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

const dhcpAndDNS = `
interfaces:
- name: eth1
  type: ethernet
  state: up
  ipv4: {enabled: true, dhcp: true, auto-dns: false}
dns-resolver: {config: {server: [192.0.2.53], search: [lab.example]}}`

func TestWhatTheKernelCannotShowIsVerifiedByWhatRuns(t *testing.T) {
	model := kernel.NewModel(bare(t))
	k := startKeeper(t, model, t.TempDir())
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", dhcpAndDNS)))
	state, err := model.Read()
	require.NoError(t, err)
	eth1, _ := state.Interface("eth1")
	assert.True(t, *eth1.IPv4.DHCP)
	healed, _ := k.Heal()
	assert.Empty(t, healed, "there is no lease, and nothing to heal")

	r := k.records["p"]
	require.NoError(t, k.Annotate("p", journal.Record{Heal: true, Revert: true}))
	require.NoError(t, k.Revert(t.Context(), r.Policy))
	assertState(t, bare(t), model, "reverted")
}
