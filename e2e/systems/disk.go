// SPDX-License-Identifier: Apache-2.0

package systems

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/guest"
)

// diskSize is how large a disk seems; what is not written takes no room.
const diskSize = 2 << 30

// configuration returns what the installation of the packages would have written, and what a test needs besides: files,
// and links whose text begins with "-> ".
func configuration() map[string]string {
	unit := "/etc/systemd/system/"
	files := map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n" +
			"messagebus:x:101:101::/nonexistent:/usr/sbin/nologin\nsystemd-network:x:102:102::/:/usr/sbin/nologin\n" +
			"systemd-resolve:x:103:103::/:/usr/sbin/nologin\npolkitd:x:104:104::/nonexistent:/usr/sbin/nologin\n",
		"/etc/group": "root:x:0:\ntty:x:5:\ndisk:x:6:\nnogroup:x:65534:\nmessagebus:x:101:\nsystemd-network:x:102:\n" +
			"systemd-resolve:x:103:\npolkitd:x:104:\nsystemd-journal:x:105:\nutmp:x:43:\nkmem:x:15:\ninput:x:106:\n" +
			"sgx:x:107:\nkvm:x:108:\nrender:x:109:\nvideo:x:44:\naudio:x:29:\nlp:x:7:\ndialout:x:20:\ncdrom:x:24:\ntape:x:26:\n",
		"/etc/nsswitch.conf":                   "passwd: files\ngroup: files\nhosts: files dns\n",
		"/etc/machine-id":                      "0123456789abcdef0123456789abcdef\n",
		"/etc/hostname":                        "system\n",
		"/etc/hosts":                           "127.0.0.1 localhost\n::1 localhost\n",
		"/etc/fstab":                           "",
		"/etc/.updated":                        "",
		"/var/.updated":                        "",
		"/etc/systemd/journald.conf.d/vm.conf": "[Journal]\nStorage=volatile\nForwardToConsole=no\n",
		unit + "default.target":                "-> /usr/lib/systemd/system/multi-user.target",
		unit + "dbus-org.freedesktop.network1.service":      "-> /usr/lib/systemd/system/systemd-networkd.service",
		unit + "dbus-org.freedesktop.resolve1.service":      "-> /usr/lib/systemd/system/systemd-resolved.service",
		unit + "dbus-org.freedesktop.nm-dispatcher.service": "-> /usr/lib/systemd/system/NetworkManager-dispatcher.service",
		unit + "multi-user.target.wants/guestd.service":     "-> /etc/systemd/system/guestd.service",
		unit + "guestd.service": "[Unit]\nDescription=What a test asks for\nDefaultDependencies=no\nAfter=dbus.socket\n" +
			"[Service]\nExecStart=/usr/bin/guestd serve\nKillMode=process\nOOMScoreAdjust=-900\n",
		unit + "sysinit.target.wants/lan.service": "-> /etc/systemd/system/lan.service",
		unit + "lan.service": "[Unit]\nDescription=The far end of the cables\nDefaultDependencies=no\n" +
			"Before=network-pre.target systemd-udev-trigger.service NetworkManager.service systemd-networkd.service\nWants=network-pre.target\n" +
			"[Service]\nType=notify\nExecStart=/usr/bin/guestd lan\n",
		LANConfig: `{"lease":3600}`,
	}
	for _, name := range maskedUnits() {
		files[unit+name] = "-> /dev/null"
	}
	for _, folder := range mergedFolders() {
		files[folder] = "-> usr" + folder
	}
	for _, applet := range []string{
		"sh", "cat", "ls", "mkdir", "rm", "grep", "ps", "sleep", "env", "true", "touch", "kill", "date", "tail",
	} {
		files["/usr/bin/"+applet] = "-> busybox"
	}
	return files
}

// maskedUnits returns what a guest needs no unit for, and boots faster without.
func maskedUnits() []string {
	return []string{
		"getty.target", "systemd-logind.service", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
		"systemd-random-seed.service", "systemd-binfmt.service", "systemd-firstboot.service",
		"proc-sys-fs-binfmt_misc.automount",
		"systemd-ask-password-wall.path", "systemd-ask-password-console.path", "systemd-user-sessions.service",
		"systemd-pcrphase.service", "systemd-pcrphase-sysinit.service", "systemd-repart.service", "systemd-sysusers.service",
		"systemd-tmpfiles-clean.timer", "dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount",
		"sys-kernel-tracing.mount", "sys-kernel-config.mount", "sys-fs-fuse-connections.mount",
		"systemd-modules-load.service",
		"systemd-machine-id-commit.service", "systemd-journal-flush.service",
	}
}

