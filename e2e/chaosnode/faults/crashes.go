// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// killAgent kills the agent while it applies a policy: at moments that are spread over the time an apply takes.
func (f *Field) killAgent(ctx context.Context) (string, error) {
	n := f.Nodes[0]
	began := time.Now()
	if err := errors.Join(f.bump(ctx), f.converged(ctx)); err != nil {
		return "", err
	}
	whole := time.Since(began)
	const kills = 20
	for i := range kills {
		if err := f.bump(ctx); err != nil {
			return "", err
		}
		if err := suite.Sleep(ctx, whole*time.Duration(i)/kills); err != nil {
			return "", err
		}
		if err := n.SignalAgent(ctx, syscall.SIGKILL); err != nil {
			return "", err
		}
		if err := f.converged(ctx); err != nil {
			return "", fmt.Errorf("killed after %s: %w", whole*time.Duration(i)/kills, err)
		}
	}
	return fmt.Sprintf(
		"%d kills over %s, finished every time; undone from the journal %d times", kills, whole.Round(100*time.Millisecond),
		strings.Count(n.Log(), "Undoing an interrupted change"),
	), nil
}

// cutPower cuts the power of a node while it applies a policy.
func (f *Field) cutPower(ctx context.Context) (string, error) {
	n := f.Nodes[0]
	const cuts = 6
	var slowest time.Duration
	for i := range cuts {
		if err := f.bump(ctx); err != nil {
			return "", err
		}
		if err := suite.Sleep(ctx, time.Duration(i)*300*time.Millisecond); err != nil {
			return "", err
		}
		n.PowerCut()
		began := time.Now()
		if err := errors.Join(n.Boot(ctx), f.converged(ctx)); err != nil {
			return "", fmt.Errorf("cut after %s: %w", time.Duration(i)*300*time.Millisecond, err)
		}
		slowest = max(slowest, time.Since(began))
	}
	return fmt.Sprintf(
		"%d cuts, each node configured at most %s after power came back", cuts, slowest.Round(100*time.Millisecond),
	), nil
}

// lanAndGreedy is a later generation of lanPolicy, that cuts the node off.
const lanAndGreedy = lanPolicy + "      mtu: 1400\n" + greedy

// cutPowerBeforeAnotherLease cuts the power of a node in the middle of a change. When it boots its DHCP server lends
// another address: what the change found before is of another time, and not to be put back.
func (f *Field) cutPowerBeforeAnotherLease(ctx context.Context) (_ string, err error) {
	n := f.Nodes[0]
	s, err := f.serve(ctx, "198.51.100.50")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.stop(ctx)) }()
	if err := f.takeLease(ctx, n, s); err != nil {
		return "", err
	}
	if err := f.apply(ctx, lanAndGreedy); err != nil {
		return "", err
	}
	if _, err := f.until(ctx, "the node to be cut off", func(ctx context.Context) (bool, error) {
		links, err := onNode(ctx, n, "ip -br link show master br1")
		return err == nil && strings.Contains(links, "eth0"), nil
	}); err != nil {
		return "", err
	}
	n.PowerCut()
	// Nobody wants that any more when the node is back, or it would try again.
	if err := errors.Join(f.apply(ctx, lanPolicy), s.lendAnother(ctx, "198.51.100.60")); err != nil {
		return "", err
	}
	if err := errors.Join(n.Boot(ctx), f.leased(ctx, n, s), f.available(ctx, n, "lan"), f.converged(ctx)); err != nil {
		return "", err
	}
	if given := strings.Count(n.Log(), "abandoning the change"); given == 0 {
		return "", errors.New("the agent does not say that it gave the change up")
	}
	if links, err := onNode(ctx, n, "ip -br link show master br1"); err == nil && links != "" {
		return "", fmt.Errorf("the change was replayed: br1 has %s", links)
	}
	if err := f.leased(ctx, n, s); err != nil {
		return "", err
	}
	return "given up; the node has the new lease, and only that", f.removeLAN(ctx, n)
}

// bootAlone boots a node that cannot reach the API server: its bridges must be there all the same.
func (f *Field) bootAlone(ctx context.Context) (string, error) {
	n := f.Nodes[1]
	n.Partition(true)
	defer n.Partition(false)
	if err := n.Reboot(ctx); err != nil {
		return "", err
	}
	took, err := f.until(ctx, "br0 on "+n.Name, func(ctx context.Context) (bool, error) {
		links, err := onNode(ctx, n, "ip -br link show master br0")
		return err == nil && strings.Contains(links, "eth1"), nil
	})
	if err != nil {
		return "", err
	}
	n.Partition(false)
	return fmt.Sprintf(
		"the bridge was there %s after the guest answered", took.Round(time.Millisecond),
	), errors.Join(f.bump(ctx), f.converged(ctx))
}

// killManager kills the replica that hands out turns, while it does.
func (f *Field) killManager(ctx context.Context) (string, error) {
	holder, err := f.Kubectl(
		ctx, "get", "lease", "-n", "bridgehead-system", "bridgehead-rollout", "-o=jsonpath={.spec.holderIdentity}",
	)
	if err != nil {
		return "", err
	}
	for _, r := range f.Running() {
		if !strings.HasPrefix(holder, r.Name+"-") {
			continue
		}
		if err := errors.Join(f.bump(ctx), f.Kill(r)); err != nil {
			return "", err
		}
		began := time.Now()
		if err := f.converged(ctx); err != nil {
			return "", err
		}
		took := time.Since(began)
		_, err := f.StartReplica(ctx)
		return fmt.Sprintf("the other replica finished the rollout in %s", took.Round(100*time.Millisecond)), err
	}
	return "", fmt.Errorf("no replica %s runs", holder)
}
