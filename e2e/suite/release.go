// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// A Release is the source of the program, and its manifests.
type Release struct {
	// Root is the folder of its go.mod.
	Root string
	// Flags are what its program is to be given in a suite.
	Flags []string
}

// This is what is in the repository.
func This() (Release, error) {
	root, err := Root()
	return Release{Root: root, Flags: []string{"--metrics-secure=false"}}, err
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

// use builds the program of a release, and has replicas be of it.
func (s *Suite) use(ctx context.Context, r Release) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.programs++
	program := filepath.Join(s.dir, "bridgehead-"+strconv.Itoa(s.programs))
	arguments := []string{"build", "-o", program}
	if len(s.options.Skews) > 0 {
		skewed, err := overlay(ctx, s.dir)
		if err != nil {
			return err
		}
		arguments = append(arguments, "-overlay="+skewed)
	}
	command := exec.CommandContext(ctx, "go", append(arguments, "./cmd/bridgehead")...)
	command.Dir = r.Root
	command.Env = append(os.Environ(), "GOWORK=off")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build the program of %s: %w\n%s", r.Root, err, out)
	}
	s.release, s.program = r, program
	return nil
}
