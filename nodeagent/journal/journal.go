// SPDX-License-Identifier: Apache-2.0

// Package journal keeps on disk what the agent of a node must not forget: what each policy was committed to, and the
// change that is under way, with what undoes it. Every file is written beside its place, flushed, and renamed into
// it, so it is there whole or not at all, whenever the machine stops.
package journal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

const (
	changeFile = "change.json"
	bootFile   = "boot.json"
	lostFile   = "lost.json"
	policyDir  = "policies"
	asideDir   = "aside"
	suffix     = ".json"
)

// A State is a netstate.State that is kept with everything that is in it: the document of a netstate.State leaves out
// what nmstate has no key for.
type State netstate.State

// A Record is what a policy made of the node.
type Record struct {
	Policy string `json:"policy"`
	// UID is the policy's: one that has the name of a policy that is gone is another one. Records of before there were
	// UIDs have none.
	UID        string `json:"uid,omitempty"`
	Generation int64  `json:"generation"`
	// Desired is the policy rendered for this node.
	Desired State `json:"desired"`
	// Inherited is what of Desired the policy does not say: the addresses of links that were taken over from their
	// managers.
	Inherited State `json:"inherited,omitzero"`
	// Before is the state in which the node was when the policy was first applied.
	Before State `json:"before"`
	// Earlier are what earlier generations of the policy desired, the newest first. A policy that is reverted takes back
	// those too.
	Earlier []State `json:"earlier,omitempty"`
	// Captured are what the captures of the policy found first.
	Captured map[string]nmstate.CapturedState `json:"captured,omitempty"`
	// Heal, Revert and NoBootUnit are what the annotations of the policy say.
	Heal       bool `json:"heal"`
	Revert     bool `json:"revert,omitempty"`
	NoBootUnit bool `json:"noBootUnit,omitempty"`
	// ProbeDeadline is how long the node has to answer after a change; zero for as long as usual.
	ProbeDeadline time.Duration `json:"probeDeadline,omitempty"`
	// Reverts is how often it was begun to revert the policy.
	Reverts int `json:"reverts,omitempty"`
	// Orphan records are of policies that are gone or do not select the node any more. What they made stays, also over
	// reboots, but nobody puts it back when somebody changes it.
	Orphan bool `json:"orphan,omitempty"`
}

// Key tells records apart: the UID of the policy, or its name if that is all there is.
func (r Record) Key() string { return cmp.Or(r.UID, r.Policy) }

// SameAnnotations reports whether the annotations of the policies of two records say the same.
func (r Record) SameAnnotations(other Record) bool {
	return r.Heal == other.Heal && r.Revert == other.Revert && r.NoBootUnit == other.NoBootUnit &&
		r.ProbeDeadline == other.ProbeDeadline
}

// Earlier returns the earlier wishes of the policy of a record that is to desire something else from now on.
func Earlier(r Record, desired State) []State {
	var earlier []State
	for _, wish := range append([]State{r.Desired}, r.Earlier...) {
		same := func(other State) bool { return reflect.DeepEqual(other, wish) }
		if !same(desired) && !slices.ContainsFunc(earlier, same) {
			earlier = append(earlier, wish)
		}
	}
	return earlier
}

// A Change is one that is under way: either it is committed whole, or its steps are undone.
type Change struct {
	// Record is what the policy is committed to by the change.
	Record
	// Removal says that the change undoes the policy.
	Removal bool `json:"removal,omitempty"`
	// Wishes are what the change is to fulfil, in this order.
	Wishes []State `json:"wishes"`
	// Steps may have been taken, up to any of them.
	Steps []netstate.Step `json:"steps"`
	// From is the state the change began in.
	From State `json:"from"`
	// Boot is the boot of the machine in which the change began. What it did is gone after another.
	Boot string `json:"boot,omitempty"`
	// Failures is how often the change could not be undone.
	Failures int `json:"failures,omitempty"`
}

// A Boot says what of the records is still to be restored in a boot of the machine.
type Boot struct {
	// ID names the boot; "" for none yet.
	ID string `json:"id"`
	// Left are the keys of records that could not be restored so far.
	Left []string `json:"left,omitempty"`
	// Before is the node as the boot left it, before anything was restored.
	Before State `json:"before,omitzero"`
	// Concluded says that it is known by what the node reaches others in this boot, or that nobody asks any more.
	Concluded bool `json:"settled,omitempty"`
}

// A Journal is a folder. It must be used by one process at a time.
type Journal struct{ dir string }

