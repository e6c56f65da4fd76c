// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"strings"
	"time"
)

// bootGrace is what a guest gets on top of its test's own time-out: the boot,
// and the test's chance to print its goroutines.
const bootGrace = time.Minute

// testFlag returns the value of a flag of a test binary, spelled as go test spells
// it (-test.name=value); the last one counts.
func testFlag(args []string, name string) (string, bool) {
	value, found := "", false
	for _, arg := range args {
		if v, ok := strings.CutPrefix(strings.TrimPrefix(arg, "-"), "-test."+name+"="); ok {
			value, found = v, true
		}
		if v, ok := strings.CutPrefix(arg, "-test."+name+"="); ok {
			value, found = v, true
		}
	}
	return value, found
}

// resultFiles returns the files and directories a test binary was told to write,
// absolute: profiles, coverage, and what the fuzzer found. The guest has the
// same paths as the host, so no argument needs rewriting. (-test.outputdir goes
// for profiles, but not for the coverage profile.)
func resultFiles(args []string, cwd string) []string {
	outputDir, found := testFlag(args, "outputdir")
	if !found {
		outputDir = cwd
	}
	var files []string
	for _, name := range []string{"cpuprofile", "memprofile", "blockprofile", "mutexprofile", "trace"} {
		if file, found := testFlag(args, name); found && file != "" {
			files = append(files, absolute(file, outputDir))
		}
	}
	for _, name := range []string{"coverprofile", "gocoverdir", "fuzzcachedir", "testlogfile"} {
		if file, found := testFlag(args, name); found && file != "" {
			files = append(files, absolute(file, cwd))
		}
	}
	if pattern, _ := testFlag(args, "fuzz"); pattern != "" {
		files = append(files, filepath.Join(cwd, "testdata", "fuzz"))
	}
	return files
}

// testTimeout returns when a guest is killed; 0 means never.
func testTimeout(args []string) time.Duration {
	value, _ := testFlag(args, "timeout")
	limit, err := time.ParseDuration(value)
	if err != nil || limit <= 0 {
		return 0
	}
	return limit + bootGrace
}

// absolute resolves a path against a directory.
func absolute(file, dir string) string {
	if filepath.IsAbs(file) {
		return filepath.Clean(file)
	}
	return filepath.Join(dir, file)
}
