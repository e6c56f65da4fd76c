// SPDX-License-Identifier: Apache-2.0

// Package managers knows which program manages each link of a node, NetworkManager or systemd-networkd, and takes links
// over from them and gives them back, by D-Bus and by files below /run.
//
// What is to be done, and in which order, is decided by netstate.Plan (steps of kind netstate.StepManager) and by the
// pure functions of this package; what talks to the programs is behind two small interfaces.
package managers

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A Device is a link as its manager sees it.
type Device struct {
	// Managed says that the manager configures the link, or would if it got a carrier.
	Managed bool
	// Profile is what the manager configures the link by, as people know it.
	Profile string
	// UUID is what the manager knows the profile by; "" for one without.
	UUID string
	// Legacy says that kubernetes-nmstate left the profile.
	Legacy bool
}

// A Program is a running manager.
type Program interface {
	// Devices are the links it knows, by name.
	Devices() (map[string]Device, error)
	// Release has it leave a link alone, with addresses and routes as they are, until Take.
	Release(link string) error
	// Take has it manage a link again, by the profile with a UUID if it is still there. "" leaves the choice to it.
	Take(link, uuid string) error
	// Reload has it read its files again.
	Reload() error
	// RemoveProfiles deletes the profiles of some links that kubernetes-nmstate left, and returns their names.
	RemoveProfiles(links []string) ([]string, error)
}

// Managers are those of one node. Its methods may be called from several goroutines.
type Managers struct {
	// Files are where links are kept from managers.
	Files Files
	// NetworkManager and Networkd return the programs if they run, and nil if not.
	NetworkManager, Networkd func() (Program, error)
	// Switchless are programs that manage links and cannot be told: they are only named.
	Switchless []Switchless

	mu sync.Mutex
	// read and readNM say that networkd and NetworkManager have read their files since they changed.
	read, readNM bool
}

// Read returns a state with the managers of its links, and the profiles they are managed by.
func (m *Managers) Read(state netstate.State) (netstate.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	state.Interfaces = slices.Clone(state.Interfaces)
	for n := range state.Interfaces {
		state.Interfaces[n].Manager, state.Interfaces[n].ProfileName = "", nil
		state.Interfaces[n].Legacy = false
	}
	for manager, find := range m.programs() {
		program, err := find()
		if err != nil || program == nil {
			if err != nil {
				return state, fmt.Errorf("ask %s which links it manages: %w", manager, err)
			}
			continue
		}
		devices, err := program.Devices()
		if err != nil {
			return state, fmt.Errorf("ask %s which links it manages: %w", manager, err)
		}
		for n := range state.Interfaces {
			if d := devices[state.Interfaces[n].Name]; d.Managed {
				state.Interfaces[n].Manager, state.Interfaces[n].Legacy = manager, d.Legacy
				if d.Profile != "" {
					state.Interfaces[n].ProfileName = &d.Profile
				}
			}
		}
	}
	return state, mark(state, m.Switchless)
}

// RemoveProfiles deletes the profiles that kubernetes-nmstate left for some links with the managers that run, and
// returns their names.
func (m *Managers) RemoveProfiles(links []string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for manager, find := range m.programs() {
		program, err := find()
		if err != nil {
			return names, fmt.Errorf("reach %s: %w", manager, err)
		}
		if program == nil {
			continue
		}
		removed, err := program.RemoveProfiles(links)
		names = append(names, removed...)
		if err != nil {
			return names, fmt.Errorf("remove profiles of %s: %w", manager, err)
		}
	}
	return names, nil
}

func (m *Managers) programs() map[netstate.Manager]func() (Program, error) {
	return map[netstate.Manager]func() (Program, error){
		netstate.NetworkManager: m.NetworkManager,
		netstate.Networkd:       m.Networkd,
	}
}

