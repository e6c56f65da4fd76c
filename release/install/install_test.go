// SPDX-License-Identifier: Apache-2.0

package install

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/kustomize/api/types"
)

const manifests = "../../manifests"

func digest(t *testing.T) v1.Hash {
	t.Helper()
	h, _, err := v1.SHA256(strings.NewReader("an index"))
	require.NoError(t, err)
	return h
}

func TestWrite(t *testing.T) {
	image, err := Image("registry.example.org:5000/net/bridgehead:v1.2.3", digest(t))
	require.NoError(t, err)
	written, err := Write(manifests, filepath.Join(t.TempDir(), "new"), image)
	require.NoError(t, err)
	again, err := Write(manifests, t.TempDir(), image)
	require.NoError(t, err)
	var names []string
	for i, path := range written {
		names = append(names, filepath.Base(path))
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		same, err := os.ReadFile(again[i])
		require.NoError(t, err)
		assert.Equal(t, string(text), string(same), "rendered twice, %s is the same", path)
		images := regexp.MustCompile(`(?m)^\s*(?:- )?image: (.*)$`).FindAllStringSubmatch(string(text), -1)
		assert.Len(t, images, 2, "%s has the Deployment and the DaemonSet", path)
		for _, found := range images {
			assert.Equal(t, "registry.example.org:5000/net/bridgehead:v1.2.3@"+digest(t).String(), found[1])
		}
		assert.Regexp(t, `^apiVersion: admissionregistration\.k8s\.io/v1\nkind: MutatingWebhookConfiguration\n`, string(text),
			"webhooks go first in %s", path)
	}
	assert.Contains(t, names, "install.yaml")
	assert.Contains(t, names, "install-openshift.yaml")
	assert.NotContains(t, names, "install-base.yaml")
	assert.NotContains(t, names, "install-crds.yaml")
}

func TestImage(t *testing.T) {
	for reference, fault := range map[string]string{
		"No Name":          "name of the image",
		"a@sha256:1234":    "name of the image",
		"bridgehead:dev":   "",
		"ghcr.io/x/bh:1.0": "",
	} {
		_, err := Image(reference, digest(t))
		if fault == "" {
			require.NoError(t, err, reference)
			continue
		}
		require.ErrorContains(t, err, fault, reference)
	}
}

func TestRenderSaysWhichFolderIsWrong(t *testing.T) {
	_, err := Render(filepath.Join(t.TempDir(), "none"), types.Image{})
	require.ErrorContains(t, err, "none")
	_, err = Clusters(filepath.Join(t.TempDir(), "none"))
	require.ErrorContains(t, err, "list manifests")
}
