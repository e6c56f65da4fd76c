// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// Nodes of clusters forward IPv6, and then the kernel takes router advertisements only with accept_ra=2.
func TestAutoconfTakesAdvertisementsWhereTheNodeForwards(t *testing.T) {
	k := openGuest(t)
	const conf = "/proc/sys/net/ipv6/conf/eth3/"
	before, err := os.ReadFile(conf + "forwarding")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(conf+"forwarding", []byte("1"), 0))
	t.Cleanup(func() { assert.NoError(t, os.WriteFile(conf+"forwarding", before, 0)) })
	ip := func(autoconf bool) netstate.State {
		return netstate.State{Interfaces: []netstate.Interface{{Name: "eth3", Type: netstate.TypeEthernet, State: netstate.StateUp,
			IPv6: &netstate.IP{Enabled: new(true), Autoconf: new(autoconf)}}}}
	}
	configure(t, k, ip(false))
	configure(t, k, ip(true))
	accept, err := os.ReadFile(conf + "accept_ra")
	require.NoError(t, err)
	assert.Equal(t, "2\n", string(accept))
}

// A link that was autoconf before the node began to forward has an accept_ra of 1: a policy that says autoconf is not
// yet fulfilled there.
func TestAutoconfIsMendedWhereTheNodeBeganToForward(t *testing.T) {
	k := openGuest(t)
	const conf = "/proc/sys/net/ipv6/conf/eth3/"
	wish := netstate.State{Interfaces: []netstate.Interface{{Name: "eth3", Type: netstate.TypeEthernet, State: netstate.StateUp,
		IPv6: &netstate.IP{Enabled: new(true), Autoconf: new(true)}}}}
	configure(t, k, wish)
	for file, value := range map[string]string{"accept_ra": "1", "forwarding": "1"} {
		before, err := os.ReadFile(conf + file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(conf+file, []byte(value), 0))
		t.Cleanup(func() { assert.NoError(t, os.WriteFile(conf+file, before, 0)) })
	}
	steps, err := netstate.Plan(read(t, k), wish)
	require.NoError(t, err)
	assert.Equal(t, "~ eth3 ipv6 accept-ra 1 → 2\n", netstate.Format(steps))
	require.NoError(t, Apply(k, steps))
	rest, err := netstate.Plan(read(t, k), wish)
	require.NoError(t, err)
	assert.Empty(t, rest)
}
