// SPDX-License-Identifier: Apache-2.0

// Package guest builds and runs qemu guests out of a distribution kernel and an
// initramfs made on the spot: no disk image, no root, no network on the host.
//
// The pieces compose: FetchKernel finds a kernel, Archive packs files into an
// initramfs, Machine describes a guest, and Run boots one script to its end.
package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultPackage is Debian's package that depends on the newest cloud kernel.
const DefaultPackage = "linux-image-cloud-amd64"

// A Kernel is an unpacked Debian kernel package.
type Kernel struct {
	// Version is the release as uname -r prints it, such as 6.1.0-56-cloud-amd64.
	Version string
	// Dir is the root of the unpacked package: boot/ and lib/modules/ are below.
	Dir string
}

// Image returns the path of the bootable kernel.
func (k Kernel) Image() string { return filepath.Join(k.Dir, "boot", "vmlinuz-"+k.Version) }

// modules returns the directory that holds this kernel's modules.
func (k Kernel) modules() string { return filepath.Join(k.Dir, "lib", "modules", k.Version) }

// A KernelSource says where a kernel comes from and where it is kept.
type KernelSource struct {
	// Cache is the directory of all kernels; one sub-directory a version.
	Cache string
	// Package is a Debian kernel package, or one that depends on it. Empty means
	// DefaultPackage.
	Package string
	// Log receives one line a step while a kernel is fetched, nothing when it is
	// already there.
	Log io.Writer
}

// FetchKernel returns the kernel of a Debian package, downloading and unpacking
// it the first time. What a package resolved to is remembered in the cache, so
// later calls need neither apt nor a network; remove the cache to get a newer
// kernel. Any number of processes may call it at once: one fetches, the others
// wait for it.
func FetchKernel(ctx context.Context, src KernelSource) (Kernel, error) {
	if src.Package == "" {
		src.Package = DefaultPackage
	}
	if err := os.MkdirAll(src.Cache, 0o755); err != nil {
		return Kernel{}, fmt.Errorf("make the kernel cache: %w", err)
	}
	unlock, err := Lock(filepath.Join(src.Cache, ".lock"))
	if err != nil {
		return Kernel{}, err
	}
	defer unlock()
	if k, ok := src.cached(); ok {
		return k, nil
	}
	return src.fetch(ctx)
}

// cached finds the kernel the package resolved to on an earlier call.
func (src KernelSource) cached() (Kernel, bool) {
	version, err := os.ReadFile(src.marker())
	if err != nil {
		return Kernel{}, false
	}
	k := Kernel{Version: string(version), Dir: filepath.Join(src.Cache, string(version))}
	_, err = os.Stat(k.Image())
	return k, err == nil
}

// marker returns the file that remembers what a package resolved to.
func (src KernelSource) marker() string { return filepath.Join(src.Cache, src.Package+".version") }

// fetch downloads, unpacks and remembers the kernel. The caller holds the lock.
func (src KernelSource) fetch(ctx context.Context) (Kernel, error) {
	name, err := resolvePackage(ctx, src.Package)
	if err != nil {
		return Kernel{}, err
	}
	version := strings.TrimPrefix(name, "linux-image-")
	k := Kernel{Version: version, Dir: filepath.Join(src.Cache, version)}
	if _, err := os.Stat(k.Image()); err != nil {
		if err := src.download(ctx, name, k.Dir); err != nil {
			return Kernel{}, err
		}
	}
	if _, err := os.Stat(k.Image()); err != nil {
		return Kernel{}, fmt.Errorf("package %s holds no boot/vmlinuz-%s: %w", name, version, err)
	}
	return k, writeFileAtomically(src.marker(), []byte(version))
}

// download puts the unpacked package at dir, which appears whole or not at all.
func (src KernelSource) download(ctx context.Context, name, dir string) error {
	began := time.Now()
	src.logf("fetching Debian package %s into %s\n", name, src.Cache)
	tmp, err := os.MkdirTemp(src.Cache, ".fetch-")
	if err != nil {
		return fmt.Errorf("make a directory to fetch into: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	if err := command(ctx, tmp, "apt-get", "download", name); err != nil {
		return fmt.Errorf("%w (are the package lists there? try: apt-get update)", err)
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("apt-get download %s left %d packages, want one", name, len(debs))
	}
	root := filepath.Join(tmp, "root")
	if err := command(ctx, tmp, "dpkg", "-x", debs[0], root); err != nil {
		return err
	}
	if err := os.Rename(root, dir); err != nil {
		return fmt.Errorf("keep the unpacked kernel: %w", err)
	}
	src.logf("fetched and unpacked %s in %s\n", name, time.Since(began).Round(100*time.Millisecond))
	return nil
}

// logf writes to Log where there is one.
func (src KernelSource) logf(format string, args ...any) {
	if src.Log != nil {
		fmt.Fprintf(src.Log, format, args...)
	}
}

// resolvePackage follows a meta package to the kernel package it depends on.
func resolvePackage(ctx context.Context, name string) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-cache", "depends", name).Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache depends %s: %w (are the package lists there? try: apt-get update)", name, err)
	}
	for line := range strings.Lines(string(out)) {
		dependency, found := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-")
		if found {
			return "linux-image-" + dependency, nil
		}
	}
	return name, nil
}

// command runs a program in a directory; a failure carries what it printed.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// Lock takes the advisory lock of a file, making the file if needed and waiting
// for other processes that hold it.
func Lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return func() { f.Close() }, nil
}

// writeFileAtomically writes a file that readers see whole or not at all.
func writeFileAtomically(path string, data []byte) error {
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
