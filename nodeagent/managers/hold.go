// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// Hold keeps links from managers, and gives back those that were kept before and are not in the list: for as long as
// the node runs, whether the managers run now or start later. To call it again with the same list changes nothing. The
// error joins what could not be done; calling it again tries again.
func (m *Managers) Hold(links []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	links = slices.Sorted(slices.Values(links))
	return errors.Join(m.holdNetworkManagerLocked(slices.Compact(links)), m.holdNetworkdLocked(slices.Compact(links)))
}

// Held returns the links that are kept from managers, by what is noted of them, sorted.
func (m *Managers) Held() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	links, _, err := m.Files.unmanaged()
	released, failed := m.Files.released()
	networks, unread := m.Files.networks()
	links = slices.AppendSeq(append(links, networks...), maps.Keys(released))
	slices.Sort(links)
	return slices.Compact(links), errors.Join(err, failed, unread)
}

// holdNetworkManagerLocked has NetworkManager, or only its files while it does not run, say which links are not its
// own.
func (m *Managers) holdNetworkManagerLocked(links []string) error {
	ran, err := told(m.NetworkManager, func(program Program) error { return m.tellNetworkManagerLocked(program, links) })
	if ran {
		return err
	}
	if err != nil {
		err = fmt.Errorf("reach NetworkManager: %w", err)
	}
	if len(links) == 0 {
		return errors.Join(err, m.Files.removeUnmanaged())
	}
	return errors.Join(err, m.Files.writeUnmanaged(links))
}

// tellNetworkManagerLocked writes the drop-in. NetworkManager must have let go of a link before it reads of it: it
// takes a link down that it is about to activate. It takes none back that the drop-in names. A drop-in that names none
// any more goes only when NetworkManager has read it, so that whoever dies in between finds that there is something to
// be told.
func (m *Managers) tellNetworkManagerLocked(program Program, links []string) error {
	before, there, err := m.Files.unmanaged()
	if err != nil {
		return err
	}
	devices, err := program.Devices(nil)
	if err != nil {
		return fmt.Errorf("ask NetworkManager which links it manages: %w", err)
	}
	same := m.readNM && slices.Equal(before, links)
	if err := m.releaseAllLocked(program, devices, links, same); err != nil {
		return err
	}
	released, err := m.renamed(devices)
	if err != nil {
		return err
	}
	if !same && (there || len(links)+len(released) > 0) {
		m.readNM = false
		if err := errors.Join(m.Files.writeUnmanaged(links), program.Reload()); err != nil {
			return fmt.Errorf("tell NetworkManager of the links that are not its own: %w", err)
		}
	}
	if len(links) == 0 {
		if err := m.Files.removeUnmanaged(); err != nil {
			return err
		}
	}
	m.readNM = true
	return m.giveBackOthers(program, devices, released, links)
}

// releaseAllLocked has NetworkManager let go of what it manages of some links. What it only shows it lets go of as it
// reads the drop-in, unless a file below /etc that sets unmanaged-devices comes after ours and counts instead of it, as
// those that CNI plugins have people write: of such links it is told once if it has read the drop-in, and again when
// the link or NetworkManager is another.
func (m *Managers) releaseAllLocked(program Program, devices map[string]Device, links []string, hasRead bool) error {
	if !hasRead {
		m.asked = map[string]string{}
	}
	for _, link := range links {
		d := devices[link]
		asked, once := m.asked[link]
		shown := hasRead && d.Shown && (!once || asked != d.ID)
		if !d.Managed && !shown {
			continue
		}
		if shown {
			m.asked[link] = d.ID
		}
		if err := m.release(program, link, d); err != nil && !went(err) {
			return fmt.Errorf("take %s over from NetworkManager: %w", link, err)
		}
	}
	return nil
}

// went reports whether an error says that a link is not there any more, so that there is nothing to be done.
func went(err error) bool {
	var stale *kernel.StaleError
	return errors.As(err, &stale)
}

// renamed returns what NetworkManager was told to let go of by the names that links have now, and notes these.
func (m *Managers) renamed(devices map[string]Device) (map[string]letGo, error) {
	released, err := m.Files.released()
	if err != nil {
		return nil, err
	}
	now := nowCalled(released, devices)
	if maps.Equal(now, released) {
		return now, nil
	}
	return now, m.Files.writeReleased(now)
}

// nowCalled returns what is noted of links by the names they have now, with the IDs they have now. A link is known by
// its ID; where that means nothing any more, by its name, unless another one is known to have it.
func nowCalled(released map[string]letGo, devices map[string]Device) map[string]letGo {
	byID := map[string]string{}
	for name, d := range devices {
		if d.ID != "" {
			byID[d.ID] = name
		}
	}
	now := map[string]letGo{}
	for _, noted := range released {
		if name, known := byID[noted.id]; known {
			now[name] = noted
		}
	}
	for link, noted := range released {
		_, known := byID[noted.id]
		if _, another := now[link]; known || another {
			continue
		}
		if d, there := devices[link]; there {
			noted.id = d.ID
		}
		now[link] = noted
	}
	return now
}

// giveBackOthers gives back what NetworkManager was told to let go of, but for some links. Those that are gone are
// forgotten.
func (m *Managers) giveBackOthers(
	program Program, devices map[string]Device, released map[string]letGo, but []string,
) error {
	var failed []error
	for _, link := range slices.Sorted(maps.Keys(released)) {
		if slices.Contains(but, link) {
			continue
		}
		var err error
		_, there := devices[link]
		if there {
			err = m.giveBack(program, link)
		}
		switch {
		case !there || went(err):
			delete(released, link)
			failed = append(failed, m.Files.writeReleased(released))
		case err != nil:
			failed = append(failed, fmt.Errorf("give %s back to NetworkManager: %w", link, err))
		default:
			delete(released, link)
		}
	}
	return errors.Join(failed...)
}

// holdNetworkdLocked writes a file for each link. The file that says that there are such files goes last.
func (m *Managers) holdNetworkdLocked(links []string) error {
	before, err := m.Files.networks()
	if err != nil {
		return err
	}
	there, err := m.Files.hasForeign()
	if err != nil || slices.Equal(before, links) && (m.read || len(links) == 0 && !there) {
		return err
	}
	m.read = false
	if err := m.writeNetworks(before, links); err != nil {
		return err
	}
	ran, err := told(m.Networkd, func(program Program) error { return tellNetworkd(program, before, links) })
	if err != nil && !ran {
		return fmt.Errorf("reach systemd-networkd: %w", err)
	}
	if err != nil {
		return err
	}
	if len(links) == 0 {
		if err := m.Files.removeForeign(); err != nil {
			return err
		}
	}
	m.read = true
	return nil
}

// writeNetworks has files for some links, and for no others.
func (m *Managers) writeNetworks(before, links []string) error {
	failed := []error{m.Files.writeForeign()}
	for _, link := range before {
		if !slices.Contains(links, link) {
			failed = append(failed, m.Files.removeNetwork(link))
		}
	}
	for _, link := range links {
		failed = append(failed, m.Files.writeNetwork(link))
	}
	return errors.Join(failed...)
}

// tellNetworkd has networkd read its files, and take those links back that it was kept from before.
func tellNetworkd(program Program, before, links []string) error {
	if err := program.Reload(); err != nil {
		return fmt.Errorf("have systemd-networkd read its files: %w", err)
	}
	var failed []error
	for _, link := range before {
		if !slices.Contains(links, link) {
			failed = append(failed, program.Take(link, ""))
		}
	}
	return errors.Join(failed...)
}
