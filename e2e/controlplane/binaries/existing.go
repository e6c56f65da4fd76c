// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// versionTimeout bounds how long a program that exists may take to say its version.
const versionTimeout = time.Minute

// takeExisting puts a program in place that is on this machine already, instead of building it: one of the assets, or a
// kubectl on the search path. It reports false if there is none whose version fits.
func (b *builder) takeExisting(ctx context.Context, t target) (bool, error) {
	path := b.existing(t.name)
	if path == "" {
		return false, nil
	}
	found, err := versionOf(ctx, path)
	if err != nil {
		b.say("%s is not used: %v", path, err)
		return false, nil
	}
	if !fits(t, found) {
		b.say("%s is not used: it is %s, not %s", path, found, t.version)
		return false, nil
	}
	unfinished, err := os.MkdirTemp(b.dir, unfinishedPrefix+t.name+"-")
	if err != nil {
		return false, fmt.Errorf("make a folder for a copy: %w", err)
	}
	defer func() { _ = os.RemoveAll(unfinished) }()
	program := filepath.Join(unfinished, t.name)
	if err := copyProgram(path, program); err != nil {
		return false, err
	}
	if err := install(program, filepath.Join(b.dir, t.name)); err != nil {
		return false, err
	}
	b.say("took %s %s from %s", t.name, found, path)
	return true, nil
}

// existing returns where a program may be found; empty if nowhere.
func (b *builder) existing(name string) string {
	if b.assets != "" {
		path := filepath.Join(b.assets, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	if name != "kubectl" {
		return ""
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return path
}

// versionOf asks a program for its version.
func versionOf(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	args := []string{"--version"}
	if filepath.Base(path) == "kubectl" {
		args = []string{"version", "--client"}
	}
	out, err := exec.CommandContext(ctx, path, args...).Output()
	if err != nil {
		return "", fmt.Errorf("ask it for its version: %w", err)
	}
	version := regexp.MustCompile(`\d+\.\d+\.\d+[-+.\w]*`).FindString(string(out))
	if version == "" {
		return "", errors.New("it does not say its version")
	}
	return "v" + version, nil
}

// fits reports whether a program of a version may stand in for the one that is pinned: with the same minor version for
// Kubernetes, whose parts of one minor version go together, and the same major one for etcd, which Kubernetes needs
// whatever its minor.
func fits(t target, version string) bool {
	parts := 2
	if t.name == "etcd" {
		parts = 1
	}
	pinned, found := strings.Split(t.version, "."), strings.Split(version, ".")
	for i := range parts {
		if i >= len(pinned) || i >= len(found) || pinned[i] != found[i] {
			return false
		}
	}
	return true
}

// copyProgram copies a file and makes it executable.
func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copy a program: %w", err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return fmt.Errorf("copy a program: %w", err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}
