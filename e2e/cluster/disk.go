// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/guest"
)

const (
	// diskSize is how large a node's disk seems; what is not written takes no room.
	diskSize = 4 << 30
	// keptFor is how long a disk that nobody used stays in the cache.
	keptFor = 48 * time.Hour
)

// baseDisk returns the disk that those of all nodes are overlays of, with the images imported. It is made once and
// kept.
func baseDisk(ctx context.Context, p *programs, say func(string, ...any)) (string, error) {
	r, err := newRoot(p)
	if err != nil {
		return "", err
	}
	digest, err := r.digest(p.images)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(p.cache, "disks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the folder of disks: %w", err)
	}
	unlock, err := guest.Lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	disk := filepath.Join(dir, digest+".raw")
	if now := time.Now(); os.Chtimes(disk, now, now) == nil {
		return disk, nil
	}
	if err := removeOld(dir); err != nil {
		return "", err
	}
	say(
		"making the disk of a node: its file system, then one boot to import %d images (about 1 min, once for each build)",
		len(p.images),
	)
	began := time.Now()
	if err := bake(ctx, p, r, disk); err != nil {
		return "", fmt.Errorf("make the disk of a node: %w", err)
	}
	say("made the disk of a node in %s", time.Since(began).Round(time.Second))
	return disk, nil
}

// removeOld deletes disks that nobody used for long, and what was not finished. The caller holds the lock.
func removeOld(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list disks: %w", err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return fmt.Errorf("list disks: %w", err)
		}
		unfinished := strings.HasPrefix(entry.Name(), "unfinished-")
		if unfinished || strings.HasSuffix(entry.Name(), ".raw") && time.Since(info.ModTime()) > keptFor {
			if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				return fmt.Errorf("remove an old disk: %w", err)
			}
		}
	}
	return nil
}

// bake makes a disk: first its file system, then, in a guest, containerd's content.
func bake(ctx context.Context, p *programs, r *root, disk string) error {
	dir, err := os.MkdirTemp(filepath.Dir(disk), "unfinished-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	tree, raw := filepath.Join(dir, "root"), filepath.Join(dir, "disk.raw")
	if err := r.stage(tree); err != nil {
		return err
	}
	if err := makeFileSystem(ctx, tree, raw); err != nil {
		return err
	}
	if err := importImages(ctx, p, dir, raw); err != nil {
		return err
	}
	return os.Rename(raw, disk)
}

// makeFileSystem makes an ext4 image of a folder. Needs no root: nothing is mounted.
func makeFileSystem(ctx context.Context, tree, image string) error {
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
	cmd := exec.CommandContext(
		ctx, mke2fs, "-q", "-t", "ext4", "-O", "^has_journal", "-E", "root_owner=0:0", "-d", tree, image,
	)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make a file system: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// newOverlay makes the disk of one node.
func newOverlay(ctx context.Context, base, overlay string) error {
	cmd := exec.CommandContext(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", overlay)
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("qemu-img is not installed; on Debian: apt-get install qemu-utils")
	}
	if err != nil {
		return fmt.Errorf("make the disk of a node: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
