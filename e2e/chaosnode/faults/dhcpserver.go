// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"strings"

	"github.com/bridgehead-dev/bridgehead/e2e/node"
)

// leaseSeconds is long enough for a node that boots on a busy machine to ask for more, and short enough to wait for
// that.
const leaseSeconds = 40

// A dhcpServer runs on node02, in the VLAN 9 of the segment, and lends one address.
type dhcpServer struct {
	field *Field
	node  *node.Node
	lends string
}

// serverConfig is the configuration of a server: of what it lends, twice, and for how many seconds.
const serverConfig = `
interface eth1.9
start %s
end %s
lease_file /run/udhcpd.leases
pidfile /run/udhcpd.pid
min_lease 10
option subnet 255.255.255.0
option lease %d
`

// serve starts a server that lends an address.
func (f *Field) serve(ctx context.Context, lends string) (*dhcpServer, error) {
	s := &dhcpServer{field: f, node: f.Nodes[1], lends: lends}
	for _, line := range []string{
		"ip link add link eth1 name eth1.9 type vlan id 9", "ip addr add 198.51.100.1/24 dev eth1.9", "ip link set eth1.9 up",
	} {
		if _, err := onNode(ctx, s.node, line); err != nil {
			return nil, err
		}
	}
	return s, s.start(ctx)
}

// start starts the program anew, without memory of who has what.
func (s *dhcpServer) start(ctx context.Context) error {
	config := fmt.Sprintf(serverConfig, s.lends, s.lends, leaseSeconds)
	const line = "cat >/run/udhcpd.conf; : >/run/udhcpd.leases; : >/run/udhcpd.log; " +
		"udhcpd -f /run/udhcpd.conf </dev/null >>/run/udhcpd.log 2>&1 &"
	_, err := s.node.ExecInput(ctx, config, "sh", "-c", line)
	return err
}

// lendAnother makes it a server that knows nobody and lends another address.
func (s *dhcpServer) lendAnother(ctx context.Context, lends string) error {
	if _, err := s.node.Exec(ctx, "sh", "-c", "kill $(cat /run/udhcpd.pid)"); err != nil {
		return err
	}
	s.lends = lends
	return s.start(ctx)
}

// renewed waits until it has granted its address once more than by now.
func (s *dhcpServer) renewed(ctx context.Context) error {
	grants := func(ctx context.Context) (int, error) {
		log, err := s.node.Exec(ctx, "cat", "/run/udhcpd.log")
		return strings.Count(log, "sending ACK to "+s.lends), err
	}
	before, err := grants(ctx)
	if err != nil {
		return err
	}
	_, err = s.field.until(ctx, s.lends+" to be renewed", func(ctx context.Context) (bool, error) {
		now, err := grants(ctx)
		return now > before, err
	})
	return err
}

// stop ends it, and takes away what it stood on.
func (s *dhcpServer) stop(ctx context.Context) error {
	_, err := s.node.Exec(ctx, "sh", "-c", "kill $(cat /run/udhcpd.pid); ip link del eth1.9")
	return err
}
