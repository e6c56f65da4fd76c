// SPDX-License-Identifier: Apache-2.0

// Package inguest tells tests whether they run in a guest of e2e/vmrun.
package inguest

import (
	"os"
	"testing"

	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/script"
)

// Require stops a test that would otherwise change the network of the machine
// it was started on. It fails, and never skips: a test that did not run must
// not look like one that passed.
func Require(tb testing.TB) {
	tb.Helper()
	if _, err := os.Stat(script.Path); err != nil {
		tb.Fatalf("this test changes the kernel's network and runs only in a guest; run it with: "+
			"go test -tags guest -exec 'go run github.com/bridgehead-dev/bridgehead/e2e/vmrun' <package> (%v)", err)
	}
}
