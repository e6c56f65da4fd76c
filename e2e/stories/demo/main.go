// SPDX-License-Identifier: Apache-2.0

// Command demo tells the story of the suite on a cluster of two real nodes, and fails if any of it is not so.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/bridgehead-dev/bridgehead/e2e/cluster"
	"github.com/bridgehead-dev/bridgehead/e2e/stories/story"
)

func main() {
	stay := flag.Bool("stay", false, "keep everything running until interrupted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *stay); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1) //nolint:gocritic // nothing is left for the deferred stop to do
	}
}

func run(ctx context.Context, stay bool) error {
	fmt.Println(
		"A cluster with two nodes in qemu: kubelet, containerd and Multus on a kernel of their own, Bridgehead from its image.",
	)
	c, err := cluster.Start(ctx, cluster.Options{Nodes: 2, Out: os.Stdout})
	if err != nil {
		return err
	}
	defer c.Stop() //nolint:errcheck // the process ends
	if err := c.Install(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, c.Report(context.WithoutCancel(ctx)))
	}
	if err := story.Tell(ctx, c, os.Stdout); err != nil {
		return fmt.Errorf("%w\n%s", err, c.Report(context.WithoutCancel(ctx)))
	}
	fmt.Println("\nA host beside the cluster, under Debian's NetworkManager: it lets go of a link, and gets it back")
	if err := tellOfNetworkManager(ctx, os.Stdout); err != nil {
		return fmt.Errorf("a host under NetworkManager: %w", err)
	}
	fmt.Println("\nAll of it is so.")
	if stay {
		fmt.Printf(
			"\nUse it with\n  export KUBECONFIG=%s\n  %s get nodes,pods,nncp,nnce,nns,vm,macpools,macblocks -A -o wide\nInterrupt to end.\n",
			c.Kubeconfig, c.KubectlCommand(ctx).Path,
		)
		<-ctx.Done()
	}
	return nil
}
