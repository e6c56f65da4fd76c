// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bridgehead-dev/bridgehead/e2e/node"
)

// healTarget is how long something that was changed by hand may stay so. It is printed beside what was measured, and is
// no limit: machines are busy.
const healTarget = 2 * time.Second

func (f *Field) deleteBridge(ctx context.Context) (string, error) {
	took, err := f.healed(ctx, f.Nodes[0], "ip link del br0")
	if err != nil {
		return "", err
	}
	_, err = f.until(ctx, "event Healed", func(ctx context.Context) (bool, error) {
		out, err := f.Kubectl(
			ctx, "get", "events", "-n", "default", "--field-selector", "reason=Healed", "-o=jsonpath={.items[*].message}",
		)
		return err == nil && strings.Contains(out, "br0"), nil
	})
	return "back " + within(took) + ", event Healed", err
}

func (f *Field) detachPort(ctx context.Context) (string, error) {
	took, err := f.healed(ctx, f.Nodes[1], "ip link set eth1 nomaster")
	return "back " + within(took), err
}

// healed does something to a node and waits until the bridge, its port and the VLAN on it are as they were.
func (f *Field) healed(ctx context.Context, n *node.Node, line string) (time.Duration, error) {
	before, err := f.shape(ctx, n)
	if err != nil {
		return 0, err
	}
	if _, err := onNode(ctx, n, line); err != nil {
		return 0, err
	}
	took, err := f.until(ctx, "the bridge of "+n.Name, func(ctx context.Context) (bool, error) {
		now, err := f.shape(ctx, n)
		return err == nil && now == before, nil
	})
	return took, err
}

// shape returns what matters of the bridge, without numbers that change when a link is made again.
func (f *Field) shape(ctx context.Context, n *node.Node) (string, error) {
	ports, err := onNode(ctx, n, "bridge vlan show")
	if err != nil {
		return "", err
	}
	addresses, err := onNode(ctx, n, "ip -br -4 addr show br0.7")
	return ports + addresses, err
}

func (f *Field) keepVeth(ctx context.Context) (string, error) {
	n := f.Nodes[0]
	for _, line := range []string{
		"ip link add vmtap type veth peer name vmtap-in", "ip link set vmtap master br0", "ip link set vmtap up",
	} {
		if _, err := onNode(ctx, n, line); err != nil {
			return "", err
		}
	}
	const times = 3
	for range times {
		if err := errors.Join(f.bump(ctx), f.converged(ctx)); err != nil {
			return "", err
		}
		links, err := onNode(ctx, n, "ip -br link show master br0")
		if err != nil {
			return "", err
		}
		if !strings.Contains(links, "vmtap@") {
			return "", fmt.Errorf("vmtap is not on br0 any more: %s", links)
		}
	}
	_, err := onNode(ctx, n, "ip link del vmtap")
	return fmt.Sprintf("still there after %d applications", times), err
}

func (f *Field) zeroCapacity(ctx context.Context) (string, error) {
	n := f.Nodes[0]
	zero := `{"status":{"capacity":{"bridge.network.kubevirt.io/br0":"0"},"allocatable":{"bridge.network.kubevirt.io/br0":"0"}}}`
	if _, err := f.Kubectl(ctx, "patch", "node", n.Name, "--subresource=status", "--type=merge", "-p", zero); err != nil {
		return "", err
	}
	took, err := f.until(ctx, "the capacity of "+n.Name, func(ctx context.Context) (bool, error) {
		out, err := f.Kubectl(
			ctx, "get", "node", n.Name, "-o=jsonpath={.status.capacity."+resource+"} {.status.allocatable."+resource+"}",
		)
		return err == nil && out == "1k 1k", nil
	})
	return "repaired " + within(took), err
}

// healAlone has a bridge deleted on a node that cannot reach the API server.
func (f *Field) healAlone(ctx context.Context) (string, error) {
	n := f.Nodes[0]
	n.Partition(true)
	defer n.Partition(false)
	took, err := f.healed(ctx, n, "ip link del br0")
	return "back " + within(took), err
}

// within returns how long something took, and how long it should have.
func within(took time.Duration) string {
	return fmt.Sprintf("in %s (target %s)", took.Round(time.Millisecond), healTarget)
}
