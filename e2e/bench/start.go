// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

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
	for made := warmUp; made < b.options.Fleet; made += 500 {
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
