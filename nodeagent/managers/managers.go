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
	"slices"
	"sync"

	"github.com/go-logr/logr"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A Device is a link as its manager sees it.
type Device struct {
	// Managed says that the manager configures the link, or would if it got a carrier.
	Managed bool
	// Shown says that the link is there and the manager would configure it if somebody asked it to. NetworkManager shows
	// so what others have configured.
	Shown bool
	// Profile is what the manager configures the link by, as people know it.
	Profile string
	// UUID is what the manager knows the profile by; "" for one without.
	UUID string
	// Legacy says that kubernetes-nmstate left the profile.
	Legacy bool
	// ID is what the manager that runs calls the link whatever its name is; "" for nothing.
	ID string
}

// A Program is a running manager.
type Program interface {
	// Devices are the links it knows, by name. It need not tell of those that are in but, which nobody asks about.
	Devices(but map[string]bool) (map[string]Device, error)
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
	// Log is told what cannot be found out of these.
	Log logr.Logger

	// mu guards what follows. Methods whose names end in Locked are called with it held, the others without.
	mu sync.Mutex
	// read and readNM say that networkd and NetworkManager have read their files since they changed.
	read, readNM bool
	// asked are the IDs of the links of which NetworkManager was told one by one though it has read its files.
	asked map[string]string
	// unknown is what was not known of switchless programs the last time.
	unknown string
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
	pods := endsOfPods(state)
	for _, p := range m.programs() {
		var devices map[string]Device
		_, err := told(p.find, func(program Program) (err error) {
			devices, err = program.Devices(pods)
			return err
		})
		if err != nil {
			return state, fmt.Errorf("ask %s which links it manages: %w", p.manager, err)
		}
		for n := range state.Interfaces {
			if d := devices[state.Interfaces[n].Name]; d.Managed {
				state.Interfaces[n].Manager, state.Interfaces[n].Legacy = p.manager, d.Legacy
				if d.Profile != "" {
					state.Interfaces[n].ProfileName = &d.Profile
				}
			}
		}
	}
	m.tellLocked(mark(state, m.Switchless))
	return state, nil
}

// tellLocked notes why it is not known which links switchless programs manage, once. Those are only named, so that
// nothing else depends on it.
func (m *Managers) tellLocked(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != m.unknown {
		m.Log.Error(err, "Not all programs that may manage links are known; continuing without them")
	}
	m.unknown = text
}

// endsOfPods returns the veths of a node that are ignored, for their other end is in another network namespace. There
// can be hundreds, and no manager has them.
func endsOfPods(state netstate.State) map[string]bool {
	pods := map[string]bool{}
	for _, i := range state.Interfaces {
		if i.Type == netstate.TypeVeth && i.State == netstate.StateIgnore {
			pods[i.Name] = true
		}
	}
	return pods
}

// RemoveProfiles deletes the profiles that kubernetes-nmstate left for some links with the managers that run, and
// returns their names.
func (m *Managers) RemoveProfiles(links []string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for _, p := range m.programs() {
		_, err := told(p.find, func(program Program) error {
			removed, err := program.RemoveProfiles(links)
			names = append(names, removed...)
			return err
		})
		if err != nil {
			return names, fmt.Errorf("remove profiles of %s: %w", p.manager, err)
		}
	}
	return names, nil
}

// A found manager may run.
type found struct {
	manager netstate.Manager
	find    func() (Program, error)
}

// programs returns the managers. Of those that have the same link the last counts: NetworkManager acts by itself and
// has to let go before a change, and networkd is told after it anyway.
func (m *Managers) programs() []found {
	return []found{{netstate.Networkd, m.Networkd}, {netstate.NetworkManager, m.NetworkManager}}
}

// maxStarts is how often a manager may start again while it is told something.
const maxStarts = 3

// told finds a manager and does something with it, and does it again if the manager was started again meanwhile. It
// reports whether one runs: one that does not, or ended meanwhile, has nothing to be told.
func told(find func() (Program, error), do func(Program) error) (ran bool, err error) {
	var before Program
	for range maxStarts {
		program, unknown := find()
		switch {
		case unknown != nil:
			return false, errors.Join(err, unknown)
		case program == nil:
			return false, nil
		case program == before:
			return true, err
		}
		if err = do(program); err == nil {
			return true, nil
		}
		before = program
	}
	return true, err
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
		err = m.doNetworkdLocked(step)
	} else {
		err = m.doNetworkManagerLocked(step)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return nil
}

func (m *Managers) doNetworkManagerLocked(step netstate.Step) error {
	_, err := told(m.NetworkManager, func(program Program) error {
		if step.To.Manager != "" {
			return m.giveBack(program, step.Link)
		}
		devices, err := program.Devices(nil)
		if err != nil {
			return fmt.Errorf("ask NetworkManager which links it manages: %w", err)
		}
		return m.release(program, step.Link, devices[step.Link])
	})
	return err
}

// release has NetworkManager let go of a link. By which profile it had it is noted before that.
func (m *Managers) release(program Program, link string, device Device) error {
	released, err := m.Files.released()
	if err != nil {
		return err
	}
	if _, noted := released[link]; !noted || device.UUID != "" {
		released[link] = letGo{device.UUID, device.ID}
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
	if err := program.Take(link, released[link].uuid); err != nil {
		return err
	}
	delete(released, link)
	return m.Files.writeReleased(released)
}

// doNetworkdLocked takes a link over by a file that networkd reads at once, and gives it back by removing the file:
// networkd reads that only when everything else is undone, in Hold.
func (m *Managers) doNetworkdLocked(step netstate.Step) error {
	m.read = false
	if step.To.Manager != "" {
		return m.Files.removeNetwork(step.Link)
	}
	if err := errors.Join(m.Files.writeForeign(), m.Files.writeNetwork(step.Link)); err != nil {
		return err
	}
	ran, err := told(m.Networkd, func(program Program) error { return program.Release(step.Link) })
	m.read = ran && err == nil
	return err
}
