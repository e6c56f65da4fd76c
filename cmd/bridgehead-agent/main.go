// SPDX-License-Identifier: Apache-2.0

// Command bridgehead-agent makes the network of its node be as policies say, reports how it is, and offers its
// bridges to pods.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/bridgehead-dev/bridgehead/version"
)

func main() {
	options := defaultOptions(os.Getenv("NODE_NAME"))
	restores, err := options.parse(os.Args[1:])
	if err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			os.Exit(0)
		}
		fmt.Fprintln(os.Stderr, "bridgehead-agent:", err)
		os.Exit(2)
	}
	if options.Version {
		fmt.Println(version.Line("bridgehead-agent"))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	role := func() error { return run(ctx, options) }
	if restores {
		role = func() error { return restore(ctx, options, os.Getenv("NOTIFY_SOCKET")) }
	}
	if err := role(); err != nil {
		fmt.Fprintln(os.Stderr, "bridgehead-agent:", err)
		os.Exit(1) //nolint:gocritic // nothing is left for the deferred stop to do
	}
}
