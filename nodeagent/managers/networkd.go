// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"fmt"

	"github.com/godbus/dbus/v5"
)

// networkd's interfaces, as in org.freedesktop.network1(5).
const (
	networkdName    = "org.freedesktop.network1"
	networkdPath    = "/org/freedesktop/network1"
	networkdManager = networkdName + ".Manager"
	networkdLink    = networkdName + ".Link"
	// unmanagedState is the AdministrativeState of a link that networkd leaves alone.
	unmanagedState = "unmanaged"
)

// networkd implements Program for a systemd-networkd that runs. Two that are equal are the same process.
type networkd struct {
	bus   *Bus
	owner string
}

func (b *Bus) networkd() (Program, error) {
	owner, err := b.owner(networkdName)
	if err != nil || owner == "" {
		return nil, err
	}
	return networkd{b, owner}, nil
}

func (n networkd) manager() object { return object{n.bus, networkdName, networkdPath} }

// A networkdListed is a link in the answer of ListLinks.
type networkdListed struct {
	Index int32
	Name  string
	Path  dbus.ObjectPath
}

func (n networkd) links() ([]networkdListed, error) {
	var links []networkdListed
	err := n.manager().call(networkdManager+".ListLinks", nil, &links)
	return links, err
}

// Devices implements Program. networkd is asked for each link, so that it is not for those that need not be told of.
func (n networkd) Devices(but map[string]bool) (map[string]Device, error) {
	links, err := n.links()
	if err != nil {
		return nil, err
	}
	devices := map[string]Device{}
	for _, link := range links {
		if but[link.Name] {
			continue
		}
		managed, err := n.manages(link)
		if unlessNoObject(err) != nil {
			return nil, fmt.Errorf("%s: %w", link.Name, err)
		}
		if err != nil {
			continue // the link went meanwhile
		}
		devices[link.Name] = Device{Managed: managed}
	}
	return devices, nil
}

// manages reports whether networkd configures a link.
func (n networkd) manages(link networkdListed) (bool, error) {
	state, err := object{n.bus, networkdName, link.Path}.all(networkdLink)
	administrative := value[string](state, "AdministrativeState")
	return administrative != "" && administrative != unmanagedState, err
}

// Release implements Program: networkd reads the file that says so, and lets go.
func (n networkd) Release(link string) error {
	if err := n.Reload(); err != nil {
		return err
	}
	return waitUntil(func() (bool, error) {
		listed, err := n.listed(link)
		if err != nil || listed == nil {
			return true, err
		}
		managed, err := n.manages(*listed)
		return !managed, unlessNoObject(err)
	})
}

// listed returns a link by its name, nil for none.
func (n networkd) listed(link string) (*networkdListed, error) {
	links, err := n.links()
	for _, l := range links {
		if l.Name == link {
			return &l, nil
		}
	}
	return nil, err
}

// Take implements Program. networkd looks at a link again only when it is told, and chooses by its files.
func (n networkd) Take(link, _ string) error {
	listed, err := n.listed(link)
	if err != nil || listed == nil {
		return err // it is gone
	}
	return n.manager().call(networkdManager+".ReconfigureLink", []any{listed.Index})
}

// Reload implements Program.
func (n networkd) Reload() error { return n.manager().call(networkdManager+".Reload", nil) }

// RemoveProfiles implements Program: kubernetes-nmstate knows NetworkManager alone.
func (n networkd) RemoveProfiles([]string) ([]string, error) { return nil, nil }
