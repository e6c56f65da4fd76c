// SPDX-License-Identifier: Apache-2.0

// Command chaosnode does to nodes what happens to nodes: it kills the agent, cuts the power, cuts networks, applies
// policies that cut the node off, and interferes with what was configured. It prints what became of it, and fails if
// any of it is not as it should be.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/bridgehead-dev/bridgehead/e2e/chaosnode/faults"
	"github.com/bridgehead-dev/bridgehead/e2e/node"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

func main() {
	only := regexp.MustCompile("")
	flag.TextVar(only, "only", only, "run the faults whose titles match this `expression`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, only); err != nil {
		fmt.Fprintln(os.Stderr, "\nchaosnode:", err)
		os.Exit(1) //nolint:gocritic // nothing is left for the deferred stop to do
	}
}

func run(ctx context.Context, only *regexp.Regexp) error {
	fmt.Println("Starting a control plane, two replicas of bridgehead, and two nodes in qemu.")
	c, err := node.StartCluster(ctx, node.ClusterOptions{Nodes: 2, Suite: suite.Options{Replicas: 2}})
	if err != nil {
		return err
	}
	defer c.Stop() //nolint:errcheck // the process ends
	f, err := faults.New(ctx, c)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, c.Logs())
	}
	for _, fault := range f.All() {
		if !only.MatchString(fault.Title) {
			continue
		}
		began := time.Now()
		figures, err := fault.Do(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", fault.Title, err, c.Logs())
		}
		fmt.Printf("%-72s %s   (%s in all)\n", fault.Title, figures, time.Since(began).Round(100*time.Millisecond))
	}
	fmt.Println("\nAll nodes are as they should be.")
	return nil
}
