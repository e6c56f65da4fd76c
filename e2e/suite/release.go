// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane/binaries"
)

// A Release is the source of the program, and its manifests.
type Release struct {
	// Root is the folder of its go.mod.
	Root string
	// Flags are what its program is to be given in a suite.
	Flags []string
}

// This returns what is in the repository.
func This() (Release, error) {
	root, err := Root()
	// A replica that ends does not wait for what the API server keeps any longer: tests would.
	return Release{Root: root, Flags: []string{"--metrics-secure=false", "--drain-timeout=10s"}}, err
}

func (o Options) release() (Release, error) {
	if o.Release != nil {
		return *o.Release, nil
	}
	return This()
}

// Become applies the manifests of another release, as users do to change over to it. Replicas that are started from now
// on are of it; those that run go on.
func (s *Suite) Become(ctx context.Context, r Release) error {
	if err := s.use(ctx, r); err != nil {
		return err
	}
	return s.Apply(ctx, filepath.Join(r.Root, "manifests"))
}

// use has replicas be of a release, whose program it builds.
func (s *Suite) use(ctx context.Context, r Release) error {
	program, err := s.build(ctx, r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release, s.program = r, program
	return nil
}

// build returns the path of the program of a release. That of what is in the repository is kept, one beside another
// with a clock that can be skewed: where nothing has changed since, which is so for all tests of a run but the first,
// the go command has nothing to do, and would link for seconds otherwise.
func (s *Suite) build(ctx context.Context, r Release) (string, error) {
	dir, err := s.folderOf(r)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make folder of the program: %w", err)
	}
	unlock, err := binaries.Lock(ctx, filepath.Join(dir, ".lock"), func() {})
	if err != nil {
		return "", fmt.Errorf("build the program of %s: %w", r.Root, err)
	}
	defer unlock()
	program := filepath.Join(dir, "bridgehead")
	// Without paths, a release that was unpacked elsewhere is not compiled anew.
	arguments := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", program}
	if len(s.options.Skews) > 0 {
		skewed, err := overlay(ctx, s.dir)
		if err != nil {
			return "", err
		}
		arguments = append(arguments, "-overlay="+skewed)
	}
	command := exec.CommandContext(ctx, "go", append(arguments, "./cmd/bridgehead")...)
	command.Dir = r.Root
	command.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program of %s: %w\n%s", r.Root, err, out)
	}
	return program, nil
}

// folderOf returns where the program of a release is built: in the cache that of the repository, which is there
// tomorrow, and in the suite's folder that of any other.
func (s *Suite) folderOf(r Release) (string, error) {
	this, err := Root()
	if err != nil {
		return "", err
	}
	if r.Root != this {
		return filepath.Join(s.dir, filepath.Base(r.Root)), nil
	}
	cache, err := binaries.CacheDir()
	if err != nil {
		return "", err
	}
	clock := "true"
	if len(s.options.Skews) > 0 {
		clock = "skewed"
	}
	return filepath.Join(cache, "programs", fmt.Sprintf("%x", sha256.Sum256([]byte(this)))[:16], clock), nil
}
