// SPDX-License-Identifier: Apache-2.0

//go:build guest

package lldp

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/mdlayher/packet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/hosts"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// A neighbor is a host at the far end of a cable that can announce itself.
type neighbor struct {
	hosts.Host
	conn *packet.Conn
}

func plug(t *testing.T, near string) neighbor {
	t.Helper()
	n := neighbor{Host: hosts.New(t)}
	n.Plug(t, near, "far", "192.0.2.1/24")
	n.Do(t, func() error {
		nic, err := net.InterfaceByName("far")
		if err != nil {
			return err
		}
		n.conn, err = packet.Listen(nic, packet.Raw, etherType, nil)
		return err
	})
	t.Cleanup(func() { assert.NoError(t, n.conn.Close()) })
	return n
}

// send sends a frame to one of the groups, or elsewhere, by the last byte. It may be lost: a link that was down says so
// at the next frame.
func (n neighbor) send(to byte, payload []byte) {
	group := net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, to}
	header := append(append([]byte{}, group...), 2, 0, 0, 0, 0xab, 0xcd, etherType>>8, etherType&0xff)
	_, _ = n.conn.WriteTo(append(header, payload...), &packet.Addr{HardwareAddr: group})
}

// named is the payload of an announcement of a system; ttl are its two bytes of seconds.
func named(system, ttl string) []byte {
	return []byte(put(tlvChassisID, "\x07"+system) + put(tlvPortID, portName) + put(tlvTTL, ttl) +
		put(tlvSystemName, system) + put(tlvEnd, ""))
}

// running are listeners that run until the end of the test, or stop.
func running(t *testing.T, folder string) (listeners *Listeners, stop func()) {
	t.Helper()
	k, err := kernel.Open()
	require.NoError(t, err)
	listeners = New(Options{Network: k, Folder: folder, Boot: "one", Log: testr.New(t)})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- listeners.Run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			assert.NoError(t, <-ended)
			k.Close()
		}
	}
	t.Cleanup(stop)
	return listeners, stop
}

func step(link string, on bool) netstate.Step {
	return netstate.Step{Kind: netstate.StepLLDP, Link: link, To: netstate.Value{
		Link: &netstate.Interface{Name: link, LLDP: &netstate.LLDP{Enabled: new(on)}}}}
}

// await waits until a link has the neighbours of these names, sending what makes them known meanwhile.
func await(t *testing.T, listeners *Listeners, link string, send func(), want ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		if send != nil {
			send()
		}
		var have []string
		neighbors, _ := listeners.Neighbors(link)
		for _, items := range neighbors {
			have = append(have, items[0].SystemName)
		}
		return assert.ObjectsAreEqual(want, have)
	}, time.Minute, 50*time.Millisecond, "%s hears %v", link, want)
}

// groupsOf are the groups of announcements that a link's NIC passes on.
func groupsOf(t *testing.T, link string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/dev_mcast")
	require.NoError(t, err)
	n := 0
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) == 5 && words[1] == link && strings.HasPrefix(words[4], "0180c200000") {
			n++
		}
	}
	return n
}

func TestNeighborsAreHeard(t *testing.T) {
	far := plug(t, "lan0")
	listeners, _ := running(t, t.TempDir())
	_, on := listeners.Neighbors("lan0")
	assert.False(t, on)
	require.NoError(t, listeners.Do(step("lan0", true)))
	_, on = listeners.Neighbors("lan0")
	assert.True(t, on)
	hour := "\x0e\x10"
	await(t, listeners, "lan0", func() { far.send(0x0e, named("leaf-1", hour)) }, "leaf-1")
	assert.Equal(t, len(groups()), groupsOf(t, "lan0"))
	await(t, listeners, "lan0", func() {
		far.send(0x03, named("leaf-2", hour))
		far.send(0x00, named("leaf-3", hour))
		far.send(0x01, named("to another group", hour))
		far.send(0x0e, []byte("no announcement"))
	}, "leaf-1", "leaf-2", "leaf-3")

	await(t, listeners, "lan0", func() { far.send(0x0e, named("leaf-2", "\x00\x00")) }, "leaf-1", "leaf-3")
	far.send(0x0e, named("leaf-1", "\x00\x01")) // it goes without saying so
	await(t, listeners, "lan0", nil, "leaf-3")

	far.SetUp(t, "far", false)
	await(t, listeners, "lan0", nil)
	far.SetUp(t, "far", true)
	await(t, listeners, "lan0", func() { far.send(0x0e, named("leaf-4", hour)) }, "leaf-4")

	require.NoError(t, listeners.Do(step("lan0", false)))
	neighbors, on := listeners.Neighbors("lan0")
	assert.Empty(t, neighbors)
	assert.False(t, on)
	assert.Zero(t, groupsOf(t, "lan0"), "the socket is closed")
}

func TestAPortOfABridgeHearsItsNeighbor(t *testing.T) {
	far := plug(t, "lan0")
	ip := func(args ...string) {
		ctx := context.WithoutCancel(t.Context())
		out, err := exec.CommandContext(ctx, "ip", append([]string{"link"}, args...)...).CombinedOutput()
		require.NoError(t, err, "%v: %s", args, out)
	}
	ip("add", "br9", "type", "bridge")
	t.Cleanup(func() { ip("del", "br9") })
	ip("set", "lan0", "master", "br9")
	ip("set", "br9", "up")
	listeners, _ := running(t, t.TempDir())
	require.NoError(t, listeners.Do(step("lan0", true)))
	await(t, listeners, "lan0", func() { far.send(0x0e, named("leaf-1", "\x0e\x10")) }, "leaf-1")
}

func TestListenersGoOnAfterAStartAndWaitForTheirLinks(t *testing.T) {
	folder := t.TempDir()
	listeners, stop := running(t, folder)
	require.NoError(t, listeners.Do(step("late0", true)))
	require.NoError(t, listeners.Do(step("gone0", true)))
	require.NoError(t, listeners.Do(step("gone0", false)))
	stop()
	listeners, _ = running(t, folder)
	require.NoError(t, listeners.Resume())
	assert.Equal(t, []string{"late0"}, listeners.Links())
	far := plug(t, "late0")
	await(t, listeners, "late0", func() { far.send(0x0e, named("leaf-1", "\x0e\x10")) }, "leaf-1")
}
