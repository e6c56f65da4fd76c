// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newFake returns a builder of one tiny program, in an empty folder.
func newFake(t *testing.T) (*builder, *output) {
	t.Helper()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "go.mod"), "module example.com/hello\n\ngo 1.26.0\n")
	write(t, filepath.Join(folder, "main.go"), "package main\n\nfunc main() { println(`hello`) }\n")
	out := &output{}
	hello := target{
		program: program{name: "hello", pkg: "example.com/hello", takes: time.Second},
		version: "v1.2.3",
		folder:  folder,
	}
	return &builder{dir: t.TempDir(), targets: []target{hello}, out: out}, out
}

func TestEnsureBuildsAgainOnlyWhatIsNotAsItWasBuilt(t *testing.T) {
	cases := map[string]struct {
		change func(t *testing.T, binary string)
		builds bool
	}{
		"nothing changed": {
			change: func(*testing.T, string) {},
		},
		"the binary was touched": {
			change: touch,
		},
		"the binary was cut short": {
			change: func(t *testing.T, binary string) { require.NoError(t, os.Truncate(binary, 1000)) },
			builds: true,
		},
		"a byte of the binary was changed": {
			change: func(t *testing.T, binary string) {
				data, err := os.ReadFile(binary)
				require.NoError(t, err)
				data[1000] ^= 0xff
				require.NoError(t, os.WriteFile(binary, data, 0o755))
				touch(t, binary)
			},
			builds: true,
		},
		"the binary is gone": {
			change: func(t *testing.T, binary string) { require.NoError(t, os.Remove(binary)) },
			builds: true,
		},
		"the checksum is gone": {
			change: func(t *testing.T, binary string) { require.NoError(t, os.Remove(sumFile(binary))) },
			builds: true,
		},
		"the checksum is no checksum": {
			change: func(t *testing.T, binary string) { write(t, sumFile(binary), "hello\n") },
			builds: true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b, out := newFake(t)
			binary := filepath.Join(b.dir, "hello")
			require.NoError(t, b.ensure(t.Context()))
			require.Regexp(t, `^building hello v1\.2\.3 from its module \(1 of 1, about 1s on 2 cores, once\) in .*\nbuilt hello in .*s\n$`, out)
			built, err := sumOf(binary)
			require.NoError(t, err)
			out.Reset()

			tc.change(t, binary)
			require.NoError(t, b.ensure(t.Context()))
			assert.Equal(t, tc.builds, strings.Contains(out.String(), "building hello"), out.String())
			again, err := sumOf(binary)
			require.NoError(t, err)
			assert.Equal(t, built, again, "builds are reproducible")
			assert.NoError(t, verify(binary))
		})
	}
}

func TestInterruptedBuildLeavesNothing(t *testing.T) {
	b, out := newFake(t)
	started, _ := holdBuilds(t)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- b.ensure(ctx) }()
	compiler := awaitPID(t, started)
	cancel()
	require.ErrorIs(t, <-result, context.Canceled, out.String())

	assert.Equal(t, []string{".lock"}, names(t, b.dir))
	require.Eventually(t, func() bool { return gone(compiler) }, time.Minute, 10*time.Millisecond,
		"what the go command started ends with it")
}

func TestLeftoversOfKilledBuildAreRemoved(t *testing.T) {
	b, _ := newFake(t)
	require.NoError(t, os.Mkdir(filepath.Join(b.dir, unfinishedPrefix+"hello-123"), 0o755))
	write(t, filepath.Join(b.dir, unfinishedPrefix+"hello-123", "hello"), "half a binary")
	require.NoError(t, b.ensure(t.Context()))
	assert.Equal(t, []string{".lock", "hello", "hello.sha256"}, names(t, b.dir))
}

func TestOneBuildsAndTheOthersWait(t *testing.T) {
	first, told := newFake(t)
	second, out := *first, &output{}
	second.out = out
	started, release := holdBuilds(t)
	result := make(chan error, 2)
	go func() { result <- first.ensure(t.Context()) }()
	awaitPID(t, started)
	go func() { result <- second.ensure(t.Context()) }()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "another process builds") },
		time.Minute, 10*time.Millisecond)
	release()
	require.NoError(t, <-result)
	require.NoError(t, <-result)
	assert.Contains(t, told.String(), "building hello")
	assert.NotContains(t, out.String(), "building hello")
}

func TestWaitingForTheLockEndsWithTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(t.Context(), path, func() { t.Error("nobody has the lock") })
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = Lock(ctx, path, cancel)
	require.ErrorIs(t, err, context.Canceled)
	unlock()
	unlock, err = Lock(t.Context(), path, func() { t.Error("the lock was given back") })
	require.NoError(t, err)
	unlock()
}

func TestFailedBuildSaysWhy(t *testing.T) {
	b, _ := newFake(t)
	write(t, filepath.Join(b.targets[0].folder, "main.go"), "package main\n\nfunc main() { greet() }\n")
	err := b.ensure(t.Context())
	require.ErrorContains(t, err, "build hello v1.2.3: go build example.com/hello: exit status 1")
	require.ErrorContains(t, err, "undefined: greet")
	assert.Equal(t, []string{".lock"}, names(t, b.dir))
}

// holdBuilds makes every go build write its process id to a file and then wait until release is called.
func holdBuilds(t *testing.T) (started string, release func()) {
	t.Helper()
	dir := t.TempDir()
	started, gate, script := filepath.Join(dir, "started"), filepath.Join(dir, "gate"), filepath.Join(dir, "hold.sh")
	require.NoError(t, syscall.Mkfifo(gate, 0o600))
	text := fmt.Sprintf("#!/bin/sh\n[ -e %[1]s ] || { echo $$ >%[1]s.new; mv %[1]s.new %[1]s; read line <%[2]s; }\nexec \"$@\"\n", started, gate)
	require.NoError(t, os.WriteFile(script, []byte(text), 0o755))
	t.Setenv("GOFLAGS", "-toolexec="+script)
	return started, func() { write(t, gate, "go\n") }
}

// awaitPID waits for a file that holds a process id.
func awaitPID(t *testing.T, path string) int {
	t.Helper()
	var data []byte
	require.Eventually(t, func() bool {
		var err error
		data, err = os.ReadFile(path)
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	require.NoError(t, err)
	return pid
}

// gone reports whether a process has ended, be it that nobody has asked how.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

// names lists a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// touch makes a file look as if it had just been written to.
func touch(t *testing.T, path string) {
	t.Helper()
	later := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(path, later, later))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

// An output is a buffer for several writers.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (o *output) Reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Reset()
}
