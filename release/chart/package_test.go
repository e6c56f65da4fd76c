// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chart/loader"
	"sigs.k8s.io/kustomize/api/types"

	packaged "github.com/bridgehead-dev/bridgehead/release/chart"
)

func TestPackage(t *testing.T) {
	image := types.Image{NewName: "r.example.org/bridgehead", NewTag: "v1.2.3", Digest: digest}
	for version, want := range map[string]string{
		"v1.2.3":                   "1.2.3",
		"v1.2.3-rc.1":              "1.2.3-rc.1",
		"0123456":                  "0.0.0-dev-0123456",
		"v1.2.3-4-gabcdef0-dirty":  "1.2.3-4-gabcdef0-dirty",
		"no/version_of-this world": "0.0.0-dev-no-version-of-this-world",
	} {
		t.Run(version, func(t *testing.T) {
			release := packaged.Release{Version: version, Image: image, Created: time.Unix(1700000000, 0)}
			path, err := packaged.Package(chart, t.TempDir(), release)
			require.NoError(t, err)
			assert.Equal(t, "bridgehead-"+want+".tgz", filepath.Base(path))
			again, err := packaged.Package(chart, t.TempDir(), release)
			require.NoError(t, err)
			first, err := os.ReadFile(path)
			require.NoError(t, err)
			second, err := os.ReadFile(again)
			require.NoError(t, err)
			assert.Equal(t, first, second, "packaged twice, it is the same")

			c, err := loader.Load(path)
			require.NoError(t, err)
			require.NoError(t, c.Validate())
			assert.Equal(t, want, c.Metadata.Version)
			assert.Equal(t, version, c.Metadata.AppVersion)
			assert.Equal(t, map[string]any{
				"repository": "r.example.org/bridgehead", "tag": "v1.2.3", "digest": digest, "pullPolicy": "IfNotPresent",
			}, c.Values["image"])
			source, err := loader.Load(chart)
			require.NoError(t, err)
			assert.Len(t, c.Templates, len(source.Templates))
			assert.Equal(t, source.Schema, c.Schema)
		})
	}
	_, err := packaged.Package(t.TempDir()+"/none", t.TempDir(), packaged.Release{})
	require.ErrorContains(t, err, "package the chart")
}
