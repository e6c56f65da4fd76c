// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"fmt"
	"os"
	"path/filepath"
)

// AuditVariable is the environment variable that names the default of Options.AuditDir, so that all the tests of a
// package are recorded without each of them saying so.
const AuditVariable = "BRIDGEHEAD_AUDIT"

// auditPolicy records what service accounts asked for, and whether it was allowed.
const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: Metadata
  userGroups: ["system:serviceaccounts"]
- level: None
`

// auditFlags returns the flags by which the API server records what service accounts ask for; none if nobody wants it.
func (c *ControlPlane) auditFlags(o Options) ([]string, error) {
	dir := o.AuditDir
	if dir == "" {
		dir = os.Getenv(AuditVariable) //nolint:forbidigo // see binaries.CacheDir
	}
	if dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of audit logs: %w", err)
	}
	policy := c.run.path("audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, fmt.Errorf("write the audit policy: %w", err)
	}
	return []string{
		"--audit-policy-file=" + policy,
		"--audit-log-path=" + filepath.Join(dir, filepath.Base(c.run.dir)+".json"),
	}, nil
}
