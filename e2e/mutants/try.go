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
	"syscall"
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
	// The linker is half of the time: it leaves out what only debuggers read.
	args := []string{
		"test", "-json", "-failfast", "-vet=off", "-ldflags=-s -w", "-timeout", limit.String(), "-overlay", overlay,
	}
	return firstFailure(ctx, filepath.Dir(overlay), append(args, m.Tests...))
}

// An event is what go test -json prints of a test or of a build; see go doc test2json and go help buildjson.
type event struct{ Action, Package, Test, Output string }

// firstFailure runs the go command with its temporary files in a folder, and ends it at the first test that fails. It
// returns that test, and an error if there is none, if the tests hang, or if nothing was run.
func firstFailure(ctx context.Context, folder string, args []string) (failed string, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	command := exec.CommandContext(ctx, "go", args...)
	command.Env = append(os.Environ(), "GOTMPDIR="+folder)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the tests end with the go command that runs them
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	output, err := command.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := command.Start(); err != nil {
		return "", err
	}
	failed, err = readFailure(output)
	if failed != "" || err != nil {
		stop()
	}
	if ended := command.Wait(); failed == "" && err == nil && ended != nil {
		return "", fmt.Errorf("no test was run: %w", ended)
	}
	if failed == "" && err == nil {
		return "", errors.New("every test passes")
	}
	return failed, err
}

// readFailure reads what go test -json prints up to the first test that failed, and returns its name: "" if none did.
func readFailure(output io.Reader) (string, error) {
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<24)
	var build strings.Builder
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		switch {
		case e.Action == "build-output":
			build.WriteString(e.Output)
		case e.Action == "build-fail":
			return "", fmt.Errorf("does not build: %s", strings.TrimSpace(build.String()))
		case strings.HasPrefix(e.Output, "panic: test timed out"):
			return "", fmt.Errorf("the tests hang: %s", e.Package)
		case e.Action == "fail" && e.Test != "":
			return e.Test, nil
		}
	}
	return "", lines.Err()
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
