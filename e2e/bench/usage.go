// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/procfs"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// A usage is the processor time that programs have used. On a machine that is busy with other things it is the same as
// on an idle one, or nearly so, which cannot be said of throughput.
type usage struct {
	apiServer, etcd time.Duration
	webhooks        time.Duration // all of them, ours and the others
}

func (u usage) total() time.Duration { return u.apiServer + u.etcd + u.webhooks }

// since is what was used after u0, less what would have been used anyway.
func (u usage) since(u0, anyway usage) usage {
	return usage{
		apiServer: u.apiServer - u0.apiServer - anyway.apiServer, etcd: u.etcd - u0.etcd - anyway.etcd,
		webhooks: u.webhooks - u0.webhooks - anyway.webhooks,
	}
}

// times is a share of a usage.
func (u usage) times(share float64) usage {
	of := func(d time.Duration) time.Duration { return time.Duration(float64(d) * share) }
	return usage{apiServer: of(u.apiServer), etcd: of(u.etcd), webhooks: of(u.webhooks)}
}

// usage reads what the programs have used since they started.
func (b *bench) usage() (u usage, err error) {
	programs := b.suite.PIDs()
	pids := []int{programs["kube-apiserver"], programs["etcd"]}
	for _, p := range b.processes {
		pids = append(pids, p.Process.Pid)
	}
	for _, r := range b.suite.Running() {
		pids = append(pids, r.PID())
	}
	for i, pid := range pids {
		used, err := processorTime(pid)
		if err != nil {
			return u, err
		}
		switch i {
		case 0:
			u.apiServer = used
		case 1:
			u.etcd = used
		default:
			u.webhooks += used
		}
	}
	return u, nil
}

// processorTime is what a process has used since it started, in user mode and in the kernel.
func processorTime(pid int) (time.Duration, error) {
	process, err := procfs.NewProc(pid)
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	stat, err := process.Stat()
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	return time.Duration(stat.CPUTime() * float64(time.Second)), nil
}

// idleTime is how long it is looked what the programs use when nobody asks them for anything: one sweep of the janitor
// is in it.
const idleTime = 10 * time.Second

// idle is what the programs use in a second in which nobody asks them for anything.
func (b *bench) idle(ctx context.Context) (usage, error) {
	before, err := b.usage()
	if err != nil {
		return usage{}, err
	}
	if err := suite.Sleep(ctx, idleTime); err != nil {
		return usage{}, err
	}
	after, err := b.usage()
	return after.since(before, usage{}).times(1 / idleTime.Seconds()), err
}

// collectGarbage has the API server collect its garbage.
func (b *bench) collectGarbage(ctx context.Context) error {
	_, err := b.suite.Kubectl(ctx, "get", "--raw", "/debug/pprof/heap?gc=1")
	return err
}

// profile begins to take a profile of the API server. The function that it returns waits until it is written.
func (b *bench) profile(ctx context.Context, name string) (done func() error) {
	if b.options.Profiles == "" {
		return func() error { return nil }
	}
	result := make(chan error, 1)
	go func() {
		text, err := b.suite.Kubectl(ctx, "get", "--raw", "/debug/pprof/profile?seconds=5")
		if err == nil {
			err = os.WriteFile(filepath.Join(b.options.Profiles, name+".pprof"), []byte(text), 0o644)
		}
		result <- err
	}()
	return func() error { return <-result }
}
