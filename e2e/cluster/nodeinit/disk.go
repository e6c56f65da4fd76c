// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/e2e/cluster/boot"
	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/script"
)

// newRoot is where the disk is mounted in the initramfs.
const newRoot = "/newroot"

// enterDisk makes the disk the root and gives the process to busybox's init. The initramfs cannot stay the root: runc
// pivots away from a root that is a mount of its own only.
func enterDisk(config boot.Config) error {
	fmt.Println("nodeinit: the kernel is up") // which tells a guest that is slow from one that hangs
	kernelMounts := []mount{{"proc", "/proc", "proc"}, {"sysfs", "/sys", "sysfs"}, {"devtmpfs", "/dev", "devtmpfs"}}
	for _, m := range kernelMounts {
		if err := m.make(); err != nil && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	for _, module := range config.Modules {
		if err := loadModule(module); err != nil {
			return err
		}
	}
	if err := (mount{"/dev/vda", newRoot, "ext4"}).make(); err != nil {
		return err
	}
	if err := copyTree(boot.FilesDir, newRoot); err != nil {
		return err
	}
	for from, to := range map[string]string{"/init": boot.Program, boot.ConfigPath: boot.ConfigPath} {
		if err := copyFile(from, newRoot+to); err != nil {
			return err
		}
	}
	for _, m := range kernelMounts {
		if err := unix.Mount(m.target, newRoot+m.target, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", m.target, err)
		}
	}
	return switchRoot()
}

func switchRoot() error {
	if err := os.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("make the disk the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("make the disk the root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	return fmt.Errorf("start init: %w", unix.Exec("/bin/busybox", []string{"init"}, environment()))
}

// loadModule hands one module to the kernel.
func loadModule(m script.Module) error {
	f, err := os.Open(m.Path)
	if err != nil {
		return fmt.Errorf("load module: %w", err)
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), m.Params, 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load module %s %s: %w", m.Path, m.Params, err)
	}
	return nil
}

// A mount is one line of a table of mounts.
type mount struct{ source, target, fstype string }

func (m mount) make() error {
	if err := os.MkdirAll(m.target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(m.source, m.target, m.fstype, 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", m.target, err)
	}
	return nil
}

// copyTree copies what is below a folder.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := to + strings.TrimPrefix(path, from)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		return copyFile(path, target)
	})
}

// copyFile copies a file with its permissions in place of what is there.
func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}
