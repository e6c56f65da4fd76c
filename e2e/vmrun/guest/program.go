// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// libraryDirs returns where the dynamic loader of Debian looks on amd64.
func libraryDirs() []string {
	return []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}
}

// AddProgram adds a program of the host with its dynamic loader and all shared
// libraries it names, each at the same path as on the host. A static program,
// or a file that is no program, is added alone.
func (a *Archive) AddProgram(guestPath, hostPath string) error {
	if err := a.AddFile(guestPath, hostPath); err != nil {
		return err
	}
	return a.addLibraries(hostPath)
}

// addLibraries adds what an ELF file needs at run time.
func (a *Archive) addLibraries(hostPath string) error {
	file, err := elf.Open(hostPath)
	var notELF *elf.FormatError
	if errors.As(err, &notELF) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the libraries of %s: %w", hostPath, err)
	}
	defer func() { _ = file.Close() }()
	needed, err := file.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("read the libraries of %s: %w", hostPath, err)
	}
	if loader := interpreter(file); loader != "" {
		needed = append(needed, loader)
	}
	for _, name := range needed {
		if err := a.addLibrary(name); err != nil {
			return fmt.Errorf("%s: %w", hostPath, err)
		}
	}
	return nil
}

// addLibrary adds one shared library, by name or absolute path, and its own.
func (a *Archive) addLibrary(name string) error {
	candidates := []string{name}
	if !filepath.IsAbs(name) {
		candidates = candidates[:0]
		for _, dir := range libraryDirs() {
			candidates = append(candidates, filepath.Join(dir, name))
		}
	}
	for _, candidate := range candidates {
		if _, found := a.records[entryName(candidate)]; found {
			return nil
		}
		if _, err := os.Stat(candidate); err == nil {
			return a.AddProgram(candidate, candidate)
		}
	}
	return fmt.Errorf("shared library %s is not on this host", name)
}

// interpreter returns the dynamic loader an ELF file asks for, "" for a static one.
func interpreter(file *elf.File) string {
	section := file.Section(".interp")
	if section == nil {
		return ""
	}
	data, err := section.Data()
	if err != nil || len(data) == 0 {
		return ""
	}
	return string(data[:len(data)-1])
}
