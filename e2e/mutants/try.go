// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// run tries every mutant of the lists below the roots, one line each. The error says how many survived.
func run(ctx context.Context, o Options, out io.Writer) error {
	mutants, err := find(o)
	if err != nil {
		return err
	}
	if len(mutants) == 0 {
		return errors.New("no mutant of that name in any testdata/mutants.yaml")
	}
	survived := 0
	for _, m := range mutants {
		begin := time.Now()
		noticed, err := try(ctx, m, o.Limit)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		took := time.Since(begin).Round(time.Second)
		if err != nil {
			survived++
			fmt.Fprintf(out, "SURVIVED  %s (%s)\n          %v\n", m.Name, m.File, err)
			continue
		}
		fmt.Fprintf(out, "noticed   %s (%s, %v, by %s)\n", m.Name, m.File, took, noticed)
	}
	fmt.Fprintf(out, "%d mutants, %d survived\n", len(mutants), survived)
	if survived > 0 {
		return fmt.Errorf("%d of %d mutants survived", survived, len(mutants))
	}
	return nil
}

func find(o Options) ([]Mutant, error) {
	var found []Mutant
	for _, root := range o.Roots {
		lists, err := findLists(root)
		if err != nil {
			return nil, fmt.Errorf("look for lists: %w", err)
		}
		for _, path := range lists {
			mutants, err := readList(path)
			if err != nil {
				return nil, err
			}
			for _, m := range mutants {
				if strings.Contains(m.Name, o.Name) {
					found = append(found, m)
				}
			}
		}
	}
	return found, nil
}

// try returns the first test that fails with the mutant, and an error if none does, if the tests hang, or if the mutant
// cannot be tried at all: then it says nothing of the tests.
func try(ctx context.Context, m Mutant, limit time.Duration) (string, error) {
	text, err := os.ReadFile(m.File)
	if err != nil {
		return "", err
	}
	mutated, err := m.apply(string(text))
	if err != nil {
		return "", err
	}
	overlay, remove, err := writeOverlay(m.File, mutated)
	if err != nil {
		return "", err
	}
	defer remove()
	build := exec.CommandContext(ctx, "go", append([]string{"build", "-overlay", overlay}, m.Tests...)...)
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("does not build: %s", strings.TrimSpace(string(output)))
	}
	args := []string{"test", "-json", "-failfast", "-vet=off", "-timeout", limit.String(), "-overlay", overlay}
	output, err := exec.CommandContext(ctx, "go", append(args, m.Tests...)...).CombinedOutput()
	if err == nil {
		return "", errors.New("every test passes")
	}
	return firstFailure(string(output))
}

// An event is what go test -json prints of a test; see go doc test2json.
type event struct{ Action, Package, Test, Output string }

// firstFailure returns the test that failed first, and an error if the tests hung or none was run.
func firstFailure(output string) (string, error) {
	lines := bufio.NewScanner(strings.NewReader(output))
	lines.Buffer(nil, 1<<24)
	failed := ""
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		if strings.HasPrefix(e.Output, "panic: test timed out") {
			return "", fmt.Errorf("the tests hang: %s", e.Package)
		}
		if failed == "" && e.Action == "fail" && e.Test != "" {
			failed = e.Test
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("read what go test printed: %w", err)
	}
	if failed == "" {
		return "", fmt.Errorf("no test was run: %s", strings.TrimSpace(output))
	}
	return failed, nil
}

// writeOverlay tells the go command to read another text in place of a file: see go help build, -overlay.
func writeOverlay(file, text string) (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) } // what is left is in the folder for temporary files
	defer func() {
		if err != nil {
			remove()
		}
	}()
	original, err := filepath.Abs(file)
	if err != nil {
		return "", nil, err
	}
	other := filepath.Join(dir, filepath.Base(file))
	if err := os.WriteFile(other, []byte(text), 0o600); err != nil {
		return "", nil, err
	}
	index, err := json.Marshal(map[string]map[string]string{"Replace": {original: other}})
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, remove, os.WriteFile(path, index, 0o600)
}
