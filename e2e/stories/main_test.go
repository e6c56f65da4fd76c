// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/bridgehead-dev/bridgehead/e2e/audit"
)

// TestMain runs the tests, and with -roles compares what the service accounts asked the API servers for meanwhile with
// the roles in the manifests.
func TestMain(m *testing.M) {
	roles := flag.Bool("roles", false, "fail where the roles are not what the audit logs say is needed")
	flag.Parse()
	if !*roles {
		os.Exit(m.Run())
	}
	os.Exit(audit.Run(m.Run, unneeded))
}

// unneeded returns what is wrong with the roles. Whether every right is used is known only when all tests have run.
func unneeded(reports map[string]audit.Report, passed bool) (wrong []string) {
	all := passed
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		all = all && flag.Lookup(name).Value.String() == ""
	}
	for account, report := range reports {
		report.Unused = slices.DeleteFunc(report.Unused, func(right string) bool {
			return !all || slices.Contains(seldom()[account], right)
		})
		for _, line := range report.Lines() {
			wrong = append(wrong, account+": "+line)
		}
	}
	slices.Sort(wrong)
	return wrong
}

// seldom returns rights, by service account, that are needed, and that these tests do not need every time, or at all.
func seldom() map[string][]string {
	return map[string][]string{
		"bridgehead-system:bridgehead": {
			// What happens again within minutes is counted in the event that there is.
			"patch events.k8s.io/events *",
			// A block goes that was empty at two sweeps, which are minutes apart.
			"delete bridgehead.dev/macblocks *",
		},
		"bridgehead-agent:bridgehead-agent": {
			// The agents of these tests write down themselves what they would tell; those of e2e/onnodes make events.
			"create events.k8s.io/events *", "patch events.k8s.io/events *",
			// An agent whose report met another write reads what there is.
			"get nmstate.io/nodenetworkstates *",
		},
	}
}
