// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// killAgent kills the agent while it applies a policy: at moments that are spread over the time an apply takes.
func (f *Field) killAgent(ctx context.Context) (string, error) {
	n := f.Nodes[0]
	began := time.Now()
	if err := errors.Join(f.bump(ctx), f.settled(ctx)); err != nil {
		return "", err
	}
	whole := time.Since(began)
	const kills = 20
	for i := range kills {
		if err := f.bump(ctx); err != nil {
			return "", err
		}
		if err := sleep(ctx, whole*time.Duration(i)/kills); err != nil {
			return "", err
		}
		if err := n.SignalAgent(ctx, syscall.SIGKILL); err != nil {
			return "", err
		}
		if err := f.settled(ctx); err != nil {
			return "", fmt.Errorf("killed after %s: %w", whole*time.Duration(i)/kills, err)
		}
	}
	return fmt.Sprintf(
		"%d kills over %s, finished every time; undone from the journal %d times", kills, whole.Round(100*time.Millisecond),
		strings.Count(n.Log(), "Undoing the change that was under way"),
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
		if err := sleep(ctx, time.Duration(i)*300*time.Millisecond); err != nil {
			return "", err
		}
		n.PowerCut()
		began := time.Now()
		if err := errors.Join(n.Boot(ctx), f.settled(ctx)); err != nil {
			return "", fmt.Errorf("cut after %s: %w", time.Duration(i)*300*time.Millisecond, err)
		}
		slowest = max(slowest, time.Since(began))
	}
	return fmt.Sprintf(
		"%d cuts, each node configured at most %s after power came back", cuts, slowest.Round(100*time.Millisecond),
	), nil
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
	), errors.Join(f.bump(ctx), f.settled(ctx))
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
		if err := f.settled(ctx); err != nil {
			return "", err
		}
		took := time.Since(began)
		_, err := f.StartReplica(ctx)
		return fmt.Sprintf("the other replica finished the rollout in %s", took.Round(100*time.Millisecond)), err
	}
	return "", fmt.Errorf("no replica %s runs", holder)
}

// sleep lets time pass in which the nodes work.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
