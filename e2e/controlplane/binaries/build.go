// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// unfinishedPrefix starts the name of a binary that is still being written.
const unfinishedPrefix = ".unfinished-"

// heartbeat is how often a long build says that it is alive.
const heartbeat = 30 * time.Second

// build compiles one target and puts it in place with its checksum. place is which of how many it is.
func (b *builder) build(ctx context.Context, t target, place string) error {
	b.say("building %s %s from its module (%s, about %s on 2 cores, once) in %s", t.name, t.version, place, t.takes, b.dir)
	began := time.Now()
	unfinished, err := os.MkdirTemp(b.dir, unfinishedPrefix+t.name+"-")
	if err != nil {
		return fmt.Errorf("make a folder for the build: %w", err)
	}
	defer func() { _ = os.RemoveAll(unfinished) }()

	binary := filepath.Join(unfinished, t.name)
	stop := b.beat(t.name, began)
	err = compile(ctx, t, binary, b.out)
	stop()
	if err != nil {
		return err
	}
	if err := install(binary, filepath.Join(b.dir, t.name)); err != nil {
		return err
	}
	b.say("built %s in %s", t.name, time.Since(began).Round(100*time.Millisecond))
	return nil
}

// beat says every heartbeat that a build goes on, until the function it returns is called.
func (b *builder) beat(name string, began time.Time) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	ticker := time.NewTicker(heartbeat)
	go func() {
		defer close(stopped)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-ticker.C:
				b.say("still building %s (%s)", name, now.Sub(began).Round(time.Second))
			}
		}
	}()
	return func() {
		close(done)
		<-stopped
	}
}

// compile runs go build and passes on what it prints. Its whole process group ends with ctx, and with us.
func compile(ctx context.Context, t target, binary string, out io.Writer) error {
	// The kernel ties Pdeathsig to the thread that started the child, not to the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags="+t.ldflags, "-o", binary, t.pkg)
	cmd.Dir = t.folder
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	cmd.Stdout = io.MultiWriter(&said, out)
	cmd.Stderr = cmd.Stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("go build %s: %w\n%s", t.pkg, err, strings.TrimSpace(said.String()))
	}
	return nil
}

// install moves a finished binary to its place such that a crash at any point leaves either no binary or
// a whole one: content before name, name before checksum.
func install(from, to string) error {
	sum, err := sumOf(from)
	if err != nil {
		return err
	}
	if err := os.Remove(sumFile(to)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove the old checksum: %w", err)
	}
	if err := syncFile(from); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("put the binary in place: %w", err)
	}
	if err := syncFile(filepath.Dir(to)); err != nil {
		return err
	}
	return sum.write(to)
}

// syncFile makes a file, or the names in a folder, survive a power cut.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open to sync: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}
