// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/guest"
)

// buildSample builds the test binary of testdata/sample, with coverage.
func buildSample(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "sample.test")
	cmd := exec.Command("go", "test", "-c", "-cover", "-o", binary, "./testdata/sample")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoErrorf(t, err, "%s", out)
	return binary
}

// runSample runs tests of the sample in a guest.
func runSample(t *testing.T, o Options, binary string, args ...string) (code int, out string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	o.Environ, o.Stdout, o.Stderr = os.Environ(), &stdout, &stderr
	code, err = run(t.Context(), o, append([]string{binary}, args...))
	if err == nil {
		assert.Equal(t, 1, strings.Count(stderr.String(), "guest kernel "), "the kernel's version is told once")
	}
	return code, stdout.String(), err
}

// Two boots at a time are enough for any machine: the subtests are parallel and
// thus also show that runs do not get in each other's way.
func TestRunIsFaithful(t *testing.T) {
	binary := buildSample(t)
	tests := map[string]struct {
		run  string
		code int
		out  []string
	}{
		"a passing test exits 0": {run: "TestPass", code: 0, out: []string{"--- PASS: TestPass", "PASS\n"}},
		"a failing test exits 1": {run: "TestFail", code: 1, out: []string{"meant to fail", "--- FAIL: TestFail"}},
		"a panic exits 2 with its trace": {run: "TestPanic", code: 2,
			out: []string{"panic: meant to panic", "goroutine "}},
		"os.Exit(3) exits 3":                {run: "TestExit", code: 3, out: []string{"leaving\n"}},
		"a killed program exits 128+signal": {run: "TestKilled", code: 137, out: []string{"signal: killed\n"}},
		"testdata is in place":              {run: "TestTestdata", code: 0, out: []string{"greeting: hello\n"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, err := runSample(t, Options{}, binary, "-test.v", "-test.run=^"+test.run+"$")
			require.NoError(t, err)
			assert.Equal(t, test.code, code)
			for _, want := range test.out {
				assert.Contains(t, out, want)
			}
			assert.NotContains(t, out, "\r")
		})
	}
}

func TestEveryByteOfAMegabyteComesThrough(t *testing.T) {
	t.Parallel()
	code, out, err := runSample(t, Options{}, buildSample(t), "-test.v", "-test.run=^TestBytes$")
	require.NoError(t, err)
	require.Equal(t, 0, code)
	lines := strings.Split(out, "\n")
	for b := range 256 {
		if b != '\n' {
			assert.Equal(t, 1, strings.Count(lines[1], string([]byte{byte(b)})), "byte %d", b)
		}
	}
	assert.Equal(t, "0 "+strings.Repeat("x", 500), lines[2])
	assert.Equal(t, "1999 "+strings.Repeat("x", 500), lines[2001])
}

func TestProfilesComeBackToTheHost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, out, err := runSample(t, Options{}, buildSample(t), "-test.run=^TestPass$", "-test.bench=Double",
		"-test.benchtime=10x",
		"-test.coverprofile="+filepath.Join(dir, "cover.out"), "-test.outputdir="+dir, "-test.memprofile=mem.out")
	require.NoError(t, err)
	assert.Equal(t, 0, code)
	assert.Contains(t, out, "BenchmarkDouble")
	cover, err := os.ReadFile(filepath.Join(dir, "cover.out"))
	require.NoError(t, err)
	assert.Contains(t, string(cover), "sample.go:7.")
	assert.FileExists(t, filepath.Join(dir, "mem.out"))
}

func TestADeadGuestIsReportedWithItsConsole(t *testing.T) {
	binary := buildSample(t)
	tests := map[string]struct {
		run     string
		options Options
		reason  string
	}{
		"a guest whose time is up is killed": {"TestHang", Options{Timeout: 15 * time.Second},
			"the guest was killed: its time of 15s was up"},
		"a kernel panic is called a panic": {"TestKernelPanic", Options{}, "the guest's kernel panicked"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := runSample(t, test.options, binary, "-test.v", "-test.run="+test.run)
			var died *guest.DiedError
			require.ErrorAs(t, err, &died)
			assert.Equal(t, test.reason, died.Reason)
		})
	}
}

func TestACallerThatLeavesTakesTheGuestAlong(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the caller left"))
	_, err := run(ctx, Options{Environ: os.Environ(), Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}},
		[]string{"unused"})
	require.Error(t, err)
}
