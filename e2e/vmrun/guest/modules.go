// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A Module is one loadable module of a kernel.
type Module struct {
	// Name is the module's name with underscores, as lsmod prints it.
	Name string
	// Content is the module itself, never compressed.
	Content []byte
}

// Modules returns the named modules and all they depend on, each after its
// dependencies, so that loading them in this order succeeds. Names may be
// spelled with - or _. A name the kernel has built in is left out; one it does
// not have at all is an error.
//
// Debian ships no modules.dep (depmod writes it when the package is
// installed), so the dependencies are read where depmod has them from: the
// .modinfo section of each module.
func (k Kernel) Modules(ctx context.Context, names ...string) ([]Module, error) {
	paths, err := k.modulePaths()
	if err != nil {
		return nil, err
	}
	c := closure{paths: paths, seen: map[string]bool{}}
	for _, builtin := range k.builtins() {
		c.seen[builtin] = true
	}
	for _, name := range names {
		if err := c.add(ctx, name); err != nil {
			return nil, fmt.Errorf("kernel %s: %w", k.Version, err)
		}
	}
	return c.ordered, nil
}

// modulePaths maps the names of all loadable modules to their files.
func (k Kernel) modulePaths() (map[string]string, error) {
	paths := map[string]string{}
	err := filepath.WalkDir(filepath.Join(k.modules(), "kernel"), func(file string, _ os.DirEntry, err error) error {
		if name, _, found := strings.Cut(path.Base(file), ".ko"); found {
			paths[moduleName(name)] = file
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list kernel modules: %w", err)
	}
	return paths, nil
}

// builtins names what is in the kernel itself; without the list, nothing.
func (k Kernel) builtins() []string {
	list, err := os.ReadFile(filepath.Join(k.modules(), "modules.builtin"))
	if err != nil {
		return nil
	}
	var names []string
	for line := range strings.Lines(string(list)) {
		names = append(names, moduleName(strings.TrimSuffix(path.Base(strings.TrimSpace(line)), ".ko")))
	}
	return names
}

// closure collects modules in load order.
type closure struct {
	paths   map[string]string
	seen    map[string]bool
	ordered []Module
}

// add appends a module behind its dependencies.
func (c *closure) add(ctx context.Context, name string) error {
	name = moduleName(name)
	if c.seen[name] {
		return nil
	}
	c.seen[name] = true
	file, found := c.paths[name]
	if !found {
		return fmt.Errorf("has no module %s", name)
	}
	content, err := readModule(ctx, file)
	if err != nil {
		return err
	}
	depends, err := moduleDepends(content)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	for _, dependency := range depends {
		if err := c.add(ctx, dependency); err != nil {
			return fmt.Errorf("%s needs %w", name, err)
		}
	}
	c.ordered = append(c.ordered, Module{Name: name, Content: content})
	return nil
}

// readModule returns a module's ELF file, whatever it is compressed with.
func readModule(ctx context.Context, file string) ([]byte, error) {
	decompressors := map[string]string{".xz": "xz", ".zst": "zstd", ".gz": "gzip"}
	program, compressed := decompressors[filepath.Ext(file)]
	if !compressed {
		return os.ReadFile(file)
	}
	out, err := exec.CommandContext(ctx, program, "-dc", file).Output()
	if err != nil {
		return nil, fmt.Errorf("%s -dc %s: %w", program, file, err)
	}
	return out, nil
}

// moduleDepends reads the "depends=" line of the .modinfo section: names
// separated by commas, empty when there are none.
func moduleDepends(content []byte) ([]string, error) {
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	section := file.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("no .modinfo section: not a kernel module")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for entry := range bytes.SplitSeq(info, []byte{0}) {
		depends, found := strings.CutPrefix(string(entry), "depends=")
		if found {
			return slices.DeleteFunc(strings.Split(depends, ","), func(s string) bool { return s == "" }), nil
		}
	}
	return nil, nil
}

// moduleName spells a module's name as the kernel does.
func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }
