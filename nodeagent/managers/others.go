// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/bootunit"
)

const (
	wickedName   = "org.opensuse.Network"
	connmanName  = "net.connman"
	systemdName  = "org.freedesktop.systemd1"
	systemdPath  = "/org/freedesktop/systemd1"
	systemdUnit  = systemdName + ".Unit"
	ifupdownUnit = "networking.service"
	// noUnit is the error for a unit that is not loaded.
	noUnit = systemdName + ".NoSuchUnit"
	// noFile is the error for a unit that has no file.
	noFile = "org.freedesktop.DBus.Error.FileNotFound"

	// interfacesFile and what it sources say what ifupdown configures (interfaces(5)).
	interfacesFile = "/etc/network/interfaces"
	// ifcfgFolder has a file for each link that wicked configures (ifcfg(5)).
	ifcfgFolder = "/etc/sysconfig/network"
	ifcfgPrefix = "ifcfg-"
	// maxIncluded bounds files that source each other.
	maxIncluded = 64
)

// A Switchless program manages links and cannot be told to leave one alone.
type Switchless struct {
	manager netstate.Manager
	// runs reports whether it runs.
	runs func() (bool, error)
	// has returns which links are its own.
	has func() (func(netstate.Interface) bool, error)
}

// switchless returns those that are known, on the node of this bus.
func (b *Bus) switchless() []Switchless {
	files := Files{Root: b.Root}
	return []Switchless{
		{netstate.Ifupdown, func() (bool, error) { return b.active(ifupdownUnit) }, files.ofIfupdown},
		{netstate.Wicked, func() (bool, error) { return b.owned(wickedName) }, files.ofWicked},
		{netstate.Connman, func() (bool, error) { return b.owned(connmanName) }, ofConnman},
	}
}

// active reports whether a unit of systemd is active.
func (b *Bus) active(unit string) (bool, error) {
	if there, err := b.owned(systemdName); err != nil || !there {
		return false, err
	}
	var path dbus.ObjectPath
	err := object{b, systemdName, systemdPath}.call(systemdName+".Manager.GetUnit", []any{unit}, &path)
	var refused dbus.Error
	if errors.As(err, &refused) && refused.Name == noUnit {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask systemd for %s: %w", unit, err)
	}
	state, err := object{b, systemdName, path}.all(systemdUnit)
	if err != nil {
		return false, fmt.Errorf("ask systemd for %s: %w", unit, err)
	}
	return value[string](state, "ActiveState") == "active", nil
}

// RestoredAtBoot returns the question whether the unit that restores the network before kubelet starts is enabled on
// the host whose files are below root. A host without systemd has none.
func RestoredAtBoot(root string) func() (bool, error) {
	bus := &Bus{Root: root}
	return func() (bool, error) { return bus.enabled(bootunit.Name) }
}

// ReloadUnits returns what has systemd read its units again, on the bus of a host whose files are below root.
func ReloadUnits(root string) func() error {
	bus := &Bus{Root: root}
	return func() error { return object{bus, systemdName, systemdPath}.call(systemdName+".Manager.Reload", nil) }
}

// enabled reports whether a unit of systemd is enabled.
func (b *Bus) enabled(unit string) (bool, error) {
	if there, err := b.owned(systemdName); err != nil || !there {
		return false, err
	}
	var state string
	err := object{b, systemdName, systemdPath}.call(systemdName+".Manager.GetUnitFileState", []any{unit}, &state)
	var refused dbus.Error
	if errors.As(err, &refused) && (refused.Name == noUnit || refused.Name == noFile) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask systemd for %s: %w", unit, err)
	}
	return state == "enabled", nil
}

// mark names the switchless programs that manage links of a state. Those that another manager has stay its own.
func mark(state netstate.State, programs []Switchless) error {
	for _, p := range programs {
		runs, err := p.runs()
		if err != nil {
			return fmt.Errorf("find out whether %s runs: %w", p.manager, err)
		}
		if !runs {
			continue
		}
		has, err := p.has()
		if err != nil {
			return fmt.Errorf("find out which links %s manages: %w", p.manager, err)
		}
		for n, i := range state.Interfaces {
			if i.Manager == "" && has(i) {
				state.Interfaces[n].Manager = p.manager
			}
		}
	}
	return nil
}

// ofConnman: connman takes every card that it was not told to leave alone.
func ofConnman() (func(netstate.Interface) bool, error) {
	return func(i netstate.Interface) bool { return i.Type == netstate.TypeEthernet }, nil
}

func (f Files) ofWicked() (func(netstate.Interface) bool, error) {
	files, err := filepath.Glob(f.at(ifcfgFolder) + "/" + ifcfgPrefix + "*")
	if err != nil {
		return nil, err
	}
	return func(i netstate.Interface) bool {
		return i.Name != "lo" && slices.ContainsFunc(files, func(file string) bool {
			return strings.TrimPrefix(filepath.Base(file), ifcfgPrefix) == i.Name
		})
	}, nil
}

func (f Files) ofIfupdown() (func(netstate.Interface) bool, error) {
	names, err := f.stanzas(interfacesFile, maxIncluded)
	if err != nil {
		return nil, err
	}
	return func(i netstate.Interface) bool { return i.Name != "lo" && slices.Contains(names, i.Name) }, nil
}

// stanzas returns the links that a file of ifupdown and those it sources configure. A file that is not there has none.
func (f Files) stanzas(path string, depth int) ([]string, error) {
	text, err := os.ReadFile(f.at(path))
	if errors.Is(err, fs.ErrNotExist) || depth == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "iface":
			names = append(names, words[1])
		case "source", "source-directory":
			more, err := f.sourced(path, words[0], words[1], depth-1)
			if err != nil {
				return nil, err
			}
			names = append(names, more...)
		}
	}
	return names, nil
}

// sourced returns the links of the files that a line of a file names.
func (f Files) sourced(from, how, pattern string, depth int) ([]string, error) {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(from), pattern)
	}
	if how == "source-directory" {
		pattern += "/*"
	}
	files, err := filepath.Glob(f.at(pattern))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			continue
		}
		inside, err := filepath.Rel(f.at("/"), file)
		if err != nil {
			return nil, err
		}
		more, err := f.stanzas("/"+inside, depth)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	return names, nil
}
