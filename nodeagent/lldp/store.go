// SPDX-License-Identifier: Apache-2.0

package lldp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// A store keeps which links are listened to, in one file of a folder, for the boot it was written in.
type store struct{ folder, boot string }

// A linksFile is what the file has.
type linksFile struct {
	Boot  string   `json:"boot"`
	Links []string `json:"links"`
}

func (s store) path() string { return filepath.Join(s.folder, "links.json") }

// load returns the links that were listened to in this boot. A file that cannot be understood is one of none.
func (s store) load() ([]string, error) {
	content, err := os.ReadFile(s.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find out which links were listened to: %w", err)
	}
	var file linksFile
	if json.Unmarshal(content, &file) == nil && file.Boot == s.boot {
		return file.Links, nil
	}
	return nil, nil
}

// save replaces the list, all or nothing.
func (s store) save(links []string) error {
	content, err := json.Marshal(linksFile{Boot: s.boot, Links: links})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(s.path(), content, 0o600, renameio.WithTempDir(s.folder))
}
