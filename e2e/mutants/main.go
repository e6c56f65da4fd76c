// SPDX-License-Identifier: Apache-2.0

// Command mutants breaks the code on purpose, one committed line at a time, and fails if the tests of a package do not
// notice. It reads testdata/mutants.yaml below every folder it is given (all folders of the module if none); the tests
// that must notice are those of the folder that testdata stands in, and below it. The files of the module are not
// touched: the go command is told to read another text in their place.
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

// Options says which mutants are tried.
type Options struct {
	// Roots are folders of the module; mutants.yaml is looked for below each.
	Roots []string
	// Name is part of the name of each mutant that is tried; empty tries all.
	Name string
	// Limit is how long the tests may take with one mutant. One that makes them hang has survived: nobody learns from
	// a test that hangs which line is wrong.
	Limit time.Duration
}

func main() {
	var o Options
	flag.StringVar(&o.Name, "run", "", "try only mutants whose name contains this `text`")
	flag.DurationVar(&o.Limit, "limit", 5*time.Minute, "how long the tests may take with one mutant")
	flag.Parse()
	o.Roots = flag.Args()
	if len(o.Roots) == 0 {
		o.Roots = []string{"."}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1) //nolint:gocritic // nothing is left for the deferred stop to do
	}
}
