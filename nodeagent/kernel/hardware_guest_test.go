// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// applied applies a policy, checks that nothing is left to do, and undoes it: then the node is as it was.
func applied(t *testing.T, k *Kernel, text string, check func(netstate.State)) {
	t.Helper()
	policy, errs := netstate.Parse([]byte(text))
	require.Empty(t, errs)
	start, before := read(t, k), listing(t)
	steps, err := netstate.Plan(start, policy)
	require.NoError(t, err)
	require.NotEmpty(t, steps)
	require.NoError(t, Apply(k, steps), netstate.Format(steps))
	reached := read(t, k)
	rest, err := netstate.Plan(reached, policy)
	require.NoError(t, err)
	assert.Empty(t, netstate.Format(rest), "left to do")
	check(reached)
	require.NoError(t, Undo(k, steps), netstate.Format(steps))
	same(t, k, start, "undone", steps)
	assert.Equal(t, before, listing(t))
}

func TestADriverIsToldAndToldBack(t *testing.T) {
	k := openGuest(t)
	eth1, _ := read(t, k).Interface("eth1")
	require.NotNil(t, eth1.Ethtool)
	require.NotNil(t, eth1.Ethtool.Ring)
	t.Logf("features %v, ring rx %d tx %d", eth1.Ethtool.Feature, *eth1.Ethtool.Ring.RXMax, *eth1.Ethtool.Ring.TXMax)
	for name, policy := range map[string]string{
		"features":   `{feature: {gro: false, rx-udp-gro-forwarding: true}}`,
		"coalescing": `{coalesce: {tx-frames: 1}}`,
	} {
		t.Run(name, func(t *testing.T) {
			applied(t, k, `interfaces: [{name: eth1, type: ethernet, ethtool: `+policy+`}]`, func(netstate.State) {})
		})
	}
}

// A feature that needs another one, here scatter-gather, which the guest's cards do not have, is not taken; and the
// driver does not say so.
func TestAFeatureThatNeedsAnotherIsNoSuccess(t *testing.T) {
	k := openGuest(t)
	step := netstate.Step{Kind: netstate.StepSet, Link: "eth1",
		From: netstate.Value{Link: &netstate.Interface{Name: "eth1",
			Ethtool: &netstate.Ethtool{Feature: netstate.Features{"tx-generic-segmentation": false}}}},
		To: netstate.Value{Link: &netstate.Interface{Name: "eth1",
			Ethtool: &netstate.Ethtool{Feature: netstate.Features{"tx-generic-segmentation": true}}}}}
	err := k.Do(step)
	require.ErrorContains(t, err, "the driver did not accept it: feature tx-generic-segmentation is false, not true")
}

func TestForwardingIsSwitched(t *testing.T) {
	k := openGuest(t)
	applied(t, k, `interfaces: [{name: eth2, type: ethernet, state: up,
  ipv4: {enabled: true, dhcp: false, forwarding: true, address: [{ip: 198.51.100.2, prefix-length: 24}]},
  ipv6: {enabled: true, autoconf: true, forwarding: true}}]`, func(reached netstate.State) {
		eth2, _ := reached.Interface("eth2")
		assert.True(t, *eth2.IPv4.Forwarding)
		assert.True(t, *eth2.IPv6.Forwarding)
		assert.Equal(t, 2, *eth2.IPv6.AcceptRA, "the kernel takes advertisements with 2 only where it forwards")
	})
}

// BenchmarkRead compares what a NIC takes beyond any other link: its driver is asked four questions. There are not that
// many cards in a guest, so that one is asked as if it were all of them.
func BenchmarkRead(b *testing.B) {
	for _, many := range []int{10, 100, 1000} {
		k, err := Open()
		require.NoError(b, err)
		b.Run(fmt.Sprintf("drivers=%d", many), func(b *testing.B) {
			cards := make([]*link, many)
			for n := range cards {
				cards[n] = &link{iface: netstate.Interface{Name: "eth1", Type: netstate.TypeEthernet}}
			}
			for b.Loop() {
				require.NoError(b, k.readHardware(cards))
			}
		})
		var wish netstate.State
		for n := range many {
			wish.Interfaces = append(wish.Interfaces, netstate.Interface{
				Name: fmt.Sprintf("dummy%d", n), Type: netstate.TypeDummy, State: netstate.StateUp,
			})
		}
		before, err := k.Read()
		require.NoError(b, err)
		steps, err := netstate.Plan(before, wish)
		require.NoError(b, err)
		require.NoError(b, Apply(k, steps))
		b.Run(fmt.Sprintf("links=%d", many), func(b *testing.B) {
			for b.Loop() {
				_, err := k.Read()
				require.NoError(b, err)
			}
		})
		require.NoError(b, Undo(k, steps))
		k.Close()
	}
}
