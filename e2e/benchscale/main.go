// SPDX-License-Identifier: Apache-2.0

// Command benchscale measures how what keeps the addresses of a cluster grows with the cluster: a replica is started
// beside so many VMs, each with two addresses and an instance that runs, gives addresses to more, and sweeps. The API
// server is one in memory, in a process of its own: what etcd and an API server cost is in the other benchmark.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// Options says what is measured.
type Options struct {
	// Sizes are the numbers of VMs, ascending.
	Sizes []int
	// Admitted is how many VMs are given addresses at each size.
	Admitted int
	// JSON is the file for the figures; empty for none.
	JSON string
}

func main() {
	o := Options{}
	replica := flag.String("replica", "", "internal: be a replica of the API server at this `URL` and report")
	sizes := flag.String("sizes", "1000,10000,100000", "numbers of VMs, ascending")
	flag.IntVar(&o.Admitted, "admitted", 1000, "how many VMs are given addresses at each size")
	flag.StringVar(&o.JSON, "json", "", "`file` to write the figures to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := o.readSizes(*sizes)
	switch {
	case err != nil:
	case *replica != "":
		err = serve(ctx, *replica, o)
	default:
		err = run(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchscale:", err)
		os.Exit(1)
	}
}

func (o *Options) readSizes(text string) error {
	for _, word := range strings.Split(text, ",") {
		n, err := strconv.Atoi(word)
		if err != nil {
			return fmt.Errorf("read sizes: %w", err)
		}
		o.Sizes = append(o.Sizes, n)
	}
	return nil
}

// run measures at each size on one cluster that grows.
func run(ctx context.Context, o Options) error {
	c, err := newCluster()
	if err != nil {
		return err
	}
	defer c.stop()
	var all []figures
	for _, size := range o.Sizes {
		f, err := c.measure(ctx, o, size)
		if err != nil {
			return fmt.Errorf("measure with %d VMs: %w", size, err)
		}
		all = append(all, f)
	}
	if err := write(os.Stdout, all); err != nil {
		return err
	}
	if o.JSON == "" {
		return nil
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return os.WriteFile(o.JSON, append(text, '\n'), 0o644)
}
