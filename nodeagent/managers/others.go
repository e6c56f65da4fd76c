// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/godbus/dbus/v5"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/bootunit"
)

const (
	wickedName  = "org.opensuse.Network"
	connmanName = "net.connman"
	systemdName = "org.freedesktop.systemd1"
	systemdPath = "/org/freedesktop/systemd1"
	systemdUnit = systemdName + ".Unit"
	// noUnit is the error for a unit that is not loaded.
	noUnit = systemdName + ".NoSuchUnit"
	// noFile is the error for a unit that has no file.
	noFile = "org.freedesktop.DBus.Error.FileNotFound"

	// runlevels has a folder for each runlevel of OpenRC with the services that it starts (rc-update(8)).
	runlevels = "/etc/runlevels"
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
		{netstate.Ifupdown, b.serves("networking"), files.ofIfupdown},
		{netstate.Wicked, func() (bool, error) { return b.owned(wickedName) }, files.ofWicked},
		{netstate.Connman, func() (bool, error) { return b.owned(connmanName) }, files.ofConnman},
		{netstate.Dhcpcd, b.serves("dhcpcd"), files.ofDhcpcd},
		{netstate.Netifrc, func() (bool, error) { return true, nil }, files.ofNetifrc},
		{netstate.Talos, files.isTalos, func() (func(netstate.Interface) bool, error) { return isCard, nil }},
	}
}

// serves returns the question whether a service of the host runs: it is in a runlevel of OpenRC, or active in systemd.
func (b *Bus) serves(name string) func() (bool, error) {
	return func() (bool, error) {
		levels, err := filepath.Glob(Files{b.Root}.at(runlevels) + "/*/" + name)
		if err != nil || len(levels) > 0 {
			return err == nil, err
		}
		return b.active(name + ".service")
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

// mark names the switchless programs that manage links of a state. Those that another manager has stay its own. The
// error joins what could not be found out; the rest is marked.
func mark(state netstate.State, programs []Switchless) error {
	var failed []error
	for _, p := range programs {
		runs, err := p.runs()
		if err != nil {
			failed = append(failed, fmt.Errorf("find out whether %s runs: %w", p.manager, err))
		}
		if !runs {
			continue
		}
		has, err := p.has()
		if err != nil {
			failed = append(failed, fmt.Errorf("find out which links %s manages: %w", p.manager, err))
			continue
		}
		for n, i := range state.Interfaces {
			if i.Manager == "" && has(i) {
				state.Interfaces[n].Manager = p.manager
			}
		}
	}
	return errors.Join(failed...)
}
