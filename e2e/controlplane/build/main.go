// SPDX-License-Identifier: Apache-2.0

// Build compiles the programs of the test control plane and of its nodes, unless the cache has them, and
// prints the folders they are in. Tests do the same by themselves; this is for having it done beforehand,
// and for using the programs by hand. The environment variable BRIDGEHEAD_CACHE moves the cache.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane/binaries"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, set := range []binaries.Set{binaries.ControlPlane, binaries.Node, binaries.Enforcer} {
		dir, err := binaries.Ensure(ctx, binaries.Options{Set: set, Out: os.Stderr})
		if err != nil {
			fmt.Fprintln(os.Stderr, "build programs:", err)
			os.Exit(1) //nolint:gocritic // nothing is left for the deferred stop to do
		}
		fmt.Println(dir)
	}
}