// Do carries out a step of kind netstate.StepManager and ignores all others. A manager that does not run has nothing to
// be told.
func (m *Managers) Do(step netstate.Step) error {
	if step.Kind != netstate.StepManager {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var err error
	if step.From.Manager == netstate.Networkd || step.To.Manager == netstate.Networkd {
		err = m.doNetworkd(step)
	} else {
		err = m.doNetworkManager(step)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return nil
}

func (m *Managers) doNetworkManager(step netstate.Step) error {
	program, err := m.NetworkManager()
	if err != nil || program == nil {
		return err
	}
	if step.To.Manager == "" {
		devices, err := program.Devices()
		if err != nil {
			return fmt.Errorf("ask NetworkManager which links it manages: %w", err)
		}
		return m.release(program, step.Link, devices[step.Link])
	}
	return m.giveBack(program, step.Link)
}

// release has NetworkManager let go of a link. By which profile it had it is noted before that.
func (m *Managers) release(program Program, link string, device Device) error {
	released, err := m.Files.released()
	if err != nil {
		return err
	}
	if _, noted := released[link]; !noted || device.UUID != "" {
		released[link] = device.UUID
		if err := m.Files.writeReleased(released); err != nil {
			return err
		}
	}
	return program.Release(link)
}

// giveBack has NetworkManager take a link by the profile it had, and forgets that it was let go.
func (m *Managers) giveBack(program Program, link string) error {
	released, err := m.Files.released()
	if err != nil {
		return err
	}
	if err := program.Take(link, released[link]); err != nil {
		return err
	}
	delete(released, link)
	return m.Files.writeReleased(released)
}

// doNetworkd takes a link over by a file that networkd reads at once, and gives it back by removing the file: networkd
// reads that only when everything else is undone, in Hold.
func (m *Managers) doNetworkd(step netstate.Step) error {
	m.read = false
	if step.To.Manager != "" {
		return m.Files.removeNetwork(step.Link)
	}
	if err := m.Files.writeNetwork(step.Link); err != nil {
		return err
	}
	program, err := m.Networkd()
	if err != nil || program == nil {
		return err
	}
	m.read = true
	return program.Release(step.Link)
}

// Hold keeps links from managers, and gives back those that were kept before and are not in the list: for as long as
// the node runs, whether the managers run now or start later. To call it again with the same list changes nothing. The
// error joins what could not be done; calling it again tries again.
func (m *Managers) Hold(links []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	links = slices.Sorted(slices.Values(links))
	return errors.Join(m.holdNetworkManager(slices.Compact(links)), m.holdNetworkd(slices.Compact(links)))
}

// holdNetworkManager writes the drop-in. NetworkManager must have let go of a link before it reads of it: it takes a
// link down that it is about to activate. It takes none back that the drop-in names.
func (m *Managers) holdNetworkManager(links []string) error {
	before, err := m.Files.unmanaged()
	if err != nil {
		return err
	}
	program, err := m.NetworkManager()
	if err != nil {
		return errors.Join(fmt.Errorf("reach NetworkManager: %w", err), m.Files.writeUnmanaged(links))
	}
	if program == nil {
		return m.Files.writeUnmanaged(links)
	}
	devices, err := program.Devices()
	if err != nil {
		return fmt.Errorf("ask NetworkManager which links it manages: %w", err)
	}
	for _, link := range links {
		if d := devices[link]; d.Managed {
			if err := m.release(program, link, d); err != nil {
				return fmt.Errorf("take %s over from NetworkManager: %w", link, err)
			}
		}
	}
	released, err := m.Files.released()
	if err != nil {
		return err
	}
	if !slices.Equal(before, links) || !m.readNM && len(links)+len(released) > 0 {
		m.readNM = false
		if err := errors.Join(m.Files.writeUnmanaged(links), program.Reload()); err != nil {
			return fmt.Errorf("tell NetworkManager of the links that are not its own: %w", err)
		}
	}
	m.readNM = true
	return m.giveBackOthers(program, devices, released, links)
}

// giveBackOthers gives back what NetworkManager was told to let go of, but for some links. Those that are gone are
// forgotten.
func (m *Managers) giveBackOthers(
	program Program, devices map[string]Device, released map[string]string, but []string,
) error {
	var failed []error
	for _, link := range slices.Sorted(maps.Keys(released)) {
		if slices.Contains(but, link) {
			continue
		}
		if _, there := devices[link]; !there {
			delete(released, link)
			failed = append(failed, m.Files.writeReleased(released))
			continue
		}
		if err := m.giveBack(program, link); err != nil {
			failed = append(failed, fmt.Errorf("give %s back to NetworkManager: %w", link, err))
			continue
		}
		delete(released, link)
	}
	return errors.Join(failed...)
}

// holdNetworkd writes a file for each link.
func (m *Managers) holdNetworkd(links []string) error {
	before, err := m.Files.networks()
	if err != nil {
		return err
	}
	if m.read && slices.Equal(before, links) {
		return nil
	}
	for _, link := range before {
		if !slices.Contains(links, link) {
			err = errors.Join(err, m.Files.removeNetwork(link))
		}
	}
	for _, link := range links {
		err = errors.Join(err, m.Files.writeNetwork(link))
	}
	if err = errors.Join(err, m.Files.writeForeign(len(links) > 0)); err != nil {
		return err
	}
	program, err := m.Networkd()
	if err != nil {
		return fmt.Errorf("reach systemd-networkd: %w", err)
	}
	if program != nil {
		if err := program.Reload(); err != nil {
			return fmt.Errorf("have systemd-networkd read its files: %w", err)
		}
		for _, link := range before {
			if !slices.Contains(links, link) {
				err = errors.Join(err, program.Take(link, ""))
			}
		}
	}
	m.read = err == nil
	return err
}
