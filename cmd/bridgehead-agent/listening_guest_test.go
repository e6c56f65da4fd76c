// SPDX-License-Identifier: Apache-2.0

//go:build guest

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/mdlayher/packet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/bridgehead-dev/bridgehead/e2e/dhcpserver"
	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/inguest"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

// listen is the job of an agent that runs on with a lease and neighbours until the test has seen enough.
const listen = "listen"

// enough is the file by which the test says so, and neighbor what the node shows of the far end.
const (
	enough   = "/var/lib/bridgehead/enough"
	neighbor = "system-name: leaf-7"
)

func listenInside(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	h, err := openHost(o, logr.Discard())
	if err != nil {
		return err
	}
	go func() { _ = h.Run(ctx) }() // what it cannot do, the test sees
	keeper, err := restoredKeeper(o, h, logr.Discard())
	if err != nil {
		return err
	}
	policy, errs := netstate.Parse([]byte(
		`interfaces: [{name: lan0, state: up, ipv4: {enabled: true, dhcp: true}, lldp: {enabled: true}}]`))
	if len(errs) > 0 {
		return errs.ToAggregate()
	}
	if err := keeper.Apply(ctx, journal.Record{Policy: "p", Generation: 1, Desired: journal.State(policy)}); err != nil {
		return err
	}
	hears := func(context.Context) (bool, error) {
		current, err := keeper.Read()
		if err != nil {
			return false, err
		}
		text, err := netstate.Marshal(current.Reported())
		return strings.Contains(string(text), neighbor), err
	}
	if err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, hears); err != nil {
		return fmt.Errorf("hear the neighbour: %w", err)
	}
	fmt.Println("hears", neighbor)
	return wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(context.Context) (bool, error) {
		_, err := os.Stat(filepath.Join(o.StateDir, filepath.Base(enough)))
		return err == nil, nil
	})
}

// With the capabilities of the manifest, and no others, the agent gets a lease, renews it by unicast from the address
// that it has, and hears its neighbours.
func TestTheAgentRenewsLeasesAndHearsNeighborsInItsContainer(t *testing.T) {
	inguest.Require(t)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll("/var/lib/bridgehead")) })
	s := dhcpserver.Start(t, "lan0", "192.0.2.0/24", dhcpserver.Seconds(1, 30, 60)...)
	var conn *packet.Conn
	s.Do(t, func() error {
		nic, err := net.InterfaceByName("server")
		if err != nil {
			return err
		}
		conn, err = packet.Listen(nic, packet.Raw, 0x88cc, nil)
		return err
	})
	t.Cleanup(func() { assert.NoError(t, conn.Close()) })

	const renewal = "REQUEST more time"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		wait.UntilWithContext(ctx, func(context.Context) {
			_, _ = conn.WriteTo(leaf7(), &packet.Addr{HardwareAddr: leaf7()[:6]}) // one that is lost is sent again
			if s.Heard(renewal) {
				_ = os.WriteFile(enough, nil, 0o600)
			}
		}, 200*time.Millisecond)
	}()
	output, failed := containerOf(t, readDaemonSet(t), listen).run(t)
	cancel()
	<-ended
	require.NoError(t, failed, output)
	assert.Contains(t, output, "hears "+neighbor)
	assert.Contains(t, s.Told(), renewal)
}

// leaf7 is a frame in which a chassis called leaf-7 announces itself for an hour: chassis, port, time to live, name and
// end.
func leaf7() []byte {
	return []byte("\x01\x80\xc2\x00\x00\x0e\x02\x00\x00\x00\xab\xcd\x88\xcc" +
		"\x02\x07\x07leaf-7" + "\x04\x05\x05Eth1" + "\x06\x02\x0e\x10" + "\x0a\x06leaf-7" + "\x00\x00")
}
