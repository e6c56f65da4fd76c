package dhcp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A store keeps the last lease of each link in a file of its own below a folder.
type store struct{ folder string }

// suffix is how the files' names end.
const suffix = ".lease"

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
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return fmt.Errorf("save the lease of %s: %w", l.Link, err)
	}
	next := s.path(l.Link) + ".new"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return fmt.Errorf("save the lease of %s: %w", l.Link, err)
	}
	if err := os.Rename(next, s.path(l.Link)); err != nil {
		return fmt.Errorf("save the lease of %s: %w", l.Link, err)
	}
	return nil
}

// remove forgets the lease of a link.
func (s store) remove(link string) error {
	if err := os.Remove(s.path(link)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the lease of %s: %w", link, err)
	}
	return nil
}

// links names those that have a lease.
func (s store) links() ([]string, error) {
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
