// SPDX-License-Identifier: Apache-2.0

package onnodes

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// newVM returns a VM with one interface.
func newVM(name string) string {
	return `
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: ` + name + `, namespace: default}
spec:
  runStrategy: Halted
  template:
    spec:
      domain:
        devices: {interfaces: [{name: default, masquerade: {}}]}
      networks: [{name: default, pod: {}}]
`
}

// vmFile is newVM in a file. Names of tests have no commas: kubectl would take the path, which has that name, for two.
func vmFile(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "vm.yaml")
	require.NoError(t, os.WriteFile(file, []byte(newVM(name)), 0o600))
	return file
}
