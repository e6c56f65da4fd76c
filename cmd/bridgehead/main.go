// SPDX-License-Identifier: Apache-2.0

// Command bridgehead serves the admission webhooks of the suite and runs its controllers. Any number of replicas serve
// at once; the controllers run in one of them.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/bridgehead-dev/bridgehead/version"
)

func main() {
	options := defaultOptions(os.Getenv("POD_NAMESPACE"), os.Getenv("POD_NAME"))
	if err := options.parse(os.Args[1:]); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			os.Exit(0)
		}
		fmt.Fprintln(os.Stderr, "bridgehead:", err)
		os.Exit(2)
	}
	if options.Version {
		fmt.Println(version.Line("bridgehead"))
		return
	}
	if err := run(ctrl.SetupSignalHandler(), options); err != nil {
		fmt.Fprintln(os.Stderr, "bridgehead:", err)
		os.Exit(1)
	}
}
