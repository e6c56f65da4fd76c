// SPDX-License-Identifier: Apache-2.0

//go:build guest && noipv6

package kernel

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

func TestAKernelWithoutIPv6IsReadWatchedAndChanged(t *testing.T) {
	k := openGuest(t)
	_, err := os.Stat("/proc/sys/net/ipv6/conf")
	require.ErrorIs(t, err, os.ErrNotExist, "run it with vmrun -append ipv6.disable=1")
	before := read(t, k)
	_, err = k.Watch(t.Context())
	require.NoError(t, err)
	steps := configure(t, k, readFile(t, "testdata/story/desired.yaml"))
	require.Empty(t, planned(t, k, readFile(t, "testdata/story/desired.yaml")), "all of it is done")
	require.NoError(t, Undo(k, steps))
	assert.True(t, netstate.Equal(before, read(t, k)))
}

// planned returns what is to be done for a desired state.
func planned(t *testing.T, node Node, desired netstate.State) []netstate.Step {
	t.Helper()
	steps, err := netstate.Plan(read(t, node), desired)
	require.NoError(t, err)
	return steps
}
