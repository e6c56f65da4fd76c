// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/release/install"
)

func TestManifestsOfEveryClusterAreAppliedStrictly(t *testing.T) {
	t.Parallel()
	plane := controlplane.StartForTest(t, controlplane.Options{})
	for _, file := range []string{"testdata/scc-crd.yaml", "testdata/servicemonitor-crd.yaml"} {
		crd, err := os.ReadFile(file)
		require.NoError(t, err)
		_, err = plane.KubectlInput(t.Context(), string(crd), "apply", "--server-side", "-f", "-")
		require.NoError(t, err)
	}
	require.NoError(t, plane.Apply(t.Context(), certManagerCRDs(t)))
	root, err := suite.Root()
	require.NoError(t, err)
	require.NoError(t, plane.Apply(t.Context(), root+"/manifests")) // a dry run makes no namespaces
	clusters, err := install.Clusters(root + "/manifests")
	require.NoError(t, err)
	require.Contains(t, clusters, "install-openshift.yaml")
	digest, _, err := v1.SHA256(strings.NewReader("an index"))
	require.NoError(t, err)
	image, err := install.Image("registry.example.org/bridgehead:v1.2.3", digest)
	require.NoError(t, err)
	for file, folder := range clusters {
		t.Run(file, func(t *testing.T) {
			rendered, err := install.Render(folder, image)
			require.NoError(t, err)
			byKubectl, err := plane.Kubectl(t.Context(), "kustomize", folder)
			require.NoError(t, err)
			image := "image: registry.example.org/bridgehead:v1.2.3@" + digest.String() + "\n"
			want := strings.ReplaceAll(byKubectl, "image: bridgehead\n", image)
			assert.Equal(t, want, string(rendered), "what is released is what the folder gives")
			out, err := plane.KubectlInput(
				t.Context(), string(rendered), "apply", "--server-side", "--validate=strict", "--dry-run=server", "-f", "-",
			)
			require.NoError(t, err)
			assert.NotEmpty(t, out)
		})
	}
}
