// Build compiles the programs of the test control plane, unless the cache has them, and prints the folder
// they are in. Tests do the same by themselves; this is for having it done beforehand, and for using the
// programs by hand. The environment variable BRIDGEHEAD_CACHE moves the cache.
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
	dir, err := binaries.Ensure(ctx, binaries.Options{Out: os.Stderr})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the control plane:", err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
