// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// clusters are the folders of manifests that users apply.
func clusters(t *testing.T) map[string]string {
	t.Helper()
	root, err := suite.Root()
	require.NoError(t, err)
	found := map[string]string{}
	for _, pattern := range []string{"", "*"} {
		paths, err := filepath.Glob(filepath.Join(root, "manifests", pattern, "kustomization.yaml"))
		require.NoError(t, err)
		for _, path := range paths {
			found[filepath.Base(filepath.Dir(path))] = filepath.Dir(path)
		}
	}
	return found
}

func TestManifestsOfEveryClusterAreAppliedStrictly(t *testing.T) {
	plane := controlplane.StartForTest(t, controlplane.Options{})
	scc, err := os.ReadFile("testdata/scc-crd.yaml")
	require.NoError(t, err)
	_, err = plane.KubectlInput(t.Context(), string(scc), "apply", "--server-side", "-f", "-")
	require.NoError(t, err)
	folders := clusters(t)
	require.NoError(t, plane.Apply(t.Context(), folders["manifests"])) // a dry run makes no namespaces
	for name, folder := range folders {
		t.Run(name, func(t *testing.T) {
			rendered, err := plane.Kubectl(t.Context(), "kustomize", folder)
			require.NoError(t, err)
			out, err := plane.KubectlInput(
				t.Context(), rendered, "apply", "--server-side", "--validate=strict", "--dry-run=server", "-f", "-",
			)
			require.NoError(t, err)
			assert.NotEmpty(t, out)
		})
	}
}
