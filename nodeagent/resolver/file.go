package resolver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A KeptError says that another program keeps the file, so that writing it would be undone sooner or later.
type KeptError struct {
	Path string
	// Keeper is the program, or "" for a symbolic link to a file of nobody we know.
	Keeper string
	// Target is what the file links to, or "".
	Target string
}

// Error says what to do instead.
func (e *KeptError) Error() string {
	what := e.Path
	if e.Target != "" {
		what += ", a link to " + e.Target + ","
	}
	if e.Keeper == "" {
		return what + " is kept by another program: configure DNS there, or make it a plain file"
	}
	return fmt.Sprintf("%s is kept by %s: configure DNS there, or make it a plain file of its own", what, e.Keeper)
}

// A File is the node's resolver configuration. Give it one writer at a time.
type File struct {
	// Path is the file itself, /etc/resolv.conf. The folder must be writable: the file is replaced.
	Path string
	// Original is where the file as we found it is kept meanwhile.
	Original string
}

// Read returns what the file says, nothing if there is none. See Parse.
func (f File) Read() (netstate.DNS, error) {
	text, err := read(f.Path)
	if err != nil {
		return netstate.DNS{}, fmt.Errorf("read the resolver configuration: %w", err)
	}
	return Parse(text), nil
}

// Write makes the file say what is configured and what was leased. It writes nothing that is there already.
// Where nothing is configured, what the file said before the first Write still counts as that: a lease of one
// more network must not take the name servers the node had. When nothing was leased either, the file is put
// back as it was; a file that is not ours then stays. The error is a *KeptError for a file that another
// program keeps.
func (f File) Write(static, leased netstate.DNSConfig) error {
	now, err := read(f.Path)
	if err != nil {
		return fmt.Errorf("read the resolver configuration: %w", err)
	}
	nothing := empty(static) && empty(leased)
	if !ours(now) {
		if nothing {
			return nil
		}
		if err := f.takeOver(now); err != nil {
			return err
		}
	}
	if nothing {
		return f.putBack()
	}
	if empty(static) {
		original, err := read(f.Original)
		if err != nil {
			return fmt.Errorf("read the original resolver configuration: %w", err)
		}
		static = *Parse(original).Config
	}
	next := Format(static, leased)
	if next == now {
		return nil
	}
	if err := replace(f.Path, next); err != nil {
		return fmt.Errorf("write the resolver configuration: %w", err)
	}
	return nil
}

// takeOver keeps a copy of a file that is not ours, unless it is another program's business.
func (f File) takeOver(text string) error {
	target, err := os.Readlink(f.Path)
	linked := err == nil
	if program := keeper(target, text); program != "" || linked {
		return &KeptError{Path: f.Path, Keeper: program, Target: target}
	}
	if err := replace(f.Original, text); err != nil {
		return fmt.Errorf("keep the original resolver configuration: %w", err)
	}
	return nil
}

// putBack restores the file as it was.
func (f File) putBack() error {
	text, err := read(f.Original)
	if err != nil {
		return fmt.Errorf("read the original resolver configuration: %w", err)
	}
	if err := replace(f.Path, text); err != nil {
		return fmt.Errorf("put back the resolver configuration: %w", err)
	}
	if err := os.Remove(f.Original); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("put back the resolver configuration: %w", err)
	}
	return nil
}

// read returns the text of a file; a file that does not exist, or a link to none, has none.
func read(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}

// replace writes a file, all or nothing, even when the machine stops meanwhile. Everybody may read it.
func replace(path, text string) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	next, err := os.CreateTemp(folder, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(next.Name()) }() // when it was not renamed
	_, err = next.WriteString(text)
	err = errors.Join(err, next.Chmod(0o644), next.Sync(), next.Close())
	if err != nil {
		return err
	}
	return os.Rename(next.Name(), path)
}
