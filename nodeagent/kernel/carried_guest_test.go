// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// The kernel deletes a macvtap with the link below, so that neither a policy nor an undo may delete that.
func TestALinkIsNotDeletedFromUnderAMacvtap(t *testing.T) {
	k := openGuest(t)
	vlan := netstate.Interface{Name: "eth1.5", Type: netstate.TypeVLAN, State: netstate.StateUp,
		VLAN: &netstate.VLAN{BaseIface: new("eth1"), ID: new(5)}}
	steps := configure(t, k, netstate.State{Interfaces: []netstate.Interface{vlan}})
	t.Cleanup(func() { assert.NoError(t, Undo(k, steps)) })
	run(t, "ip link add mt0 link eth1.5 type macvtap")
	t.Cleanup(func() { run(t, "ip link del mt0") })

	current := read(t, k)
	mt0, found := current.Interface("mt0")
	require.True(t, found)
	assert.Equal(t, "eth1.5", mt0.Below)
	gone := vlan
	gone.State = netstate.StateAbsent
	_, err := netstate.Plan(current, netstate.State{Interfaces: []netstate.Interface{gone}})
	assert.ErrorContains(t, err, "would be deleted with it: mt0")

	var stale *StaleError
	step := netstate.Step{Kind: netstate.StepLink, Link: "eth1.5", From: netstate.Value{Link: &vlan}}
	require.ErrorAs(t, k.Do(step), &stale)
	_, found = read(t, k).Interface("mt0")
	assert.True(t, found)
}
