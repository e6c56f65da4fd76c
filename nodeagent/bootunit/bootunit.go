// SPDX-License-Identifier: Apache-2.0

// Package bootunit puts a unit on the host that restores its network before kubelet starts, with the program that it
// runs, and takes both away. What people put there themselves is theirs, and stays as it is.
package bootunit

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

// Name is that of the unit.
const Name = "bridgehead-restore.service"

// The files, as the host names them.
const (
	unitFile = "/etc/systemd/system/" + Name
	// wantFile is what enabling the unit makes (systemctl(1)).
	wantFile = "/etc/systemd/system/multi-user.target.wants/" + Name
	// programFile has a name of its own: people who install the unit by hand have theirs as handProgram.
	programFile = "/usr/local/bin/bridgehead-restore"
	handProgram = "/usr/local/bin/bridgehead-agent"
)

// programMode is that of the program: a file that root may change and all may run.
const programMode fs.FileMode = 0o755

// mark is the first line of a unit that is ours.
const mark = "# Installed by bridgehead-agent while a policy holds the link by which the node reaches others.\n"

// Text is the unit as people install it (systemd.service(5)).
//
//go:embed bridgehead-restore.service
var Text string

// ownText returns the unit as Install does.
func ownText() string { return mark + strings.ReplaceAll(Text, handProgram, programFile) }

// A Host is where the unit goes.
type Host struct {
	// Root is the folder in which the host's files are found.
	Root string
	// Program is the file of the program that the unit is to run.
	Program string
	// Enabled reports whether a unit of that name is enabled, wherever its file is.
	Enabled func() (bool, error)
	// Reload has systemd read its units again.
	Reload func() error
}

func (h Host) at(path string) string { return filepath.Join(h.Root, path) }

// Install makes the unit be there, enabled, with its program. It does nothing where people put a unit of that name.
func (h Host) Install() error {
	theirs, err := h.theirs()
	if err != nil || theirs {
		return err
	}
	changed, err := h.install()
	if err == nil && changed {
		err = h.Reload()
	}
	if err != nil {
		return fmt.Errorf("install %s on the host: %w", Name, err)
	}
	return nil
}

// theirs reports whether people put a unit there.
func (h Host) theirs() (bool, error) {
	there, ours, err := h.unit()
	if err != nil || there {
		return !ours, err
	}
	enabled, err := h.Enabled() // one that came with a package
	if err != nil {
		return false, fmt.Errorf("find out whether the host has %s: %w", Name, err)
	}
	return enabled, nil
}

// Remove makes the unit not be there, if it is ours, nor its program.
func (h Host) Remove() error {
	_, ours, err := h.unit()
	if err != nil || !ours {
		return err
	}
	for _, path := range []string{wantFile, programFile, unitFile} { // the unit last: it says that the others are ours
		if failed := os.Remove(h.at(path)); failed != nil && !errors.Is(failed, fs.ErrNotExist) {
			err = errors.Join(err, failed)
		}
	}
	if err == nil {
		err = h.Reload()
	}
	if err != nil {
		return fmt.Errorf("remove %s from the host: %w", Name, err)
	}
	return nil
}

// unit reports whether there is a unit, and whether it is ours. A link is people's, wherever it leads: it may lead to
// what the container does not see.
func (h Host) unit() (there, ours bool, err error) {
	info, err := os.Lstat(h.at(unitFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		return true, false, nil
	}
	text, failed := os.ReadFile(h.at(unitFile))
	if err = errors.Join(err, failed); err != nil {
		return false, false, fmt.Errorf("find out whether the host has %s: %w", Name, err)
	}
	return true, strings.HasPrefix(string(text), mark), nil
}

// install writes what differs, and reports whether any did. The unit comes first: it says that the program is ours. It
// is enabled last.
func (h Host) install() (changed bool, err error) {
	text, err := os.ReadFile(h.at(unitFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if string(text) != ownText() {
		changed = true
		if err := renameio.WriteFile(h.at(unitFile), []byte(ownText()), 0o644); err != nil {
			return changed, err
		}
	}
	same, err := sameProgram(h.Program, h.at(programFile))
	if err != nil {
		return changed, err
	}
	if !same {
		changed = true
		if err := copyProgram(h.Program, h.at(programFile)); err != nil {
			return changed, err
		}
	}
	if target, err := os.Readlink(h.at(wantFile)); err == nil && target == unitFile {
		return changed, nil
	}
	if err := os.MkdirAll(filepath.Dir(h.at(wantFile)), 0o755); err != nil {
		return changed, err
	}
	return true, renameio.Symlink(unitFile, h.at(wantFile))
}

// copyProgram copies a program whole or not at all.
func copyProgram(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	target, err := renameio.NewPendingFile(to, renameio.WithPermissions(programMode))
	if err != nil {
		return err
	}
	defer func() { _ = target.Cleanup() }() // does nothing once it has its name
	if _, err := io.Copy(target, source); err != nil {
		return err
	}
	return target.CloseAtomicallyReplace()
}