// Open opens the journal in a folder, which is made if it is not there.
func Open(dir string) (*Journal, error) {
	for _, folder := range []string{policyDir, asideDir} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return nil, fmt.Errorf("open the journal in %s: %w", dir, err)
		}
	}
	return &Journal{dir: dir}, nil
}

// Records returns the policies the node is committed to, by name.
func (j *Journal) Records() ([]Record, error) {
	files, err := j.files(policyDir)
	if err != nil {
		return nil, err
	}
	var records []Record
	var failed []error
	for _, file := range files {
		var r Record
		if err := read(file, &r); err != nil {
			failed = append(failed, err)
			continue
		}
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.UID, b.UID))
	})
	return records, errors.Join(failed...)
}

// files returns the files of a folder of the journal.
func (j *Journal) files(folder string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(j.dir, folder))
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	var files []string
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), suffix) {
			continue // what a crash or a full disk left half written
		}
		files = append(files, filepath.Join(j.dir, folder, entry.Name()))
	}
	return files, nil
}

// Pending returns the change that was under way when the journal was last used; nil if none was.
func (j *Journal) Pending() (*Change, error) {
	var c Change
	err := read(filepath.Join(j.dir, changeFile), &c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// Begin notes a change. When it returns nil the change is on disk, and its first step may be taken.
func (j *Journal) Begin(c Change) error { return write(filepath.Join(j.dir, changeFile), c) }

// Commit ends the pending change for good.
func (j *Journal) Commit(c Change) error {
	if c.Removal {
		// If we stop between the two, the policy is still on record, and is removed again.
		return errors.Join(j.Abandon(), j.Drop(c.Key()))
	}
	if err := os.Rename(filepath.Join(j.dir, changeFile), j.path(c.Key())); err != nil {
		return fmt.Errorf("commit change: %w", err)
	}
	return errors.Join(flushFolder(j.dir), flushFolder(filepath.Join(j.dir, policyDir)))
}

// Abandon forgets the pending change, once it is undone.
func (j *Journal) Abandon() error { return remove(filepath.Join(j.dir, changeFile)) }

// SetAside forgets the pending change although it is not undone, and keeps it for people to look at.
func (j *Journal) SetAside(c Change) error {
	aside := filepath.Join(j.dir, asideDir, c.Key()+suffix)
	if err := os.Rename(filepath.Join(j.dir, changeFile), aside); err != nil {
		return fmt.Errorf("set a change aside: %w", err)
	}
	return errors.Join(flushFolder(j.dir), flushFolder(filepath.Join(j.dir, asideDir)))
}

// NoteAside keeps a change for people to look at that was undone for good, as SetAside does.
func (j *Journal) NoteAside(c Change) error {
	return write(filepath.Join(j.dir, asideDir, c.Key()+suffix), c)
}

// Aside returns the names of policies that have changes set aside.
func (j *Journal) Aside() ([]string, error) {
	files, err := j.files(asideDir)
	if err != nil {
		return nil, err
	}
	var policies []string
	for _, file := range files {
		var c Change
		if err := read(file, &c); err != nil {
			return nil, err
		}
		policies = append(policies, c.Policy)
	}
	return policies, nil
}

// DropAside forgets what was set aside of a policy, by its key.
func (j *Journal) DropAside(key string) error {
	return remove(filepath.Join(j.dir, asideDir, key+suffix))
}

// Boot returns what was last noted of the restoration after a boot; the zero Boot if nothing was.
func (j *Journal) Boot() (Boot, error) {
	var b Boot
	if err := read(filepath.Join(j.dir, bootFile), &b); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Boot{}, err
	}
	return b, nil
}

// NoteBoot notes what of the restoration is left.
func (j *Journal) NoteBoot(b Boot) error { return write(filepath.Join(j.dir, bootFile), b) }

// Lost returns the generations of policies, by key, that must not be tried again.
func (j *Journal) Lost() (map[string]int64, error) {
	lost := map[string]int64{}
	if err := read(filepath.Join(j.dir, lostFile), &lost); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return lost, nil
}

// NoteLost notes which generations must not be tried again.
func (j *Journal) NoteLost(lost map[string]int64) error {
	return write(filepath.Join(j.dir, lostFile), lost)
}

// Keep puts a policy on record without a change.
func (j *Journal) Keep(r Record) error { return write(j.path(r.Key()), r) }

// Drop takes a policy off the record, by its key.
func (j *Journal) Drop(key string) error { return remove(j.path(key)) }

func (j *Journal) path(key string) string {
	return filepath.Join(j.dir, policyDir, key+suffix)
}
