// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// A mode is one way to admit VMs.
type mode struct {
	name      string
	namespace string // see namespaceOf
	assigns   bool   // ours
	explicit  bool   // the VMs name their addresses
	base      int    // the index of the mode it is compared with
}

// loads are the concurrencies with the number of VMs of one round.
func loads() [][2]int { return [][2]int{{1, 60}, {16, 320}, {64, 512}} }

// modes with so many replicas of ours. Each is compared with the webhook that gives VMs addresses without keeping a
// record, which does the least that any of its kind can; where KubeVirt's own webhook is in the way, so it is there.
func modes(replicas int) []mode {
	all := []mode{
		{name: patching, namespace: patching},
		{name: patching + ", with KubeVirt's mutator", namespace: patching + mutated},
	}
	if replicas == 2 {
		return append(all,
			mode{name: "bridgehead, 2 replicas", namespace: "two", assigns: true},
			mode{name: "bridgehead, 2 replicas, with KubeVirt's mutator", namespace: "two" + mutated, assigns: true, base: 1},
		)
	}
	return append(all,
		mode{name: allowing, namespace: allowing},
		mode{name: "no webhook", namespace: "none"},
		mode{name: "bridgehead, 1 replica", namespace: "one", assigns: true},
		mode{name: "bridgehead, 1 replica, with KubeVirt's mutator", namespace: "one" + mutated, assigns: true, base: 1},
		mode{name: "bridgehead, explicit MACs", namespace: "explicit", assigns: true, explicit: true},
		mode{name: "a write per admission", namespace: durable},
	)
}

// mutated ends the names of namespaces in which a mutator like KubeVirt's is called too.
const mutated = "-mutated"

func namespaceOf(mode string) string { return "bench-" + mode }

// A bench is a control plane with all webhooks installed, each for a namespace of its own.
type bench struct {
	options   Options
	suite     *suite.Suite
	client    *http.Client
	processes []*exec.Cmd
	names     atomic.Int64
	report    *report
}

func newBench(ctx context.Context, o Options, figures *report) (*bench, error) {
	s, err := suite.Start(ctx, suite.Options{Replicas: 1})
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
	ours := []string{"one", "two", "one" + mutated, "two" + mutated, "explicit", "fleet"}
	for _, name := range append([]string{allowing, patching, patching + mutated, durable, "none", "import"}, ours...) {
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
		allowing: {allowing},
		patching: {patching, patching + mutated},
		durable:  {durable},
		mutating: {patching + mutated, "one" + mutated, "two" + mutated},
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

// measureAdmission takes the figures of admissions. VMs are not deleted between rounds: what the janitor does about
// that, a minute later, would be in the figures of some other round.
func (b *bench) measureAdmission(ctx context.Context) error {
	if err := b.compare(ctx, 1); err != nil {
		return err
	}
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

// compare measures the modes in turns, each round beginning with another one.
func (b *bench) compare(ctx context.Context, replicas int) error {
	all := modes(replicas)
	for _, m := range all { // connections, caches and the first window
		if err := b.warm(ctx, m); err != nil {
			return err
		}
	}
	for _, load := range loads() {
		concurrency, n := load[0], load[1]
		for round := range b.options.Rounds {
			fmt.Fprintf(
				os.Stderr, "\r%d replicas, %d at a time: round %d of %d   ", replicas, concurrency, round+1, b.options.Rounds,
			)
			samples := make([]sample, len(all))
			for i := range all {
				at := (i + round) % len(all)
				var err error
				if samples[at], err = b.round(ctx, all[at], n, concurrency); err != nil {
					return err
				}
			}
			for i, m := range all {
				b.report.add(m.name, concurrency, samples[i], samples[m.base])
			}
		}
	}
	fmt.Fprintln(os.Stderr)
	return nil
}

func (b *bench) warm(ctx context.Context, m mode) error {
	return wait.PollUntilContextTimeout(
		ctx,
		100*time.Millisecond,
		30*time.Second,
		true,
		func(ctx context.Context) (bool, error) {
			_, err := b.create(ctx, m, 64, 64)
			return err == nil, nil // a webhook that was just installed is not known at once
		},
	)
}

// round is one sample, with the writes that it caused up to when they are done.
func (b *bench) round(ctx context.Context, m mode, n, concurrency int) (sample, error) {
	before, err := b.blockWrites(ctx)
	if err != nil {
		return sample{}, err
	}
	s, err := b.create(ctx, m, n, concurrency)
	if err != nil || !m.assigns {
		return s, err
	}
	after, err := b.quietWrites(ctx)
	s.writes = (after - before) / float64(n)
	return s, err
}

// quiet is longer than the ledger waits with a record for company.
const quiet = 2500 * time.Millisecond

// quietWrites is blockWrites once that has stood still for long.
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

// imported is how many VMs exist before the first replica starts, with two addresses each.
const imported = 400

// measureImport measures the first start in a cluster whose VMs have addresses already.
func (b *bench) measureImport(ctx context.Context) error {
	for _, r := range b.suite.Running() {
		if err := b.suite.StopReplica(ctx, r); err != nil {
			return err
		}
	}
	if _, err := b.suite.Kubectl(ctx, "delete", "macblocks", "--all"); err != nil {
		return err
	}
	// Nobody is asked about this namespace.
	there := mode{name: "VMs that are there", namespace: "import", explicit: true}
	if _, err := b.create(ctx, there, imported, 16); err != nil {
		return err
	}
	before, err := b.blockWrites(ctx)
	if err != nil {
		return err
	}
	begun := time.Now()
	if _, err := b.suite.StartReplica(ctx); err != nil {
		return err
	}
	b.report.Import.VMs = imported
	b.report.Import.Seconds = time.Since(begun).Seconds()
	after, err := b.quietWrites(ctx)
	b.report.Import.Writes = after - before
	return err
}

// measureStart measures how long a replica takes to be ready when many VMs exist, and its memory then.
func (b *bench) measureStart(ctx context.Context) error {
	fleet := mode{name: "fleet", namespace: "fleet", assigns: true}
	if err := b.warm(ctx, fleet); err != nil {
		return err
	}
	for made := 64; made < b.options.Fleet; made += 500 {
		fmt.Fprintf(os.Stderr, "\rcreating %d VMs: %d   ", b.options.Fleet, made)
		if _, err := b.create(ctx, fleet, min(500, b.options.Fleet-made), 32); err != nil {
			return err
		}
	}
	fmt.Fprintln(os.Stderr)
	if _, err := b.quietWrites(ctx); err != nil {
		return err
	}
	for _, r := range b.suite.Running() {
		if err := b.suite.StopReplica(ctx, r); err != nil {
			return err
		}
	}
	begun := time.Now()
	r, err := b.suite.StartReplica(ctx)
	if err != nil {
		return err
	}
	b.report.Start.VMs = b.options.Fleet
	b.report.Start.Seconds = time.Since(begun).Seconds()
	rss, err := r.RSS()
	b.report.Start.MiB = float64(rss) / (1 << 20)
	return err
}
