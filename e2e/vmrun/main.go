// SPDX-License-Identifier: Apache-2.0

// Command vmrun runs a test binary in a qemu guest with Debian's cloud kernel:
//
//	go test -exec "go run github.com/bridgehead-dev/bridgehead/e2e/vmrun" ./nodeagent/kernel/...
//
// Output and exit code are the test's own, profiles and fuzz findings come back
// to the paths go test asked for. The binary must be static (CGO_ENABLED=0).
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	options := Options{
		Cache:   os.Getenv("BRIDGEHEAD_CACHE"),
		Accel:   os.Getenv("BRIDGEHEAD_ACCEL"),
		Environ: os.Environ(),
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
	}
	options.addFlags(flag.CommandLine)
	flag.Usage = func() {
		fmt.Fprintf(os.Stderr, "usage: vmrun [flags] <test binary> [its arguments]\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	code, err := run(ctx, options, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "vmrun: %v\n", err)
		code = 125
	}
	os.Exit(code)
}
