// SPDX-License-Identifier: Apache-2.0

//go:build guest

package host_test

import (
	"net"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/hosts"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

// announced is a frame in which a chassis called leaf-7 announces itself for an hour: chassis, port Eth1, time to live,
// name and end.
func announced() []byte {
	return []byte("\x01\x80\xc2\x00\x00\x0e\x02\x00\x00\x00\xab\xcd\x88\xcc" +
		"\x02\x07\x07leaf-7" + "\x04\x05\x05Eth1" + "\x06\x02\x0e\x10" + "\x0a\x06leaf-7" + "\x00\x00")
}

// What a node shows of itself says whether a policy that switches LLDP on is done, and neighbours are news of the node.
// That the policy goes leaves it on, as everything; undoing it does not.
func TestNeighborsAreShownWhileAPolicySaysSo(t *testing.T) {
	far := hosts.New(t)
	far.Plug(t, "lan0", "far", "192.0.2.1/24")
	var conn *packet.Conn
	far.Do(t, func() error {
		nic, err := net.InterfaceByName("far")
		if err != nil {
			return err
		}
		conn, err = packet.Listen(nic, packet.Raw, 0x88cc, nil)
		return err
	})
	t.Cleanup(func() { assert.NoError(t, conn.Close()) })
	dir := t.TempDir()
	a := start(t, dir)
	before := a.read(t)
	changes, err := a.host.Watch(t.Context())
	require.NoError(t, err)
	lan := func() netstate.LLDP {
		link, found := a.read(t).Interface("lan0")
		require.True(t, found)
		return *link.LLDP
	}
	hear := func() {
		require.Eventually(t, func() bool {
			frame := announced()
			_, _ = conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]}) // one that is lost is sent again
			return len(lan().Neighbors) == 1
		}, time.Minute, 50*time.Millisecond, "the neighbour is heard")
	}

	a.apply(t, "p", `interfaces: [{name: lan0, lldp: {enabled: true}}]`)
	assert.True(t, *lan().Enabled)
	hear()
	for told := false; !told; {
		change := <-changes
		told = change.Links["lan0"] && !change.Addresses
	}
	current, err := a.Read()
	require.NoError(t, err)
	text, err := netstate.Marshal(current.Reported())
	require.NoError(t, err)
	assert.Contains(t, string(text), "system-name: leaf-7")
	healed, _ := a.Heal()
	assert.Empty(t, healed, "neighbours are no drift")

	require.NoError(t, a.Orphan("p"))
	a.host.Committed()
	a.stop()
	a = start(t, dir)
	hear()
	require.NoError(t, a.Apply(t.Context(), record(t, "q", 1, `interfaces: [{name: lan0, lldp: {enabled: false}}]`)))
	assert.Equal(t, netstate.LLDP{Enabled: new(false)}, lan())
	require.NoError(t, a.Revert(t.Context(), "q"))
	assert.True(t, *lan().Enabled)

	a.stop()
	a = start(t, t.TempDir()) // a node that knows nothing of it
	a.apply(t, "p", `interfaces: [{name: lan0, lldp: {enabled: true}}]`)
	require.NoError(t, a.Revert(t.Context(), "p"))
	a.sameAs(t, before, "undone")
}
