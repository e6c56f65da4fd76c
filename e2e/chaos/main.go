// SPDX-License-Identifier: Apache-2.0

// Command chaos has clients create, update and delete VMs and pods as fast as they are admitted, while replicas are
// killed, stopped and replaced, have clocks that differ, and the API server and etcd stand still. A second pool has the
// same range as the first, and another mutating webhook comes after ours. It prints what clients saw of it, and fails
// if an address was had by two objects at a time, if an interface had none, or if the ledger does not become what there
// is.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Options says how much chaos there is.
type Options struct {
	// For is how long the clients go on.
	For time.Duration
	// Replicas of the program, and Clients of the API server, at a time.
	Replicas, Clients int
	// Skew is by how much clocks of replicas are ahead of, and behind, that of the API server: one in three each.
	Skew time.Duration
}

func main() {
	var o Options
	flag.DurationVar(&o.For, "for", 10*time.Minute, "how long the clients go on")
	flag.IntVar(&o.Replicas, "replicas", 3, "how many replicas run at a time")
	flag.IntVar(&o.Clients, "clients", 12, "how many clients there are")
	flag.DurationVar(&o.Skew, "skew", 10*time.Minute, "by how much clocks of replicas are ahead, and behind")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o Options) error {
	fmt.Printf("Starting a control plane and %d replicas; then %s of chaos.\n", o.Replicas, o.For)
	f, err := newField(ctx, o)
	if err != nil {
		return err
	}
	defer f.stop()
	working, end := context.WithTimeout(ctx, o.For)
	defer end()
	if err := f.work(working); err != nil {
		return fmt.Errorf("%w\n%s", err, f.suite.Logs())
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f.report(os.Stdout)
	if err := f.checkLedger(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, f.suite.Logs())
	}
	fmt.Println("No address was had by two, and the ledger holds what there is, no more and no less.")
	return nil
}
