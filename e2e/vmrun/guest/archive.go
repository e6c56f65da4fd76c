// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/u-root/u-root/pkg/cpio"
)

// An Archive collects the files of an initramfs. The zero Archive is empty and
// ready. Paths are the absolute paths of the guest; parent directories come of
// themselves; adding a path again replaces it.
type Archive struct {
	records map[string]cpio.Record
}

// AddBytes adds a file of the given content and permissions.
func (a *Archive) AddBytes(guestPath string, content []byte, perm fs.FileMode) {
	name := entryName(guestPath)
	a.add(cpio.StaticRecord(content, cpio.Info{Name: name, Mode: cpio.S_IFREG | uint64(perm.Perm())}))
}

// AddDir adds a directory.
func (a *Archive) AddDir(guestPath string) {
	if name := entryName(guestPath); name != "" {
		a.add(cpio.Directory(name, 0o755))
	}
}

// AddFile adds a file of the host, following symbolic links.
func (a *Archive) AddFile(guestPath, hostPath string) error {
	content, err := os.ReadFile(hostPath)
	if err != nil {
		return fmt.Errorf("add to the initramfs: %w", err)
	}
	info, err := os.Stat(hostPath)
	if err != nil {
		return fmt.Errorf("add to the initramfs: %w", err)
	}
	a.AddBytes(guestPath, content, info.Mode())
	return nil
}

// AddTree adds a directory of the host with all below it, following symbolic
// links. A tree that does not exist adds nothing.
func (a *Archive) AddTree(guestPath, hostPath string) error {
	if _, err := os.Stat(hostPath); os.IsNotExist(err) {
		return nil
	}
	a.AddDir(guestPath)
	entries, err := os.ReadDir(hostPath)
	if err != nil {
		return fmt.Errorf("add to the initramfs: %w", err)
	}
	for _, entry := range entries {
		target, source := path.Join(guestPath, entry.Name()), filepath.Join(hostPath, entry.Name())
		info, err := os.Stat(source)
		if err != nil {
			return fmt.Errorf("add to the initramfs: %w", err)
		}
		add := a.AddFile
		if info.IsDir() {
			add = a.AddTree
		}
		if err := add(target, source); err != nil {
			return err
		}
	}
	return nil
}

// add keeps a record and makes its parent directories.
func (a *Archive) add(record cpio.Record) {
	if a.records == nil {
		a.records = map[string]cpio.Record{}
	}
	a.records[record.Name] = record
	for dir := path.Dir(record.Name); dir != "."; dir = path.Dir(dir) {
		if _, found := a.records[dir]; !found {
			a.records[dir] = cpio.Directory(dir, 0o755)
		}
	}
}

// Write writes the archive in the form the kernel unpacks (newc), directories
// before what they hold.
func (a *Archive) Write(w io.Writer) error {
	names := make([]string, 0, len(a.records))
	for name := range a.records {
		names = append(names, name)
	}
	slices.Sort(names)
	out := cpio.Newc.Writer(w)
	for _, name := range names {
		if err := out.WriteRecord(cpio.MakeReproducible(a.records[name])); err != nil {
			return fmt.Errorf("write /%s to the initramfs: %w", name, err)
		}
	}
	if err := cpio.WriteTrailer(out); err != nil {
		return fmt.Errorf("finish the initramfs: %w", err)
	}
	return nil
}

// WriteFile writes the archive to a file of the host.
func (a *Archive) WriteFile(hostPath string) error {
	f, err := os.Create(hostPath)
	if err != nil {
		return fmt.Errorf("write the initramfs: %w", err)
	}
	defer f.Close()
	if err := a.Write(f); err != nil {
		return err
	}
	return f.Close()
}

// entryName returns a path as cpio spells it: relative to the root.
func entryName(guestPath string) string {
	return strings.TrimPrefix(path.Clean("/"+guestPath), "/")
}
