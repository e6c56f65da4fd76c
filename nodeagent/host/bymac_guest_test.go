// SPDX-License-Identifier: Apache-2.0

//go:build guest

package host_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Links without a permanent MAC have that of their bond while they are its ports. A policy that finds them by the one
// they had finds them still.
func TestPortsOfABondAreFoundByTheMACThatTheyHadBefore(t *testing.T) {
	run(t, `
		ip link add nic1 address 02:00:00:00:00:d1 type dummy
		ip link add nic2 address 02:00:00:00:00:d2 type dummy
		ip link set nic1 up
		ip link set nic2 up`)
	t.Cleanup(func() { clear(t, "bond9", "nic1", "nic2") })
	a := start(t, shortDir(t))
	before, err := a.host.Read()
	require.NoError(t, err)
	require.NoError(t, a.Apply(t.Context(), record(t, "p", 1, `interfaces:
- {name: first, type: dummy, identifier: mac-address, mac-address: "02:00:00:00:00:d1", state: up}
- {name: second, type: dummy, identifier: mac-address, mac-address: "02:00:00:00:00:d2", state: up}
- {name: bond9, type: bond, state: up, link-aggregation: {mode: balance-rr, port: [first, second]}}`)))
	shown := run(t, "ip -o link show master bond9")
	for _, port := range []string{"nic1: ", "nic2: ", "link/ether 02:00:00:00:00:d1"} {
		assert.Contains(t, shown, port)
	}
	assert.NotContains(t, shown, "link/ether 02:00:00:00:00:d2", "a bond gives its ports its own MAC")
	healed, _ := a.Heal()
	assert.Empty(t, healed)
	require.NoError(t, a.Revert(t.Context(), "p"))
	a.sameAs(t, before, "reverted")
	assert.Contains(t, run(t, "ip -o link show nic2"), "link/ether 02:00:00:00:00:d2")
}
