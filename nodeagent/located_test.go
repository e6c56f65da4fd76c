// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// uplinkInBridge asks for the NIC that bare calls eth1, byMAC for an MTU of the one it calls eth2, under the names of
// each other.
const (
	uplinkInBridge = `
interfaces:
- {name: eth2, identifier: mac-address, mac-address: "52:55:00:D1:56:01", type: ethernet, state: up, mtu: 1400}
- {name: br1, type: linux-bridge, state: up, bridge: {port: [{name: eth2, vlan: {}}]}}`
	otherByMAC = `
interfaces:
- {name: eth1, identifier: mac-address, mac-address: "52:55:00:D1:56:02", type: ethernet, state: up, mtu: 1300}`
)

// renaming is a node whose NICs have other names after a boot.
func renaming(t *testing.T, names map[string]string) *kernel.Model {
	t.Helper()
	state := bare(t)
	for n, i := range state.Interfaces {
		if to, renamed := names[i.Name]; renamed {
			state.Interfaces[n].Name = to
		}
	}
	slices.SortFunc(state.Interfaces, func(a, b netstate.Interface) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return kernel.NewModel(state)
}

// mtu and ports are of a link of a node.
func mtu(t *testing.T, node kernel.Node, link string) int {
	t.Helper()
	i, found := named(t, node, link)
	require.True(t, found, link)
	return *i.MTU
}

func ports(t *testing.T, node kernel.Node, link string) []string {
	t.Helper()
	i, found := named(t, node, link)
	require.True(t, found, link)
	return i.Ports()
}

// Names of NICs are not the same after every boot. A policy that finds them by MAC is about the same NICs then,
// whatever is done about it: they are restored, kept from managers, healed, changed and given back.
func TestAPolicyByMACIsAboutTheSameNICsAfterABoot(t *testing.T) {
	for name, swapped := range map[string]map[string]string{
		"with the same names":    {},
		"with swapped names":     {"eth1": "eth2", "eth2": "eth1"},
		"with names moved along": {"eth0": "eth3", "eth1": "eth0", "eth2": "eth1", "eth3": "eth2"},
		"with new names":         {"eth1": "enp1s0", "eth2": "enp2s0"},
	} {
		now := func(link string) string {
			if to, renamed := swapped[link]; renamed {
				return to
			}
			return link
		}
		t.Run(name, func(t *testing.T) {
			dir, model := t.TempDir(), kernel.NewModel(bare(t))
			k := startKeeper(t, model, dir)
			require.NoError(t, k.Apply(t.Context(), wish(t, "p", uplinkInBridge)))
			require.NoError(t, k.Apply(t.Context(), wish(t, "q", otherByMAC)))
			require.Equal(t, []string{"eth1"}, ports(t, model, "br1"))
			require.Equal(t, 1300, mtu(t, model, "eth2"))
			assert.Equal(t, 1400, mtu(t, model, "eth1"))

			booted := renaming(t, swapped)
			untouched, err := booted.Read()
			require.NoError(t, err)
			k = newKeeper(t, booted, dir)
			var held []string
			k.HoldLinks = func(links []string) error {
				held = links
				return nil
			}
			require.NoError(t, k.Restore())
			assert.Equal(t, []string{now("eth1")}, ports(t, booted, "br1"))
			assert.Equal(t, 1400, mtu(t, booted, now("eth1")))
			assert.Equal(t, 1300, mtu(t, booted, now("eth2")))
			assert.ElementsMatch(t, []string{"br1", now("eth1"), now("eth2")}, held)
			healed, _ := k.Heal()
			assert.Empty(t, healed)

			k.Probe = func(context.Context) func(context.Context) error {
				return func(context.Context) error { return errors.New("no answer") }
			}
			before, err := booted.Read()
			require.NoError(t, err)
			next := wish(t, "p", uplinkInBridge)
			next.Desired.Interfaces[0].MTU = new(1450)
			require.Error(t, k.Apply(t.Context(), next))
			assertState(t, before, booted, "undone")

			k = newKeeper(t, booted, dir) // an agent that starts anew on this boot
			require.NoError(t, k.Restore())
			require.NoError(t, k.Revert(t.Context(), "p"))
			assert.Equal(t, 1500, mtu(t, booted, now("eth1")))
			assert.Equal(t, 1300, mtu(t, booted, now("eth2")), "another policy's")
			require.NoError(t, k.Revert(t.Context(), "q"))
			assertState(t, untouched, booted, "reverted")
		})
	}
}

// While the NIC is not there, the one that has got its name is nobody's of ours.
func TestNothingIsTakenForANICThatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, startKeeper(t, kernel.NewModel(bare(t)), dir).Apply(t.Context(), wish(t, "p", uplinkInBridge)))

	state, err := renaming(t, map[string]string{"eth1": "late", "eth2": "eth1"}).Read()
	require.NoError(t, err)
	nic, _ := state.Interface("late")
	booted := &broken{Node: kernel.NewModel(withoutLink(state, "late"))}
	k := newKeeper(t, booted, dir)
	var held []string
	k.HoldLinks = func(links []string) error {
		held = links
		return nil
	}
	require.Error(t, k.Restore())
	assert.NotContains(t, held, "eth1")
	assert.NotContains(t, held, "eth2")
	current, err := k.Read()
	require.NoError(t, err)
	other, _ := current.Interface("eth1")
	assert.False(t, other.Owned)
	healed, _ := k.Heal()
	for _, h := range healed {
		require.Error(t, h.Err)
		assert.Contains(t, h.Err.Error(), "52:55:00:D1:56:01", "what is missing")
	}
	assertState(t, withoutLink(state, "late"), booted, "nothing was done")

	// The record is written meanwhile, and read by an agent that starts anew.
	noHealing := wish(t, "p", uplinkInBridge)
	noHealing.Heal = false
	require.NoError(t, k.Annotate("p", noHealing))
	k = newKeeper(t, booted, dir)
	require.Error(t, k.Restore())
	state.Interfaces = append(withoutLink(state, "late").Interfaces, nic)
	booted.Node = kernel.NewModel(state)
	_, again := k.Heal()
	assert.Zero(t, again, "all is restored")
	assert.Equal(t, []string{"late"}, ports(t, booted, "br1"))
	require.NoError(t, k.Revert(t.Context(), "p"))
	assertState(t, state, booted, "reverted")
}
