// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// here returns the platform of this machine.
func here() v1.Platform { return v1.Platform{OS: "linux", Architecture: runtime.GOARCH} }

// source returns the options of a release.
func source() Options {
	return Options{Source: "../..", Version: "v1.2.3", Commit: "c0ffee", Created: time.Unix(1700000000, 0)}
}

func TestBuild(t *testing.T) {
	first, err := Build(t.Context(), source(), here())
	require.NoError(t, err)

	t.Run("two builds are equal to the byte", func(t *testing.T) {
		t.Setenv("GOFLAGS", "-tags=other")
		t.Chdir("..")
		moved := source()
		moved.Source = ".."
		second, err := Build(t.Context(), moved, here())
		require.NoError(t, err)
		assert.Equal(t, digest(t, first.Image), digest(t, second.Image))
		assert.Equal(t, string(first.SBOM), string(second.SBOM))
	})
	t.Run("it runs as a user whose number shows that it is not root", func(t *testing.T) {
		config, err := first.Image.ConfigFile()
		require.NoError(t, err)
		assert.Regexp(t, `^[1-9]\d*:[1-9]\d*$`, config.Config.User)
		assert.Equal(t, "v1.2.3", config.Config.Labels["org.opencontainers.image.version"])
		assert.Equal(t, "c0ffee", config.Config.Labels["org.opencontainers.image.revision"])
		assert.Equal(t, here().Architecture, config.Architecture)
		assert.Equal(t, time.Unix(1700000000, 0).UTC(), config.Created.Time)
	})
	t.Run("both programs are on PATH and say which version they are", func(t *testing.T) {
		root := unpack(t, first.Image)
		config, err := first.Image.ConfigFile()
		require.NoError(t, err)
		path, _, _ := strings.Cut(strings.TrimPrefix(config.Config.Env[0], "PATH="), ":")
		for _, program := range []string{"bridgehead", "bridgehead-agent"} {
			said, err := exec.CommandContext(t.Context(), filepath.Join(root, path, program), "--version").CombinedOutput()
			require.NoError(t, err, string(said))
			assert.Regexp(t, `^`+program+` v1\.2\.3 \(go\S+ linux/\S+\)\n$`, string(said))
		}
		assert.Equal(t, []string{path + "/bridgehead"}, config.Config.Entrypoint)
	})
	t.Run("the bill of materials is in it, and names what it is made of", func(t *testing.T) {
		inside, err := os.ReadFile(filepath.Join(unpack(t, first.Image), "usr/share/doc/bridgehead/sbom.spdx.json"))
		require.NoError(t, err)
		assert.Equal(t, string(first.SBOM), string(inside))
		var doc struct {
			SPDXVersion string
			Packages    []struct{ Name, VersionInfo string }
		}
		require.NoError(t, json.Unmarshal(inside, &doc))
		assert.Equal(t, "SPDX-2.3", doc.SPDXVersion)
		versions := map[string]string{}
		for _, p := range doc.Packages {
			versions[p.Name] = p.VersionInfo
		}
		assert.Equal(t, "v1.2.3", versions["bridgehead"])
		assert.Equal(t, runtime.Version(), versions["stdlib"])
		assert.NotEmpty(t, versions["github.com/vishvananda/netlink"])
		assert.NotEmpty(t, versions["sigs.k8s.io/controller-runtime"])
	})
}

// small returns an image that takes no compiler.
func small(t *testing.T, plain bool) v1.Image {
	t.Helper()
	img, err := New(Spec{
		Platform: here(), Files: []File{{Path: "/a/b/hello", Mode: 0o755, Data: bytes.Repeat([]byte("hello "), 1000)}},
		Entrypoint: []string{"/a/b/hello"}, User: User, Plain: plain,
	})
	require.NoError(t, err)
	return img
}

func TestAnArchiveIsReadAsTheSameImage(t *testing.T) {
	for name, plain := range map[string]bool{"compressed": false, "plain, for test nodes": true} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "folder", "image.tar")
			require.NoError(t, WriteTarball(path, "registry.example.org/bridgehead:v1", small(t, plain)))
			read, err := tarball.ImageFromPath(path, nil)
			require.NoError(t, err)
			root := unpack(t, read)
			assert.FileExists(t, filepath.Join(root, "a/b/hello"))
			layers, err := small(t, plain).Layers()
			require.NoError(t, err)
			size, err := layers[0].Size()
			require.NoError(t, err)
			assert.Equal(t, plain, size > 6000, "bytes of the layer: %d", size)
		})
	}
	require.ErrorContains(
		t, WriteTarball(filepath.Join(t.TempDir(), "x.tar"), "No Name", small(t, true)), "name of the image",
	)
}

func TestAnIndexIsPushedAndWritten(t *testing.T) {
	other := v1.Platform{OS: "linux", Architecture: "s390x"}
	index := Index(source(), []Built{{Platform: here(), Image: small(t, false)}, {Platform: other, Image: small(t, true)}})
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/bridgehead:v1"

	pushed, err := Push(t.Context(), reference, index)
	require.NoError(t, err)
	want, err := index.Digest()
	require.NoError(t, err)
	assert.Contains(t, pushed, "/bridgehead@"+want.String())
	parsed, err := name.ParseReference(pushed)
	require.NoError(t, err)
	there, err := remote.Index(parsed)
	require.NoError(t, err)
	manifest, err := there.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 2)
	assert.Equal(t, "s390x", manifest.Manifests[1].Platform.Architecture)
	assert.Equal(t, "v1.2.3", manifest.Annotations["org.opencontainers.image.version"])

	dir := filepath.Join(t.TempDir(), "oci")
	for range 2 { // what an earlier release left is gone
		written, err := WriteLayout(dir, index)
		require.NoError(t, err)
		assert.Equal(t, want, written)
	}
	path, err := layout.FromPath(dir)
	require.NoError(t, err)
	root, err := path.ImageIndex()
	require.NoError(t, err)
	top, err := root.IndexManifest()
	require.NoError(t, err)
	assert.Len(t, top.Manifests, 1)

	server.Close()
	_, err = Push(t.Context(), reference, index)
	require.ErrorContains(t, err, "push "+reference)
}

func digest(t *testing.T, image v1.Image) string {
	t.Helper()
	d, err := image.Digest()
	require.NoError(t, err)
	return d.String()
}

// unpack writes the files of an image below a folder.
func unpack(t *testing.T, image v1.Image) string {
	t.Helper()
	root := t.TempDir()
	layers, err := image.Layers()
	require.NoError(t, err)
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		require.NoError(t, err)
		archive := tar.NewReader(content)
		for {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			assert.Zero(t, header.Uid+header.Gid, "%s belongs to root", header.Name)
			path := filepath.Join(root, header.Name)
			if header.Typeflag == tar.TypeDir {
				require.NoError(t, os.MkdirAll(path, 0o755))
				continue
			}
			data, err := io.ReadAll(archive)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, data, header.FileInfo().Mode()))
		}
	}
	return root
}
