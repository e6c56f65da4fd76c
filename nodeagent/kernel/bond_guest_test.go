// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// The kernel forgets the MAC of a bond whose last port leaves, also one that a policy asked for.
func TestABondKeepsItsMAC(t *testing.T) {
	k := openGuest(t)
	mac := netstate.MAC{0x52, 0x55, 0, 0xaa, 0, 1}
	bond := func(mode string, ports []string) netstate.State {
		return netstate.State{Interfaces: []netstate.Interface{{Name: "bond0", Type: netstate.TypeBond,
			State: netstate.StateUp, Bond: &netstate.Bond{Mode: &mode, Port: ports}}}}
	}
	first := bond("active-backup", []string{"eth2", "eth1"})
	first.Interfaces[0].MAC = &mac
	steps := configure(t, k, first)
	t.Cleanup(func() { require.NoError(t, Undo(k, steps)) })
	tests := map[string]netstate.State{
		"in another mode":        bond("802.3ad", nil),
		"with other ports":       bond("active-backup", []string{"eth3"}),
		"without ports":          bond("active-backup", []string{}),
		"with one of them":       bond("active-backup", []string{"eth1"}),
		"in a mode without LACP": bond("balance-xor", []string{"eth1", "eth2", "eth3"}),
		"that is left as it is":  bond("active-backup", nil),
		"in round robin":         bond("balance-rr", []string{"eth2", "eth3"}),
	}
	for name, desired := range tests {
		t.Run(name, func(t *testing.T) {
			before := read(t, k)
			plan := configure(t, k, desired)
			bond0, _ := read(t, k).Interface("bond0")
			assert.Equal(t, mac, *bond0.MAC, netstate.Format(plan))
			require.NoError(t, Undo(k, plan))
			same(t, k, before, "undone", plan)
		})
	}
}

// The module of bonds makes bond0 when the first bond is asked for.
func TestALinkThatCameSinceThePlanIsNoRefusal(t *testing.T) {
	k := openGuest(t)
	bond := netstate.State{Interfaces: []netstate.Interface{{Name: "bond0", Type: netstate.TypeBond,
		State: netstate.StateUp, Bond: &netstate.Bond{Mode: new("active-backup"), Port: []string{}}}}}
	steps := configure(t, k, bond)
	t.Cleanup(func() { require.NoError(t, Undo(k, steps)) })
	err := k.Do(steps[0])
	var stale *StaleError
	require.ErrorAs(t, err, &stale)
	assert.EqualError(t, err, "make bond bond0: the node changed since the plan was made: a link of that name exists now")
}
