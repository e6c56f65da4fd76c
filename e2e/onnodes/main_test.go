// SPDX-License-Identifier: Apache-2.0

package onnodes

import (
	"os"
	"testing"

	"github.com/bridgehead-dev/bridgehead/e2e/audit"
)

// TestMain runs the tests, and fails if anything was refused to the pods meanwhile that no rule of the manifests
// allows.
func TestMain(m *testing.M) { os.Exit(audit.Run(m.Run, refused)) }

// refused returns what the roles do not allow and was asked for.
func refused(reports map[string]audit.Report, _ bool) []string {
	var all []string
	for account, report := range reports {
		for _, r := range report.Refused {
			all = append(all, account+": "+r+" was refused")
		}
	}
	return all
}