// A content is what is on the disks of systems.
type content struct {
	kind     string // of the disk: those of other kinds are kept
	packages []string
	files    map[string]string // texts and links, as configuration has them
	programs map[string]string // of this machine, by their paths on the disk; equal paths have equal programs
}

// disk returns the disk that those of all systems are overlays of. It is made once for every list of packages and kept
// below the cache, so that later calls need no network.
func disk(ctx context.Context, cache string, c content, log io.Writer) (string, error) {
	dir := filepath.Join(cache, "systems")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the folder of disks: %w", err)
	}
	unlock, err := guest.Lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	packages, err := closure(ctx, dir, c.packages)
	if err != nil {
		return "", err
	}
	made := filepath.Join(dir, c.kind+"-"+digest(packages, c)+".raw")
	if _, err := os.Stat(made); err == nil {
		return made, nil
	}
	fmt.Fprintf(log, "making the disk of a Debian system of %d packages (about 1 min, once)\n", len(packages))
	began := time.Now()
	if err := makeDisk(ctx, dir, packages, c, made); err != nil {
		return "", fmt.Errorf("make the disk of a Debian system: %w", err)
	}
	fmt.Fprintf(log, "made the disk of a Debian system in %s\n", time.Since(began).Round(time.Second))
	return made, removeOthers(dir, c.kind, made)
}

// removeOthers deletes other disks of a kind. Guests that still use one keep it open.
func removeOthers(dir, kind, made string) error {
	disks, err := filepath.Glob(filepath.Join(dir, kind+"-*.raw"))
	for _, other := range disks {
		if other != made {
			err = errors.Join(err, os.Remove(other))
		}
	}
	return err
}

func makeDisk(ctx context.Context, dir string, packages []download, c content, made string) error {
	tmp, err := os.MkdirTemp(dir, "unfinished-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	debs, root := filepath.Join(tmp, "debs"), filepath.Join(tmp, "root")
	if err := errors.Join(os.Mkdir(debs, 0o755), os.Mkdir(root, 0o755)); err != nil {
		return err
	}
	if err := fetch(ctx, debs, packages); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range files {
		if err := unpack(ctx, deb, root); err != nil {
			return err
		}
	}
	if err := configure(root, c.files); err != nil {
		return err
	}
	for path, program := range c.programs {
		if err := place(program, filepath.Join(root, path)); err != nil {
			return fmt.Errorf("put %s on the disk: %w", path, err)
		}
	}
	image := filepath.Join(tmp, "disk.raw")
	if err := makeFileSystem(ctx, root, image); err != nil {
		return err
	}
	return os.Rename(image, made)
}

// configure writes files and links in place of what is there.
func configure(root string, files map[string]string) error {
	for _, path := range sortedKeys(files) {
		target := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.RemoveAll(target); err != nil {
			return err
		}
		var err error
		if link, ok := strings.CutPrefix(files[path], "-> "); ok {
			err = os.Symlink(link, target)
		} else {
			err = os.WriteFile(target, []byte(files[path]), 0o644)
		}
		if err != nil {
			return err
		}
	}
	for _, folder := range []string{"proc", "sys", "dev", "run", "tmp", "root", "var/log", "var/lib", "var/tmp"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// place copies a program of this machine.
func place(program, target string) error {
	f, err := os.Open(program)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return writeFile(target, f, 0o755)
}

// makeFileSystem makes an ext4 image of a folder, all of it root's. Nothing is mounted and no root is needed: who is
// not root does it in a user namespace of its own.
func makeFileSystem(ctx context.Context, root, image string) error {
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(diskSize), f.Close()); err != nil {
		return err
	}
	mke2fs, err := exec.LookPath("mke2fs")
	if err != nil {
		mke2fs = "/sbin/mke2fs" // not on the search path of everybody
	}
	cmd := exec.CommandContext(ctx, mke2fs, "-q", "-t", "ext4", "-O", "^has_journal", "-d", root, image)
	if os.Geteuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make a file system: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// overlay makes the disk of one system.
func overlay(ctx context.Context, base, path string) error {
	_, err := run(ctx, filepath.Dir(path), "qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", path)
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("qemu-img is not installed; on Debian: apt-get install qemu-utils")
	}
	return err
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
