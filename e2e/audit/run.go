// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/kustomize/api/types"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/release/install"
)

// Run runs tests, whose control planes keep audit logs meanwhile, and compares the roles in the manifests with those.
// It returns the exit code of the tests, or 1 if there is anything wrong with the roles, which is printed. wrong says
// what is, by the reports of service accounts and whether the tests have passed.
func Run(tests func() int, wrong func(reports map[string]Report, passed bool) []string) int {
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
	code := tests()
	reports, err := compareManifests(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare the roles with the audit logs:", err)
		return 1
	}
	found := wrong(reports, code == 0)
	for _, w := range found {
		fmt.Fprintln(os.Stderr, "the roles in the manifests are not what is needed:", w)
	}
	return max(code, min(len(found), 1))
}

// compareManifests is CompareLogs for the manifests of this repository.
func compareManifests(dir string) (map[string]Report, error) {
	root, err := suite.Root()
	if err != nil {
		return nil, err
	}
	rendered, err := install.Render(filepath.Join(root, "manifests"), types.Image{})
	if err != nil {
		return nil, err
	}
	return CompareLogs(rendered, dir)
}
