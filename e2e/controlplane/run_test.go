// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane/binaries"
)

// pids lists the process ids of the programs that run.
func (c *ControlPlane) pids() []string {
	var out []string
	for _, pid := range c.PIDs() {
		out = append(out, strconv.Itoa(pid))
	}
	return out
}

// ownerArg makes this test binary own a control plane until somebody ends it.
const ownerArg = "own-a-control-plane"

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Arg(0) == ownerArg {
		own(flag.Arg(1))
		return
	}
	os.Exit(m.Run())
}

// own starts a control plane and says what a test wants to know of it. It ends, without stopping it, with
// its standard input.
func own(cache string) {
	c, err := Start(context.Background(), Options{Cache: cache, UnsafeNoFsync: true})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	fmt.Println(c.run.dir, strings.Join(c.pids(), " "))
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test is gone
}

func TestControlPlaneOfKilledTestIsClearedAway(t *testing.T) {
	cache, err := binaries.CacheDir()
	require.NoError(t, err)
	_, err = binaries.Ensure(t.Context(), binaries.Options{})
	require.NoError(t, err)
	owner := exec.Command(os.Args[0], ownerArg, cache)
	stdin, err := owner.StdinPipe()
	require.NoError(t, err)
	defer func() { _ = stdin.Close() }()
	stdout, err := owner.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, owner.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	said := strings.Fields(line)
	require.Len(t, said, 3, line)
	dir, pids := said[0], said[1:]

	require.NoError(t, owner.Process.Kill())
	require.Error(t, owner.Wait())
	for _, pid := range pids {
		require.Eventually(t, func() bool { return !exists(pid) }, time.Minute, 10*time.Millisecond)
	}
	require.DirExists(t, dir)
	next, err := newRun(t.Context(), cache)
	require.NoError(t, err)
	assert.NoDirExists(t, dir)
	require.NoError(t, next.remove())
}

func TestReapEndsProgramsOfLostRunsOnly(t *testing.T) {
	cases := map[string]struct {
		binary string // below the cache
		run    string // that the program names in its arguments
		ends   bool
	}{
		"our program, of a run that lost its owner":   {binary: "binaries/v1/etcd", run: "lost", ends: true},
		"our program, of a run whose owner lives":     {binary: "binaries/v1/etcd", run: "owned"},
		"our program, of no run we know":              {binary: "binaries/v1/etcd", run: "unknown"},
		"somebody's program that names the lost run":  {binary: "elsewhere/etcd", run: "lost"},
		"our program, of a run with a similar name":   {binary: "binaries/v1/etcd", run: "lost-too"},
		"our program, replaced by a new build since":  {binary: "binaries/v1/etcd", run: "lost", ends: true},
		"our program, of the lost run by other paths": {binary: "binaries/v1/etcd", run: "../runs/lost", ends: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cache := t.TempDir()
			runs := filepath.Join(cache, "runs")
			require.NoError(t, os.MkdirAll(filepath.Join(runs, "lost"), 0o755))
			require.NoError(t, os.MkdirAll(filepath.Join(runs, "owned"), 0o755))
			unlock, err := binaries.Lock(t.Context(), filepath.Join(runs, "owned", "owner"), func() {})
			require.NoError(t, err)
			defer unlock()
			binary := filepath.Join(cache, tc.binary)
			program, exited := blockingProgram(t, binary, runs+"/"+tc.run+"/etcd")
			if strings.Contains(name, "replaced") {
				require.NoError(t, os.Remove(binary))
			}

			require.NoError(t, reap(t.Context(), cache, runs))
			if tc.ends {
				<-exited
				assert.Equal(t, "signal: killed", program.ProcessState.String())
			} else {
				assert.True(t, exists(strconv.Itoa(program.Process.Pid)))
			}
			assert.NoDirExists(t, filepath.Join(runs, "lost"))
			assert.DirExists(t, filepath.Join(runs, "owned"))
		})
	}
}

// blockingProgram starts a copy of the shell, under a name, that waits for its standard input; arg is
// among its arguments. exited is closed when it has ended.
func blockingProgram(t *testing.T, path, arg string) (program *exec.Cmd, exited <-chan struct{}) {
	t.Helper()
	shell, err := os.ReadFile("/bin/sh")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, shell, 0o755))
	program = exec.Command(path, "-c", "echo; read line", arg)
	stdin, err := program.StdinPipe()
	require.NoError(t, err)
	stdout, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	_, err = stdout.Read(make([]byte, 1)) // it runs, and not still us
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = program.Wait() // the test looks how it ended
	}()
	t.Cleanup(func() {
		_ = stdin.Close()
		<-done
	})
	return program, done
}

// exists reports whether there is a process that has not ended.
func exists(pid string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestNoPortIsGivenTwice(t *testing.T) {
	given := map[int]bool{}
	for range 100 { // 400 of 16,384 ports: by chance, one would come twice
		ports, err := FreePorts(4)
		require.NoError(t, err)
		for _, port := range ports {
			require.False(t, given[port], "%d was given before, and whoever was given it may not listen yet", port)
			given[port] = true
		}
	}
}
