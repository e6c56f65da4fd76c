// SPDX-License-Identifier: Apache-2.0

//go:build guest

package main

import (
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

func TestNothingIsRestoredWhereNothingCanBeNoted(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	desired, errs := netstate.Parse([]byte("interfaces: [{name: br7, type: linux-bridge, state: up}]"))
	require.Empty(t, errs)
	j, err := journal.Open(dir)
	require.NoError(t, err)
	require.NoError(t, j.Keep(journal.Record{Policy: "p", Generation: 1, Desired: journal.State(desired)}))
	before, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))

	o := defaultOptions("n1")
	o.StateDir = dir
	err = restore(t.Context(), o, "")
	require.ErrorIs(t, err, unix.EROFS)
	require.ErrorContains(t, err, "the node's network is not changed, because no record of it can be kept: open a lock: ")
	_, err = net.InterfaceByName("br7")
	require.Error(t, err, "nothing is half done")
	after, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Equal(t, before, after)
}
