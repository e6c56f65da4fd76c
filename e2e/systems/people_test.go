// SPDX-License-Identifier: Apache-2.0

package systems_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// listOfPeople is what CNI plugins have people write. NetworkManager reads it after our drop-in and goes by it alone.
const listOfPeople = "[keyfile]\nunmanaged-devices=interface-name:cali*;interface-name:tunl*\n"

func TestLinksAreKeptFromNetworkManagerBesideAListOfPeople(t *testing.T) {
	options := managers()["NetworkManager"]
	options.Files = map[string]string{"/etc/NetworkManager/conf.d/calico.conf": listOfPeople}
	s := start(t, options)
	succeeds(t, s, hasLease)
	out, err := apply(t, s, "apply", bridgeOverEth1)
	require.NoError(t, err, out)
	do(t, s, "applier boot-unit install; sync")
	require.NoError(t, s.Reboot(t.Context()))
	succeeds(t, s, "systemctl is-active bridgehead-restore.service && systemctl is-active NetworkManager.service")
	assert.NotContains(t, do(t, s, "NetworkManager --print-config"), "interface-name:=eth1", "ours does not count")

	// Ours would keep people from activating a profile. Of NetworkManager's own word, that the device is not managed,
	// their wish makes an end, and who holds the link puts it back.
	const unmanaged = "nmcli -g GENERAL.STATE device show eth1 | grep -q unmanaged"
	const kept = unmanaged + " && bridge link show dev eth1 | grep -q 'master br1'"
	succeeds(t, s, kept)
	do(t, s, "nmcli -w 30 con up 'Wired connection 2' ifname eth1 || true")
	succeeds(t, s, kept)
	do(t, s, "systemctl restart NetworkManager; nmcli -w 60 general status")
	succeeds(t, s, unmanaged)
	assert.True(t, inBridge(t, s), "NetworkManager remembers what it was told")

	do(t, s, "systemctl stop bridgehead-restore.service; applier revert p")
	succeeds(t, s, hasLease)
	assert.Empty(t, strings.TrimSpace(do(t, s, leftovers)))
}
