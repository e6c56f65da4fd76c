// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/types"

	"github.com/bridgehead-dev/bridgehead/e2e/audit"
	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/release/install"
)

// TestMain runs the tests, and compares what the service accounts asked the API servers for meanwhile with the roles in
// the manifests. Whether every right is used is known only when all tests have run.
func TestMain(m *testing.M) {
	strict := flag.Bool("roles", false, "fail where the roles are not what the audit logs say is needed")
	flag.Parse()
	os.Exit(run(m, *strict))
}

func run(m *testing.M, strict bool) int {
	dir, err := os.MkdirTemp("", "bridgehead-audit-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make the folder of audit logs:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder
	if err := os.Setenv(controlplane.AuditVariable, dir); err != nil {
		fmt.Fprintln(os.Stderr, "name the folder of audit logs:", err)
		return 1
	}
	if code := m.Run(); code != 0 {
		return code
	}
	all := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" &&
		flag.Lookup("test.list").Value.String() == ""
	wrong, err := compareRoles(dir, all)
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare the roles with the audit logs:", err)
		return 1
	}
	for _, w := range wrong {
		fmt.Fprintln(os.Stderr, "the roles in the manifests are not what is needed:", w)
	}
	if !strict {
		return 0
	}
	return min(len(wrong), 1)
}

// compareRoles returns what is wrong with the roles by the audit logs in a folder.
func compareRoles(dir string, all bool) (wrong []string, err error) {
	root, err := suite.Root()
	if err != nil {
		return nil, err
	}
	rendered, err := install.Render(filepath.Join(root, "manifests"), types.Image{})
	if err != nil {
		return nil, err
	}
	grants, err := audit.Grants(rendered)
	if err != nil {
		return nil, err
	}
	asked, err := readLogs(dir)
	if err != nil {
		return nil, err
	}
	for account, of := range grants {
		report := audit.Compare(of, asked[account])
		report.Unused = slices.DeleteFunc(report.Unused, func(right string) bool {
			return !all || slices.Contains(seldom(), right)
		})
		for what, found := range map[string][]string{
			"was refused": report.Refused, "is allowed and not used": report.Unused, "is allowed twice": report.Twice,
		} {
			for _, f := range found {
				wrong = append(wrong, fmt.Sprintf("%s: %s %s", strings.TrimPrefix(account, "system:serviceaccount:"), f, what))
			}
		}
	}
	slices.Sort(wrong)
	return wrong, nil
}

// seldom are rights that are needed, and that these tests do not need every time, or at all.
func seldom() []string {
	return []string{
		// What happens again within minutes is counted in the event that there is.
		"create events.k8s.io/events *", "patch events.k8s.io/events *",
		// An agent whose report met another write reads what there is.
		"get nmstate.io/nodenetworkstates *",
		// Others that do the same are looked for where nothing of ours is in force, and by kinds that the cluster knows.
		"get admissionregistration.k8s.io/mutatingwebhookconfigurations bridgehead",
		"get admissionregistration.k8s.io/mutatingwebhookconfigurations nmstate",
		"get nmstate.io/nmstates nmstate", "get apps/daemonsets nmstate-handler",
		"get networkaddonsoperator.network.kubevirt.io/networkaddonsconfigs cluster",
		// The key of claims is made with the Secret, and replaced when it is old.
		"get /secrets bridgehead-system/bridgehead-claims", "update /secrets bridgehead-system/bridgehead-claims",
		// A block goes with its pool; an object is read anew where the cache may be behind.
		"delete bridgehead.dev/macblocks *", "get kubevirt.io/virtualmachines *",
		"get kubevirt.io/virtualmachineinstances *",
		"get bridgehead.dev/macpools *", "get /pods *", "get /namespaces *", "get /nodes *",
		"get k8s.cni.cncf.io/network-attachment-definitions *", "get nmstate.io/nodenetworkconfigurationpolicies *",
	}
}

// readLogs reads all audit logs in a folder.
func readLogs(dir string) (map[string][]audit.Request, error) {
	logs, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	all := map[string][]audit.Request{}
	for _, path := range logs {
		found, err := readLog(path)
		if err != nil {
			return nil, err
		}
		for account, requests := range found {
			all[account] = append(all[account], requests...)
		}
	}
	return all, nil
}

func readLog(path string) (map[string][]audit.Request, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return audit.Read(file)
}
