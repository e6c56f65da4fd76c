// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane/binaries"
)

// A run is the folder of one control plane: <cache>/runs/<random>. Its owner holds the lock of the file
// "owner" in it for as long as it lives, so a run whose lock is free has lost its owner, however that
// happened: no process id has to be trusted, and it works across containers that share the folder.
type run struct {
	dir    string
	unlock func()
}

// newRun clears away the runs that lost their owner, and makes one for us.
func newRun(ctx context.Context, cache string) (*run, error) {
	runs, err := filepath.Abs(filepath.Join(cache, "runs"))
	if err != nil {
		return nil, fmt.Errorf("resolve the cache folder: %w", err)
	}
	if err := os.MkdirAll(runs, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of runs: %w", err)
	}
	// Held until our own run is locked: nobody may find a run that is made but not yet owned.
	unlock, err := binaries.Lock(ctx, filepath.Join(runs, ".lock"), func() {})
	if err != nil {
		return nil, fmt.Errorf("lock the folder of runs: %w", err)
	}
	defer unlock()
	if err := reap(ctx, cache, runs); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(runs, strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return nil, fmt.Errorf("make the folder of the run: %w", err)
	}
	own, err := binaries.Lock(ctx, filepath.Join(dir, "owner"), func() {})
	if err != nil {
		return nil, fmt.Errorf("lock the run: %w", err)
	}
	return &run{dir: dir, unlock: own}, nil
}

// path returns the path of something in the folder of the run.
func (r *run) path(elem ...string) string { return filepath.Join(append([]string{r.dir}, elem...)...) }

// remove deletes the folder and gives up the run.
func (r *run) remove() error {
	defer r.unlock()
	if err := os.RemoveAll(r.dir); err != nil {
		return fmt.Errorf("remove the folder of the run: %w", err)
	}
	return nil
}

// reap ends the programs of all runs that lost their owner and deletes their folders.
func reap(ctx context.Context, cache, runs string) error {
	entries, err := os.ReadDir(runs)
	if err != nil {
		return fmt.Errorf("list runs: %w", err)
	}
	// The kernel names the binaries of processes without symbolic links.
	if cache, err = filepath.EvalSymlinks(cache); err != nil {
		return fmt.Errorf("resolve the cache folder: %w", err)
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		if err := reapRun(ctx, filepath.Join(cache, "binaries"), filepath.Join(runs, entry.Name())); err != nil {
			return fmt.Errorf("clear away run %s: %w", entry.Name(), err)
		}
	}
	return nil
}

// errOwned says that the owner of a run lives.
var errOwned = errors.New("run is owned")

// reapRun clears away one run unless its owner lives.
func reapRun(ctx context.Context, programs, dir string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	unlock, err := binaries.Lock(ctx, filepath.Join(dir, "owner"), func() { cancel(errOwned) })
	if errors.Is(err, errOwned) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	if err := endPrograms(ctx, programs, dir); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove its folder: %w", err)
	}
	return nil
}

// endPrograms kills the processes of a run and waits until they are gone.
func endPrograms(ctx context.Context, programs, dir string) error {
	gone := func(context.Context) (bool, error) {
		left, err := killPrograms(programs, dir)
		return left == 0, err
	}
	if err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, gone); err != nil {
		return fmt.Errorf("end its programs: %w", err)
	}
	return nil
}

// killPrograms kills each process that runs one of our binaries and names the folder of the run in its
// arguments, as all programs of a control plane do. It returns how many it found.
func killPrograms(programs, dir string) (int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	found := 0
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// A handle first: the process we look at is then the process we kill, even if its id is reused.
		process, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		if belongs(pid, programs, dir) {
			found++
			_ = process.Kill() // if it is gone the better; if not, the caller comes again
		}
		_ = process.Release()
	}
	return found, nil
}

// belongs reports whether a process runs one of our binaries for the run in dir.
func belongs(pid int, programs, dir string) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	exe, err := os.Readlink(filepath.Join(proc, "exe"))
	if err != nil || !strings.HasPrefix(exe, programs+"/") {
		return false
	}
	args, err := os.ReadFile(filepath.Join(proc, "cmdline"))
	// The name alone is unique; the path to it may have been spelled in another way.
	return err == nil && strings.Contains(string(args), filepath.Join("runs", filepath.Base(dir))+"/")
}

// loopback returns an address of ours.
func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// given is how many ports this process was given: none is given again while its server has yet to listen.
var given atomic.Uint32 //nolint:gochecknoglobals // ports are the machine's, whichever test asks

// FreePorts finds n ports nobody listens on, each of which a process is given once. They are below the range from
// which the kernel takes the ports of outgoing connections, so that nobody takes one by chance while its server is
// restarted.
func FreePorts(n int) ([]int, error) {
	const low, high = 16384, 32768
	const apart = 997 // what the first ports of processes that start one after the other are, at the least
	ports := make([]int, 0, n)
	for tries := 0; len(ports) < n && tries < 1000; tries++ {
		port := low + (os.Getpid()*apart+int(given.Add(1)))%(high-low)
		listener, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return nil, fmt.Errorf("try port %d: %w", port, err)
		}
		ports = append(ports, port)
	}
	if len(ports) < n {
		return nil, fmt.Errorf("found %d of %d free ports from %d to %d", len(ports), n, low, high)
	}
	return ports, nil
}
