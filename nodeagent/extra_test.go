// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// addAddress gives a link of a model an address, as keepalived does.
func addAddress(t *testing.T, node kernel.Node, link, prefix string) {
	t.Helper()
	p := netip.MustParsePrefix(prefix)
	address := netstate.Address{IP: p.Addr(), PrefixLength: p.Bits()}
	require.NoError(t, node.Do(netstate.Step{Kind: netstate.StepAddress, Link: link,
		To: netstate.Value{Address: &address}}))
}

// prefixes returns the IPv4 addresses of a link.
func prefixes(t *testing.T, node kernel.Node, link string) []string {
	t.Helper()
	state, err := node.Read()
	require.NoError(t, err)
	i, found := state.Interface(link)
	require.True(t, found)
	var all []string
	for _, a := range i.IPv4.Address {
		all = append(all, a.Prefix().String())
	}
	return all
}

// A policy with a static address leaves the virtual address of keepalived or kube-vip alone, whatever happens to it.
func TestAVirtualAddressStaysBesideAStaticPolicy(t *testing.T) {
	const first = `interfaces: [{name: eth1, type: ethernet, state: up,
  ipv4: {enabled: true, address: [{ip: 198.51.100.5, prefix-length: 24}]}}]`
	const second = `interfaces: [{name: eth1, type: ethernet, state: up,
  ipv4: {enabled: true, address: [{ip: 198.51.100.6, prefix-length: 24}]}}]`
	model, dir := kernel.NewModel(bare(t)), t.TempDir()
	k := startKeeper(t, model, dir)
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", first)))
	addAddress(t, model, "eth1", "198.51.100.100/32")

	healed, _ := k.Heal()
	assert.Empty(t, healed, "an extra address is no drift")
	later := wish(t, "p", second)
	later.Generation = 2
	require.NoError(t, k.Apply(t.Context(), later))
	assert.ElementsMatch(t, []string{"198.51.100.6/24", "198.51.100.100/32"}, prefixes(t, model, "eth1"),
		"what the policy named before goes, and nothing else")

	k = startKeeper(t, model, dir)
	healed, _ = k.Heal()
	assert.Empty(t, healed, "nor is it after the agent restarted")
	require.NoError(t, k.Revert(t.Context(), "p"))
	assert.Equal(t, []string{"198.51.100.100/32"}, prefixes(t, model, "eth1"), "a removal leaves it, too")
}

// After a crash in the middle of a change, nothing in memory says which addresses a policy named.
func TestAnAddressThatAnEarlierGenerationNamedIsPutBackByTheUndo(t *testing.T) {
	model, dir := kernel.NewModel(bare(t)), t.TempDir()
	k := startKeeper(t, model, dir)
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", `interfaces: [{name: eth1, type: ethernet, state: up,
  ipv4: {enabled: true, address: [{ip: 198.51.100.5, prefix-length: 24}]}}]`)))
	later := wish(t, "p", `interfaces: [{name: eth1, type: ethernet, state: up,
  ipv4: {enabled: true, address: [{ip: 198.51.100.6, prefix-length: 24}]}}]`)
	later.Generation = 2
	k.Node = &mortal{Node: model, at: 2, after: true}
	require.True(t, dies(func() { _ = k.Apply(t.Context(), later) }))
	again := newKeeper(t, &forgetful{Node: model, forgets: true}, dir)
	again.Boot = k.Boot
	require.NoError(t, again.Restore())
	assert.Equal(t, []string{"198.51.100.5/24"}, prefixes(t, model, "eth1"))
}
