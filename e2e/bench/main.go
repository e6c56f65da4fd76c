// SPDX-License-Identifier: Apache-2.0

// Command bench compares the creation of VMs and pods with ours and with other webhooks, on a real control plane. All
// figures are ratios to a webhook that gives every VM addresses and keeps no record of them, taken in the same run in
// turns, so that a busy machine slows both alike.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Options says how much is measured.
type Options struct {
	// Rounds is how often every mode is measured at every concurrency.
	Rounds int
	// Fleet is how many VMs exist when a start is measured.
	Fleet int
	// JSON is the file for the figures; empty for none.
	JSON string
}

func main() {
	var o Options
	serve := flag.String("serve", "", "internal: serve as a webhook of this `kind` and do nothing else")
	flag.IntVar(&o.Rounds, "rounds", 5, "how often every mode is measured")
	flag.IntVar(&o.Fleet, "vms", 10000, "how many VMs exist when a start is measured")
	flag.StringVar(&o.JSON, "json", "", "`file` to write the figures to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := error(nil)
	if *serve != "" {
		err = serveWebhook(ctx, *serve, os.Getenv("KUBECONFIG"))
	} else {
		err = run(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run takes the figures of admissions and of a start, each on a cluster of its own, and reports them.
func run(ctx context.Context, o Options) error {
	var figures report
	for _, measure := range []func(*bench, context.Context) error{
		(*bench).measureAdmission, (*bench).measurePods, (*bench).measureImport, (*bench).measureStart,
	} {
		if err := onCluster(ctx, o, &figures, measure); err != nil {
			return err
		}
	}
	if err := figures.write(os.Stdout); err != nil {
		return err
	}
	if o.JSON == "" {
		return nil
	}
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return os.WriteFile(o.JSON, append(text, '\n'), 0o644)
}

func onCluster(ctx context.Context, o Options, figures *report, measure func(*bench, context.Context) error) error {
	b, err := newBench(ctx, o, figures)
	if err != nil {
		return err
	}
	defer b.stop()
	if err := measure(b, ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, b.suite.Logs())
	}
	return nil
}
