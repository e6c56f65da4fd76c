// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// devices returns a folder of devices with one NIC that can have 8 virtual functions.
func devices(t *testing.T) (folder, number string) {
	t.Helper()
	folder = t.TempDir()
	device := filepath.Join(folder, "eth1", "device")
	require.NoError(t, os.MkdirAll(device, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(device, "sriov_totalvfs"), []byte("8\n"), 0o600))
	number = filepath.Join(device, "sriov_numvfs")
	require.NoError(t, os.WriteFile(number, []byte("0\n"), 0o600))
	return folder, number
}

func TestVirtualFunctionsAreReadAndMade(t *testing.T) {
	folder, number := devices(t)
	k := &Kernel{Devices: folder}
	vfs, err := k.readVFs("eth1")
	require.NoError(t, err)
	assert.Equal(t, &netstate.SRIOV{TotalVFs: new(0), MaxVFs: 8}, vfs)
	require.NoError(t, k.setVFs("eth1", 4))
	vfs, err = k.readVFs("eth1")
	require.NoError(t, err)
	assert.Equal(t, 4, *vfs.TotalVFs)
	require.NoError(t, k.setVFs("eth1", 0))
	text, err := os.ReadFile(number)
	require.NoError(t, err)
	assert.Equal(t, "0", string(text))
	vfs, err = k.readVFs("eth2")
	require.NoError(t, err)
	assert.Nil(t, vfs, "no NIC with virtual functions")
}

func TestHardwareIsComparedKeyByKey(t *testing.T) {
	nic := func(e netstate.Ethtool) netstate.Interface { return netstate.Interface{Ethtool: &e} }
	now := nic(netstate.Ethtool{Feature: netstate.Features{"rx-gro": true, "rx-hashing": false},
		Ring: &netstate.Ring{RX: new(256), RXMax: new(512)}})
	for name, test := range map[string]struct {
		expected netstate.Interface
		want     string
	}{
		"as expected":         {nic(netstate.Ethtool{Feature: netstate.Features{"rx-gro": true}, Ring: &netstate.Ring{RX: new(256)}}), ""},
		"another feature":     {nic(netstate.Ethtool{Feature: netstate.Features{"rx-gro": false}}), "feature rx-gro is true, the plan expects false"},
		"a feature it lacks":  {nic(netstate.Ethtool{Feature: netstate.Features{"loopback": false}}), "feature loopback is false, the plan expects false"},
		"another ring":        {nic(netstate.Ethtool{Ring: &netstate.Ring{RX: new(128)}}), "ring.rx is 256, the plan expects 128"},
		"nothing is expected": {netstate.Interface{}, ""},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, hardwareDifference(test.expected, now)) })
	}
}

func TestWhereSysIsReadOnlyTheErrorSaysWhatToMount(t *testing.T) {
	err := refused(&os.PathError{Op: "open", Path: "/sys/class/net/eth1/device/sriov_numvfs", Err: unix.EROFS}, "set eth1")
	assert.EqualError(t, err, "set eth1: /sys/class/net/eth1/device/sriov_numvfs is read-only: the agent's container needs "+
		"the host's /sys, mounted writable at /host/sys (--host-root=/host) (EROFS)")
}
