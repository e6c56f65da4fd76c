// SPDX-License-Identifier: Apache-2.0

// Command benchnetstate measures the network state of a node on a real kernel: reading it, planning, carrying out a
// plan compared with ip -batch and bridge -batch doing the same work, and an idle pass of an agent with policies
// compared with these programs reading the node. It changes the network of the machine it runs on, so it runs in a
// guest only:
//
//	make bench-netstate
//
// What is compared is measured in the same run in turns, so that a busy machine slows both alike.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"

	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/script"
)

// Options says how much is measured.
type Options struct {
	// Rounds is how often everything is measured.
	Rounds int
	// Small and Large are the two sizes, in VLANs with a bridge each, between which growth is measured.
	Small, Large int
}

func main() {
	var o Options
	flag.IntVar(&o.Rounds, "rounds", 3, "how often everything is measured")
	flag.IntVar(&o.Small, "small", 50, "VLANs with a bridge each, to measure growth from; 0 for none")
	flag.IntVar(&o.Large, "large", 500, "VLANs with a bridge each, to measure growth to; 0 for none")
	flag.Parse()
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "benchnetstate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o Options) error {
	if _, err := os.Stat(script.Path); err != nil {
		return errors.New("this changes the network of the machine it runs on, and runs in a guest only: make bench-netstate")
	}
	// A guest has one CPU, a node has more, and with one the Go runtime changes threads at every system call.
	runtime.GOMAXPROCS(max(2, runtime.NumCPU()))
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer b.kernel.Close()
	for _, size := range []int{o.Small, o.Large} {
		if size == 0 {
			continue
		}
		if err := b.measure(size); err != nil {
			return err
		}
	}
	for _, policies := range []int{1, 10, 100} {
		if err := b.measureIdle(ctx, policies); err != nil {
			return err
		}
	}
	return b.report.write(os.Stdout)
}
