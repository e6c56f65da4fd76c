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

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A store keeps the last lease of each link in a file of its own below a folder, and in another the orders of its
// client.
type store struct{ folder string }

// How the files' names end.
const (
	suffix       = ".lease"
	ordersSuffix = ".client"
)

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
	if err := s.replace(filepath.Join(s.folder, w.Link+ordersSuffix), content); err != nil {
		return fmt.Errorf("note the DHCP client of %s: %w", w.Link, err)
	}
	return nil
}

// unwant notes that a link has none.
func (s store) unwant(link string) error {
	err := os.Remove(filepath.Join(s.folder, link+ordersSuffix))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the DHCP client of %s: %w", link, err)
	}
	return nil
}

// wanted are the links that have a client in this boot. A file that cannot be read is one of none.
func (s store) wanted(boot string) ([]Wanted, error) {
	links, err := s.named(ordersSuffix)
	var wanted []Wanted
	for _, link := range links {
		content, failed := os.ReadFile(filepath.Join(s.folder, link+ordersSuffix))
		var file ordersFile
		if failed == nil && json.Unmarshal(content, &file) == nil && file.Boot == boot {
			wanted = append(wanted, Wanted{Link: link, Orders: file.Orders})
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
	return parseLease(link, content), nil
}

// parseLease reads a file; nil is what it has when it is broken or of another link.
func parseLease(link string, content []byte) *Lease {
	l := new(Lease)
	if json.Unmarshal(content, l) != nil || l.Link != link || !usable(l.Address.Addr()) {
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
	next := path + ".new"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// remove forgets the lease of a link.
func (s store) remove(link string) error {
	if err := os.Remove(s.path(link)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the lease of %s: %w", link, err)
	}
	return nil
}

// links names those that have a lease.
func (s store) links() ([]string, error) { return s.named(suffix) }

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

// path is the file of a link. A link's name has no slash, says the kernel.
func (s store) path(link string) string { return filepath.Join(s.folder, link+suffix) }
