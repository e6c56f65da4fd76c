// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	securejoin "github.com/cyphar/filepath-securejoin"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// Where programs keep what lasts as long as a boot.
const oldRun, newRun = "/var/run", "/run"

// A KeptError says that another program keeps the file, so that writing it would be undone sooner or later.
type KeptError struct {
	Path string
	// Keeper is the program, or "" for a symbolic link to a file of a program we do not know.
	Keeper string
	// Target is what the file links to, or "".
	Target string
}

// Error returns what to do instead.
func (e *KeptError) Error() string {
	what := e.Path
	if e.Target != "" {
		what += ", a link to " + e.Target + ","
	}
	if e.Keeper == "" {
		return what + " is managed by another program: configure DNS there, or make it a plain file"
	}
	return fmt.Sprintf("%s is managed by %s: configure DNS there, or make it a plain file of its own", what, e.Keeper)
}

// A ReadOnlyError says that the folder of the file cannot be written to, as in a container that mounts the
// host's /etc read-only.
type ReadOnlyError struct{ Path string }

// Error returns what to do about it.
func (e *ReadOnlyError) Error() string {
	return "the agent may only read " + filepath.Dir(e.Path) + " of the host, so it cannot write " + e.Path +
		": mount the folder writable (component dns of the manifests), or configure DNS in the program that manages it"
}

// A File is the node's resolver configuration. Give it one writer at a time.
type File struct {
	// Root is the folder in which the host's files are found, "" for /. Symbolic links are followed in it, as the
	// host would.
	Root string
	// Path is the file as the host and messages name it, /etc/resolv.conf. To be written, its folder must be
	// writable: the file is replaced.
	Path string
	// Original is where the file as we found it is kept meanwhile.
	Original string
	// Keepers are the programs that can be told of name servers where they keep the file.
	Keepers []Keeper
}

// Read returns what the file says, nothing if there is none. See Parse. Where a Keeper has the file, what it was told
// is configured and nothing else is; and where the file names the program itself, which answers from what it remembers,
// those that it asks are the name servers.
func (f File) Read() (netstate.DNS, error) {
	text, err := f.text()
	dns := Parse(text)
	if k, found := f.kept(text); found && err == nil {
		var static netstate.DNSConfig
		static, err = f.told(k)
		dns.Config = &static
		shown, unread := f.shown(k)
		if k.Shows != "" && shown != "" {
			dns.Running.Server = Parse(shown).Running.Server
		}
		return dns, errors.Join(err, unread)
	}
	if err == nil {
		dns.Foreign = !ours(text)
		if !dns.Foreign {
			dns.Foreign, err = f.asFound(*dns.Config)
		}
	}
	return dns, err
}

// asFound reports whether a configuration is what the file said before it was ours.
func (f File) asFound(static netstate.DNSConfig) (bool, error) {
	original, err := read(f.Original)
	if err != nil {
		return false, fmt.Errorf("read the original resolver configuration: %w", err)
	}
	was := *Parse(original).Config
	return slices.Equal(static.Server, was.Server) && slices.Equal(static.Search, was.Search) &&
		slices.Equal(static.Options, was.Options), nil
}

// Configured returns what was written as configured, nothing for a file that is not ours.
func (f File) Configured() (netstate.DNSConfig, error) {
	text, err := f.text()
	if err != nil {
		return netstate.DNSConfig{}, err
	}
	if k, found := f.kept(text); found {
		return f.told(k)
	}
	if !ours(text) {
		return netstate.DNSConfig{}, nil
	}
	return *Parse(text).Config, nil
}

// text returns what the file says, nothing if there is none or it links to none.
func (f File) text() (string, error) {
	path, err := f.follow()
	if err != nil {
		return "", fmt.Errorf("find the resolver configuration: %w", err)
	}
	text, err := read(path)
	if err != nil {
		return "", fmt.Errorf("read the resolver configuration: %w", err)
	}
	return text, nil
}

// inRoot returns where the file is found.
func (f File) inRoot() string { return filepath.Join(f.Root, f.Path) }

// follow returns where the text of the file is found. Links are the host's, to files and to folders alike, so that an
// absolute one begins at Root. What a container does not have of the host is not there.
func (f File) follow() (string, error) {
	found, err := securejoin.SecureJoin(filepath.Join("/", f.Root), f.Path)
	if err != nil {
		return "", err
	}
	// /var/run is a link to /run on every host with systemd; a container has the one alone.
	_, missing := os.Lstat(found)
	inside, err := filepath.Rel(filepath.Join("/", f.Root, oldRun), found)
	if missing != nil && err == nil && filepath.IsLocal(inside) {
		return securejoin.SecureJoin(filepath.Join("/", f.Root), filepath.Join(newRun, inside))
	}
	return found, nil
}

// Write makes the file say what is configured and what was leased. It writes nothing that is there already.
// Where nothing is configured, what the file said before the first Write still counts as that: a lease of one
// more network must not take the name servers the node had. When nothing was leased either, the file is put
// back as it was, and so it is where static is what it said; a file that is not ours then stays. A Keeper is told by a
// file of its own, and what it does not use is an error. The error is a *KeptError for a file that any other program
// keeps.
func (f File) Write(static, leased netstate.DNSConfig) error {
	now, err := f.text()
	if err != nil {
		return err
	}
	if k, found := f.kept(now); found {
		return f.tell(k, static, leased)
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
	if found, err := f.asFound(static); err != nil {
		return err
	} else if nothing || found && empty(leased) {
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
	return f.replace("write", next)
}

// replace writes the file itself, to do what verb says.
func (f File) replace(verb, text string) error {
	err := replace(f.inRoot(), text)
	if errors.Is(err, syscall.EROFS) {
		err = &ReadOnlyError{Path: f.Path}
	}
	if err != nil {
		return fmt.Errorf("%s the resolver configuration: %w", verb, err)
	}
	return nil
}

// takeOver keeps a copy of a file that is not ours, unless it is another program's business.
func (f File) takeOver(text string) error {
	target, err := os.Readlink(f.inRoot())
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
	if err := f.replace("put back", text); err != nil {
		return err
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
