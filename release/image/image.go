// SPDX-License-Identifier: Apache-2.0

// Package image makes the container image of Bridgehead without a container daemon: both programs on an empty root, for
// several platforms under one index. The same source gives the same bytes.
package image

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// User is whom the image runs as: numeric, so that Kubernetes can see that it is not root.
const User = "65532:65532"

// binDir is where the programs are. It is on PATH.
const binDir = "/usr/local/bin"

// Platforms returns those that an image is released for.
func Platforms() []v1.Platform {
	return []v1.Platform{
		{OS: "linux", Architecture: "amd64"},
		{OS: "linux", Architecture: "arm64"},
		{OS: "linux", Architecture: "ppc64le"},
		{OS: "linux", Architecture: "s390x"},
	}
}

// Options say what is made.
type Options struct {
	// Source is the root of the module.
	Source string
	// Version and Commit are stamped into programs and labels.
	Version, Commit string
	// Created is the date in the image, which must not depend on when it is made; zero is 1970.
	Created time.Time
	// Plain layers are not compressed. That is for test nodes: unpacking is slow under emulation.
	Plain bool
}

// A Built is the image of one platform.
type Built struct {
	Platform v1.Platform
	Image    v1.Image
	// SBOM is an SPDX document, in JSON, of the modules that the programs are made of. It is in the image as well.
	SBOM []byte
}

// Build compiles the programs for a platform and makes the image of it.
func Build(ctx context.Context, o Options, platform v1.Platform) (Built, error) {
	dir, err := os.MkdirTemp("", "bridgehead-image-")
	if err != nil {
		return Built{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left is in the folder for temporary files
	programs, err := compile(ctx, o, platform, dir)
	if err != nil {
		return Built{}, err
	}
	sbom, err := describe(o, programs)
	if err != nil {
		return Built{}, fmt.Errorf("describe %s: %w", platform, err)
	}
	files := []File{{Path: "/usr/share/doc/bridgehead/sbom.spdx.json", Mode: 0o644, Data: sbom}}
	for _, path := range programs {
		data, err := os.ReadFile(path)
		if err != nil {
			return Built{}, err
		}
		files = append(files, File{Path: binDir + "/" + filepath.Base(path), Mode: 0o755, Data: data})
	}
	made, err := New(Spec{
		Platform: platform, Files: files, Entrypoint: []string{binDir + "/bridgehead"}, User: User,
		Created: o.Created, Labels: labels(o), Plain: o.Plain,
	})
	return Built{Platform: platform, Image: made, SBOM: sbom}, err
}

// labels returns those of the OCI image specification (annotations.md).
func labels(o Options) map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       "bridgehead",
		"org.opencontainers.image.description": "Secondary layer-2 networks for KubeVirt VMs and for pods",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.source":      "https://github.com/bridgehead-dev/bridgehead",
		"org.opencontainers.image.version":     o.Version,
		"org.opencontainers.image.revision":    o.Commit,
		"org.opencontainers.image.created":     created(o.Created).Format(time.RFC3339),
	}
}

func created(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return t.UTC()
}

// A File is one file of an image. It belongs to root.
type File struct {
	// Path is absolute. The folders above it are made.
	Path string
	Mode int64
	Data []byte
}

// A Spec is what an image is made of: files on an empty root, in one layer.
type Spec struct {
	Platform   v1.Platform
	Files      []File
	Entrypoint []string
	User       string
	Created    time.Time
	Labels     map[string]string
	Plain      bool
}

// New makes an image. The same Spec gives the same bytes.
func New(s Spec) (v1.Image, error) {
	layer, err := newLayer(s)
	if err != nil {
		return nil, fmt.Errorf("make layer: %w", err)
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.Append(img, mutate.Addendum{
		Layer: layer, History: v1.History{Created: v1.Time{Time: created(s.Created)}, CreatedBy: "release/image"},
	})
	if err != nil {
		return nil, fmt.Errorf("append layer: %w", err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = s.Platform.OS, s.Platform.Architecture, s.Platform.Variant
	config.Created = v1.Time{Time: created(s.Created)}
	config.Config = v1.Config{
		Entrypoint: s.Entrypoint, User: s.User, Labels: s.Labels, WorkingDir: "/",
		Env: []string{"PATH=" + binDir + ":/usr/bin:/bin"},
	}
	return mutate.ConfigFile(img, config)
}

func newLayer(s Spec) (v1.Layer, error) {
	packed, err := pack(s.Files, created(s.Created))
	if err != nil {
		return nil, err
	}
	if s.Plain {
		return static.NewLayer(packed, types.OCIUncompressedLayer), nil
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

// pack writes the files, and the folders above them, into a tar archive.
func pack(files []File, date time.Time) ([]byte, error) {
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	made := map[string]bool{"/": true}
	for _, f := range files {
		for _, dir := range foldersAbove(f.Path) {
			if made[dir] {
				continue
			}
			made[dir] = true
			header := &tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: 0o755, ModTime: date}
			if err := archive.WriteHeader(header); err != nil {
				return nil, err
			}
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.Path[1:], Mode: f.Mode, Size: int64(len(f.Data)), ModTime: date}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(f.Data); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), archive.Close()
}

// foldersAbove returns the folders that a path is in, the outermost first.
func foldersAbove(path string) []string {
	var folders []string
	for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
		folders = append([]string{dir}, folders...)
	}
	return folders
}
