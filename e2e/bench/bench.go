// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// A bench is a control plane with all webhooks installed, each for a namespace of its own.
type bench struct {
	options   Options
	suite     *suite.Suite
	client    *http.Client
	processes []*exec.Cmd // the webhooks that are not ours
	services  []string    // theirs, as <namespace>/<name>
	names     atomic.Int64
	report    *report
	anyway    usage // in a second in which nothing is asked for
}

func newBench(ctx context.Context, o Options, figures *report) (*bench, error) {
	s, err := suite.Start(ctx, suite.Options{Replicas: 1, ControlPlane: controlplane.Options{
		// Every five minutes the API server compares what it has in memory with etcd, each kind by itself. With 15,000 VMs
		// that takes it ten seconds, in the figures of whoever happens to be measured then.
		APIServerArgs: []string{"--feature-gates=DetectCacheInconsistency=false"},
	}})
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, suite: s, report: figures}
	if err := b.prepare(ctx); err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

func (b *bench) prepare(ctx context.Context) error {
	var err error
	if b.client, err = rest.HTTPClientFor(b.suite.Config); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	ours := []string{"one", "two", "one" + mutated, "two" + mutated, "two" + followed, "explicit", "fleet"}
	others := []string{allowing, patching, patching + mutated, patching + followed, twice, durable, "none", "import"}
	for _, name := range slices.Concat(others, ours) {
		if _, err := b.suite.Kubectl(ctx, "create", "namespace", namespaceOf(name)); err != nil {
			return err
		}
	}
	for _, name := range ours {
		if _, err := b.suite.Kubectl(
			ctx, "label", "namespace", namespaceOf(name), "mutatevirtualmachines.kubemacpool.io=allocate",
		); err != nil {
			return err
		}
	}
	for kind, namespaces := range map[string][]string{
		allowing:  {allowing},
		patching:  {patching, patching + mutated, patching + followed},
		twice:     {twice},
		durable:   {durable},
		mutating:  {patching + mutated, "one" + mutated, "two" + mutated},
		following: {patching + followed, "two" + followed},
	} {
		if err := b.startWebhook(ctx, kind, namespaces); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) stop() {
	for _, p := range b.processes {
		_ = p.Process.Kill() // it ends with us anyway
		_ = p.Wait()
	}
	if err := b.suite.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}

// measureAdmission takes the figures of admissions by one replica. VMs are not deleted between rounds: what the janitor
// does about that, a minute later, would be in the figures of some other round.
func (b *bench) measureAdmission(ctx context.Context) error { return b.compare(ctx, 1) }

// measureReplicas takes the figures of admissions by two replicas.
func (b *bench) measureReplicas(ctx context.Context) error {
	// Both replicas are new, so that the API server's connections spread over them.
	if err := b.suite.StopReplica(ctx, b.suite.Running()[0]); err != nil {
		return err
	}
	for range 2 {
		if _, err := b.suite.StartReplica(ctx); err != nil {
			return err
		}
	}
	return b.compare(ctx, 2)
}

// compare measures the modes in turns.
func (b *bench) compare(ctx context.Context, replicas int) error {
	all := modes(replicas)
	for _, m := range all { // connections, caches and the first window
		if err := b.warm(ctx, m); err != nil {
			return err
		}
	}
	for _, load := range loads() {
		concurrency, n := load[0], load[1]
		if !slices.Contains(b.options.At, concurrency) {
			continue
		}
		var err error
		if b.anyway, err = b.idle(ctx); err != nil { // again and again: more objects take more
			return err
		}
		for round := range b.options.Rounds {
			fmt.Fprintf(
				os.Stderr, "\r%d replicas, %d at a time: round %d of %d   ", replicas, concurrency, round+1, b.options.Rounds,
			)
			if err := b.turn(ctx, all, round, n, concurrency); err != nil {
				return err
			}
		}
	}
	fmt.Fprintln(os.Stderr)
	return nil
}

// turn measures each mode once, and reports it.
func (b *bench) turn(ctx context.Context, all []mode, round, n, concurrency int) error {
	samples := make([]sample, len(all))
	for _, i := range order(len(all), round) {
		if all[i].aside && (round%2 == 1 || b.options.Brief) {
			continue
		}
		var err error
		if samples[i], err = b.round(ctx, all[i], n, concurrency); err != nil {
			return err
		}
	}
	for i, m := range all {
		if samples[i].throughput > 0 {
			b.report.add(m.name, concurrency, samples[i], samples[m.base])
		}
	}
	return nil
}

// order returns in which order n modes are measured in a round, by their indices: what is compared stands side by side
// and goes first in turns. None follows itself, which would find its connections open.
func order(n, round int) []int {
	indices := make([]int, n)
	for i := range indices {
		indices[i] = min(i^(round%2), n-1)
	}
	return indices
}

func (b *bench) warm(ctx context.Context, m mode) error {
	return warm(ctx, func(ctx context.Context) (sample, error) { return b.create(ctx, m, warmUp, 64) })
}

// warm takes samples until one succeeds: a webhook that was just installed is not known at once.
func warm(ctx context.Context, take func(context.Context) (sample, error)) error {
	return wait.PollUntilContextTimeout(
		ctx,
		100*time.Millisecond,
		30*time.Second,
		true,
		func(ctx context.Context) (bool, error) {
			_, err := take(ctx)
			return err == nil, nil
		},
	)
}

// round returns one sample, with the writes and the processor time that it caused: for ours up to when the ledger has
// recorded what was lent and the janitor has looked at it. What others serve is done with the last answer; what our
// janitor does about the addresses that they gave is waited for, and in nobody's figures.
func (b *bench) round(ctx context.Context, m mode, n, concurrency int) (sample, error) {
	if _, err := b.create(ctx, m, warmUp, concurrency); err != nil {
		return sample{}, err
	}
	before, err := b.blockWrites(ctx)
	if err != nil {
		return sample{}, err
	}
	settle := quiet
	if !m.assigns {
		settle = 0
	}
	profiled := b.profile(ctx, fmt.Sprintf("%s, %d at a time", m.name, concurrency))
	s, err := b.watched(ctx, n, settle, func() (sample, error) { return b.create(ctx, m, n, concurrency) })
	err = errors.Join(err, profiled())
	if err != nil || !m.assigns {
		return s, errors.Join(err, suite.Sleep(ctx, quiet))
	}
	after, err := b.blockWrites(ctx)
	s.writes = (after - before) / float64(n)
	return s, err
}

// dials returns how many connections the API server has made to webhooks.
func (b *bench) dials() (n int) {
	for _, service := range append(b.services, suite.Service) {
		for _, accepted := range b.suite.Connections(service) {
			n += accepted
		}
	}
	return n
}

// watched returns a sample with the connections and the processor time an object that it caused up to so long after the
// last answer. Every sample begins with the API server's garbage collected: a collection takes as long as some hundred
// objects, comes once in some thousand, and would be in the figures of whoever happens to be measured then.
func (b *bench) watched(
	ctx context.Context, n int, settle time.Duration, take func() (sample, error),
) (sample, error) {
	if err := b.collectGarbage(ctx); err != nil {
		return sample{}, err
	}
	before, err := b.usage()
	if err != nil {
		return sample{}, err
	}
	begun, dialled := time.Now(), b.dials()
	s, err := take()
	if err != nil {
		return s, err
	}
	if err := suite.Sleep(ctx, settle); err != nil {
		return s, err
	}
	after, err := b.usage()
	s.dials = float64(b.dials()-dialled) / float64(n)
	s.cpu = after.since(before, b.anyway.times(time.Since(begun).Seconds())).times(1 / float64(n))
	return s, err
}

// quiet is longer than the janitor leaves a VM alone, three seconds, and the ledger waits with a record for company
// after that, two seconds.
const quiet = 6 * time.Second

// quietWrites returns blockWrites once that has stood still for long.
func (b *bench) quietWrites(ctx context.Context) (float64, error) {
	last, err := b.blockWrites(ctx)
	if err != nil {
		return 0, err
	}
	err = wait.PollUntilContextTimeout(
		ctx,
		quiet,
		time.Minute,
		false,
		func(ctx context.Context) (bool, error) {
			now, err := b.blockWrites(ctx)
			same := now == last
			last = now
			return same, err
		},
	)
	return last, err
}
