// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
)

const (
	// betweenFaults is how long there is peace between two faults.
	betweenFaults = 2 * time.Second
	// probes is how long a Service goes on routing to a replica that stands still: three readiness probes.
	probes = 6 * time.Second
	// etcdPause is how long etcd stands still: shorter than what clients wait for.
	etcdPause = 4 * time.Second
)

// A fault is done to the cluster, and made good again before the next.
type fault struct {
	name string
	do   func(context.Context) error
}

// wreak does one fault after the other until ctx ends. Each is one that people have seen in production.
func (f *field) wreak(ctx context.Context) error {
	faults := []fault{
		{"replica killed", f.killReplica},
		{"replica stopped for longer than its lease", f.stopReplica},
		{"all replicas replaced, one by one", f.rollReplicas},
		{"API server killed and started again", f.suite.RestartAPIServer},
		{"etcd stood still", f.pauseEtcd},
	}
	for turn := 0; suite.Pause(ctx, betweenFaults); turn++ {
		now := faults[turn%len(faults)]
		// A fault is made good even if the time is over.
		if err := now.do(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("%s: %w", now.name, err)
		}
		f.noteFault(now.name)
	}
	return nil
}

func (f *field) anyReplica() *suite.Replica {
	running := f.suite.Running()
	return running[rand.N(len(running))]
}

func (f *field) killReplica(ctx context.Context) error {
	if err := f.suite.Kill(f.anyReplica()); err != nil {
		return err
	}
	_, err := f.suite.StartReplica(ctx)
	return err
}

// stopReplica has a replica stand still until its lease is over, then go on as if nothing had been.
func (f *field) stopReplica(ctx context.Context) error {
	r := f.anyReplica()
	if err := r.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	suite.Pause(ctx, probes)
	f.suite.Unroute(r)
	suite.Pause(ctx, 2*cluster.LeaseDuration-probes)
	if err := r.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	// It is routed to at once: what it remembers must not be believed.
	f.suite.Reroute(r)
	return nil
}

func (f *field) rollReplicas(ctx context.Context) error {
	for _, old := range f.suite.Running() {
		if _, err := f.suite.StartReplica(ctx); err != nil {
			return err
		}
		if err := f.suite.StopReplica(ctx, old); err != nil {
			return err
		}
	}
	return nil
}

func (f *field) pauseEtcd(ctx context.Context) error {
	if err := f.suite.SignalEtcd(syscall.SIGSTOP); err != nil {
		return err
	}
	suite.Pause(ctx, etcdPause)
	return f.suite.SignalEtcd(syscall.SIGCONT)
}
