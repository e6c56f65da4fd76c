// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/kustomize/api/types"
)

// name is that of the chart.
const name = "bridgehead"

// A Release is what a packaged chart is of.
type Release struct {
	// Version is as git describes it; that of the chart is made of it.
	Version string
	// Image is what the chart installs unless values say otherwise.
	Image types.Image
	// Created is the time of everything in the archive, so that it is the same whenever it is made.
	Created time.Time
}

// Package writes the chart in a folder as <to>/bridgehead-<version>.tgz, and returns its path. The same release gives
// the same bytes.
func Package(chart, to string, r Release) (string, error) {
	version := chartVersion(r.Version)
	var archive bytes.Buffer
	zipped := gzip.NewWriter(&archive)
	files := tar.NewWriter(zipped)
	err := filepath.WalkDir(chart, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return add(files, chart, file, version, r)
	})
	if err != nil {
		return "", fmt.Errorf("package the chart: %w", err)
	}
	if err := files.Close(); err != nil {
		return "", fmt.Errorf("package the chart: %w", err)
	}
	if err := zipped.Close(); err != nil {
		return "", fmt.Errorf("package the chart: %w", err)
	}
	written := filepath.Join(to, name+"-"+version+".tgz")
	return written, os.WriteFile(written, archive.Bytes(), 0o644)
}

// add adds one file of the chart to the archive, with what the release says.
func add(files *tar.Writer, chart, file, version string, r Release) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	relative, err := filepath.Rel(chart, file)
	if err != nil {
		return err
	}
	relative = filepath.ToSlash(relative)
	switch relative {
	case "Chart.yaml":
		text, err = set(text, map[string]string{"version: ": version, "appVersion: ": r.Version})
	case "values.yaml":
		text, err = set(text, map[string]string{
			"  repository: ": r.Image.NewName, "  tag: ": r.Image.NewTag, "  digest: ": r.Image.Digest,
		})
	}
	if err != nil {
		return fmt.Errorf("%s: %w", relative, err)
	}
	header := &tar.Header{
		Name: path.Join(name, relative), Mode: 0o644, Size: int64(len(text)), ModTime: r.Created.UTC(), Format: tar.FormatPAX,
	}
	if err := files.WriteHeader(header); err != nil {
		return err
	}
	_, err = files.Write(text)
	return err
}

// set gives the keys at the beginnings of lines of a YAML text other values, each of which must be there once.
func set(text []byte, values map[string]string) ([]byte, error) {
	lines := strings.Split(string(text), "\n")
	for key, value := range values {
		found := 0
		for i, line := range lines {
			if strings.HasPrefix(line, key) {
				lines[i] = fmt.Sprintf("%s%q", key, value)
				found++
			}
		}
		if found != 1 {
			return nil, fmt.Errorf("%q is there %d times, not once", strings.TrimSpace(key), found)
		}
	}
	return []byte(strings.Join(lines, "\n")), nil
}

// chartVersion returns the version as Helm wants it. What is between releases comes before all of them.
func chartVersion(version string) string {
	if v, err := semver.StrictNewVersion(strings.TrimPrefix(version, "v")); err == nil {
		return v.String()
	}
	allowed := func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}
	return "0.0.0-dev-" + strings.Map(allowed, version)
}
