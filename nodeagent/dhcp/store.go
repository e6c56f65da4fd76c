// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A store keeps the last lease of each link in a file of its own below a folder, and in another the orders of its
// client, of one version of IP.
type store struct {
	folder string
	ipv6   bool
}

// suffix returns how the names of leases' files end.
func (s store) suffix() string {
	if s.ipv6 {
		return ".lease6"
	}
	return ".lease"
}

// ordersSuffix returns how the names of the clients' files end.
func (s store) ordersSuffix() string {
	if s.ipv6 {
		return ".client6"
	}
	return ".client"
}

// An ordersFile has the orders of a client that ran in a boot of the machine.
type ordersFile struct {
	Boot   string      `json:"boot"`
	Orders netstate.IP `json:"orders"`
}

// want notes that a link has a client.
func (s store) want(boot string, w Wanted) error {
	content, err := json.Marshal(ordersFile{Boot: boot, Orders: w.Orders})
	if err != nil {
		return fmt.Errorf("note the DHCP client of %s: %w", w.Link, err)
	}
	if err := s.replace(filepath.Join(s.folder, w.Link+s.ordersSuffix()), content); err != nil {
		return fmt.Errorf("note the DHCP client of %s: %w", w.Link, err)
	}
	return nil
}

// unwant notes that a link has none.
func (s store) unwant(link string) error {
	err := os.Remove(filepath.Join(s.folder, link+s.ordersSuffix()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the DHCP client of %s: %w", link, err)
	}
	return nil
}

// wanted returns the links that have a client in this boot. A file that cannot be read is one of none.
func (s store) wanted(boot string) ([]Wanted, error) {
	links, err := s.named(s.ordersSuffix())
	var wanted []Wanted
	for _, link := range links {
		content, failed := os.ReadFile(filepath.Join(s.folder, link+s.ordersSuffix()))
		var file ordersFile
		if failed == nil && json.Unmarshal(content, &file) == nil && file.Boot == boot {
			wanted = append(wanted, Wanted{Link: link, IPv6: s.ipv6, Orders: file.Orders})
		}
	}
	return wanted, err
}

// load returns the lease of a link, nil when there is none. A file that cannot be read as a lease is none
// either, for a new one will replace it; only a folder that cannot be read is an error.
func (s store) load(link string) (*Lease, error) {
	content, err := os.ReadFile(s.path(link))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load the lease of %s: %w", link, err)
	}
	return s.parseLease(link, content), nil
}

// parseLease reads a file; nil is what it has when it is broken or of another link.
func (s store) parseLease(link string, content []byte) *Lease {
	l := new(Lease)
	if json.Unmarshal(content, l) != nil || l.Link != link || l.Address.Addr().Is6() != s.ipv6 ||
		!usable(l.Address.Addr()) && !usable6(l.Address.Addr()) {
		return nil
	}
	return l
}

// save replaces the lease of its link, all or nothing.
func (s store) save(l Lease) error {
	content, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("save the lease of %s: %w", l.Link, err)
	}
	if err := s.replace(s.path(l.Link), content); err != nil {
		return fmt.Errorf("save the lease of %s: %w", l.Link, err)
	}
	return nil
}

// replace writes a file, all or nothing.
func (s store) replace(path string, content []byte) error {
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(path, content, 0o600, renameio.WithTempDir(s.folder))
}

// remove forgets the lease of a link.
func (s store) remove(link string) error {
	if err := os.Remove(s.path(link)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the lease of %s: %w", link, err)
	}
	return nil
}

// links names those that have a lease.
func (s store) links() ([]string, error) { return s.named(s.suffix()) }

// named names the links that have a file whose name ends so.
func (s store) named(suffix string) ([]string, error) {
	entries, err := os.ReadDir(s.folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	var links []string
	for _, entry := range entries {
		if link, ok := strings.CutSuffix(entry.Name(), suffix); ok {
			links = append(links, link)
		}
	}
	return links, nil
}

// path returns the file of a link. A link's name has no slash, says the kernel.
func (s store) path(link string) string { return filepath.Join(s.folder, link+s.suffix()) }
