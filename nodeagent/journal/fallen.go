// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"io/fs"
	"path/filepath"
)

const (
	wayFile    = "way.json"
	fallenFile = "fallen.json"
)

// A Way is what is known of how a node reaches others by its policies. The zero Way is that nothing is.
type Way struct {
	// Policies are the generations, by key, of the policies that hold the links by which it does.
	Policies map[string]int64 `json:"policies,omitempty"`
	// Answered names what answered through these links since the policies were committed.
	Answered []string `json:"answered,omitempty"`
}

// A Fallen is what a node has given up since nothing answered by it after a boot, see docs/decisions/0022. The zero
// Fallen is nothing.
type Fallen struct {
	// Boot names the boot of the machine in which that was.
	Boot string `json:"boot"`
	// Cause is one line for people.
	Cause string `json:"cause"`
	// Way is how the node was to reach others by the policies.
	Way Way `json:"way"`
	// Records are those of the policies. They are no longer what the node is committed to.
	Records []Record `json:"records"`
	// Done says that what the policies made is gone, and so are their records elsewhere.
	Done bool `json:"done"`
}

// Way returns what was noted last; the zero Way if nothing was.
func (j *Journal) Way() (Way, error) {
	var w Way
	if err := read(filepath.Join(j.dir, wayFile), &w); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Way{}, err
	}
	return w, nil
}

// NoteWay notes by what the node reaches others.
func (j *Journal) NoteWay(w Way) error { return write(filepath.Join(j.dir, wayFile), w) }

// Fallen returns what was given up and not taken up since; the zero Fallen if nothing was.
func (j *Journal) Fallen() (Fallen, error) {
	var f Fallen
	if err := read(filepath.Join(j.dir, fallenFile), &f); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Fallen{}, err
	}
	return f, nil
}

// NoteFallen notes what is given up; without records it forgets that anything was.
func (j *Journal) NoteFallen(f Fallen) error {
	if len(f.Records) == 0 {
		return remove(filepath.Join(j.dir, fallenFile))
	}
	return write(filepath.Join(j.dir, fallenFile), f)
}
