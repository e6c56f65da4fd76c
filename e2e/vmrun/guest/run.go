// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/script"
)

// A Job is one program to run in one guest.
type Job struct {
	// Kernel boots; its modules are named by Modules.
	Kernel Kernel
	// Init is the path of the static guestinit program on the host.
	Init string
	// Modules are loaded with all they depend on.
	Modules []string
	// Params are module parameters by module name.
	Params map[string]string
	// Files is the guest's file system. Run adds init, modules and the script.
	Files *Archive
	// Command is the program, by its path in the guest.
	Command script.Command
	// Collect are files and directories, absolute, to bring back to the same
	// path of the host.
	Collect []string
	// Machine is the hardware. Run fills in kernel, initrd, answer, and console
	// where it is empty.
	Machine Machine
	// Stdout receives the program's output as it comes.
	Stdout io.Writer
}

// A Result is how a guest ended.
type Result struct {
	// Code is the program's exit code; 128+n when signal n killed it.
	Code int
	// Release is the kernel's own word for its version (uname -r).
	Release string
}

// A DiedError says that a guest ended before its program did.
type DiedError struct {
	// Reason is the cause: the time was up, the kernel panicked, or neither.
	Reason string
	// Console is the end of the kernel's log.
	Console string
}

// Error returns the reason with the end of the console below it.
func (e *DiedError) Error() string {
	if e.Console == "" {
		return e.Reason + "; its console is empty"
	}
	return e.Reason + "; the end of its console:\n" + e.Console
}

// Run boots a guest, runs the job's program to its end and brings back its exit
// code and files. When ctx ends first, qemu is killed and the error is a
// *DiedError with the context's cause. It blocks until qemu is gone.
func Run(ctx context.Context, job Job) (Result, error) {
	dir, err := os.MkdirTemp("", "vmrun-")
	if err != nil {
		return Result{}, fmt.Errorf("make a directory for the guest: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	m := job.Machine
	m.Kernel, m.Initrd = job.Kernel.Image(), filepath.Join(dir, "initrd")
	m.Console, m.Answer = orDefault(m.Console, filepath.Join(dir, "console")), filepath.Join(dir, "answer")
	if err := job.pack(ctx, m.Initrd); err != nil {
		return Result{}, err
	}
	qemu, err := m.Run(ctx, job.Stdout)
	if err != nil {
		return Result{}, err
	}
	res, err := readAnswer(m.Answer, job.Collect)
	if err != nil {
		return res, &DiedError{Reason: deathReason(ctx, m.Console, qemu, err), Console: tail(m.Console, 40)}
	}
	return res, nil
}

// pack writes the initramfs: the job's files, init, modules and the script.
func (job Job) pack(ctx context.Context, initrd string) error {
	modules, err := job.Kernel.Modules(ctx, job.Modules...)
	if err != nil {
		return err
	}
	if err := job.Files.AddFile("/init", job.Init); err != nil {
		return err
	}
	s := script.Script{Command: job.Command, Collect: job.Collect}
	for _, module := range modules {
		file := "/lib/modules/" + module.Name + ".ko"
		job.Files.AddBytes(file, module.Content, 0o644)
		s.Modules = append(s.Modules, script.Module{Path: file, Params: job.Params[module.Name]})
	}
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write the guest's script: %w", err)
	}
	job.Files.AddBytes(script.Path, text, 0o644)
	for _, mount := range []string{"/proc", "/sys", "/dev", "/tmp", "/run", job.Command.Dir} {
		job.Files.AddDir(mount)
	}
	return job.Files.WriteFile(initrd)
}

// Run runs qemu to its end, or until ctx ends, and returns what qemu itself
// complained of. stdout receives the output port if it has no file.
func (m Machine) Run(ctx context.Context, stdout io.Writer) (complaint string, err error) {
	cmd, err := m.Command()
	if err != nil {
		return "", err
	}
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	// qemu's life hangs on the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start qemu: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	var exit interface{ ExitCode() int }
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return "", fmt.Errorf("run qemu: %w", err)
	}
	return strings.TrimSpace(stderr.String()), nil
}

// readAnswer unpacks the tar stream of the guest's init. Only what was asked
// for is written to the host.
func readAnswer(file string, collect []string) (Result, error) {
	f, err := os.Open(file)
	if err != nil {
		return Result{}, fmt.Errorf("read the guest's answer: %w", err)
	}
	defer f.Close()
	var res Result
	answer := tar.NewReader(f)
	for {
		header, err := answer.Next()
		if err != nil {
			return res, fmt.Errorf("the answer has no exit code: %w", err)
		}
		switch header.Name {
		case script.ReleaseEntry:
			res.Release, err = readEntry(answer)
		case script.ExitEntry:
			text, err := readEntry(answer)
			if err != nil {
				return res, err
			}
			res.Code, err = strconv.Atoi(text)
			return res, err
		default:
			err = restore(header, answer, collect)
		}
		if err != nil {
			return res, err
		}
	}
}

// readEntry returns the text of a small entry.
func readEntry(r io.Reader) (string, error) {
	text, err := io.ReadAll(r)
	return string(text), err
}

// restore writes one collected file to the host, at the guest's path.
func restore(header *tar.Header, content io.Reader, collect []string) error {
	file := path.Clean("/" + header.Name)
	wanted := slices.ContainsFunc(collect, func(c string) bool {
		return file == c || strings.HasPrefix(file, strings.TrimSuffix(c, "/")+"/")
	})
	if !wanted {
		return fmt.Errorf("the guest sent %s, which nobody asked for", file)
	}
	if header.Typeflag == tar.TypeDir {
		return os.MkdirAll(file, 0o755)
	}
	if err := os.MkdirAll(path.Dir(file), 0o755); err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, content)
	return errors.Join(err, out.Close())
}

// deathReason returns in words why a guest gave no whole answer.
func deathReason(ctx context.Context, console, qemu string, answer error) string {
	log, err := os.ReadFile(console)
	switch {
	case ctx.Err() != nil:
		return fmt.Sprintf("the guest was killed: %v", context.Cause(ctx))
	case err == nil && bytes.Contains(log, []byte("Kernel panic - not syncing")):
		return "the guest's kernel panicked"
	case qemu != "":
		return "qemu: " + qemu
	}
	return fmt.Sprintf("the guest ended before its program (%v)", answer)
}

// tail returns the last lines of a console's file, cleaned of carriage returns.
func tail(file string, lines int) string {
	log, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	text := strings.TrimSpace(strings.ReplaceAll(string(log), "\r", ""))
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
