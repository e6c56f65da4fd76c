// SPDX-License-Identifier: Apache-2.0

// Command diskinit is the init of the initramfs of a system: it loads the modules, mounts the disk, puts the files of
// the test on it, and becomes the init that is there.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/e2e/systems/layout"
)

// newRoot is where the disk is mounted first.
const newRoot = "/newroot"

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "diskinit is the init of a test guest and runs nowhere else; see e2e/systems")
		os.Exit(2)
	}
	err := run()
	fmt.Printf("diskinit: %v\n", err)
	fmt.Printf("diskinit: %v\n", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

func run() error {
	kernels := map[string]string{"/proc": "proc", "/sys": "sysfs", "/dev": "devtmpfs"}
	for target, fstype := range kernels {
		if err := mount(fstype, target, fstype); err != nil && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	if err := loadModules(); err != nil {
		return err
	}
	if err := mount("/dev/vda", newRoot, "ext4"); err != nil {
		return err
	}
	if err := copyTree(layout.Files, newRoot); err != nil {
		return err
	}
	for target := range kernels {
		if err := unix.Mount(target, newRoot+target, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", target, err)
		}
	}
	if err := os.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("make the disk the root: %w", err)
	}
	if err := errors.Join(unix.Chroot("."), os.Chdir("/")); err != nil {
		return fmt.Errorf("make the disk the root: %w", err)
	}
	return fmt.Errorf(
		"start init: %w", unix.Exec("/sbin/init", []string{"init"}, []string{"PATH=/usr/sbin:/usr/bin", "TERM=dumb"}),
	)
}

func mount(source, target, fstype string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, fstype, 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", target, err)
	}
	return nil
}

// loadModules loads what lies in the folder of modules, in the order of the files' names.
func loadModules() error {
	files, err := filepath.Glob(layout.Modules + "/*")
	if err != nil {
		return err
	}
	slices.Sort(files)
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		params := ""
		if strings.HasSuffix(file, "-bonding") {
			params = "max_bonds=0"
		}
		err = unix.FinitModule(int(f.Fd()), params, 0)
		_ = f.Close() // it was only read
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load module %s: %w", file, err)
		}
	}
	return nil
}

// copyTree copies what is below a folder in place of what is there.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := to + strings.TrimPrefix(path, from)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.WriteFile(target, content, info.Mode().Perm())
	})
}
