// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// The programs that keep resolv.conf and can be told.
const (
	networkManager = "NetworkManager"
	resolved       = "systemd-resolved"
)

// The files that they are told by, as the host names them. All are below /run: a boot without us is one without them.
const (
	networkManagerFile = "/run/NetworkManager/conf.d/95-bridgehead-dns.conf"
	resolvedFile       = "/run/systemd/resolved.conf.d/95-bridgehead.conf"
	// uplinkFile has the name servers that systemd-resolved asks (systemd-resolved.service(8)).
	uplinkFile = "/run/systemd/resolve/resolv.conf"
)

// maxShown is how many name servers a resolv.conf has at most (MAXNS of the C library).
const maxShown = 3

// A Keeper is a program that keeps resolv.conf and is told of name servers by a file of its own.
type Keeper struct {
	// Name is the program.
	Name string
	// Path is the file that it reads.
	Path string
	// Shows is the file that has what it uses, "" for resolv.conf.
	Shows string
	// Replaces says that what the file says takes the place of all that the program knows besides.
	Replaces bool
	// Format is what the file says.
	Format func(static, leased netstate.DNSConfig) (string, error)
	// Reload has the program read it.
	Reload func() error
	// Patience is how long the program may take to use what it was told.
	Patience time.Duration
}

// patience is what programs take, and more.
const patience = 10 * time.Second

// NetworkManager returns the Keeper that is told by its drop-in (NetworkManager.conf(5), global-dns), and reads it by
// reload.
func NetworkManager(reload func() error) Keeper {
	return Keeper{
		Name: networkManager, Path: networkManagerFile, Replaces: true, Format: formatNetworkManager, Reload: reload,
		Patience: patience,
	}
}

// Resolved returns systemd-resolved, which is told by its drop-in (resolved.conf(5)), and reads it by reload.
func Resolved(reload func() error) Keeper {
	return Keeper{
		Name: resolved, Path: resolvedFile, Shows: uplinkFile, Format: formatResolved, Reload: reload, Patience: patience,
	}
}

// noted begins a file: what is configured, as JSON.
func noted(static netstate.DNSConfig) string {
	note, _ := json.Marshal(static) // lists of strings always marshal
	return marker + "\n" + config + string(note) + "\n"
}

func formatNetworkManager(static, leased netstate.DNSConfig) (string, error) {
	all := Merge(static, leased)
	text := noted(static) + "[global-dns]\n"
	if len(all.Search) > 0 {
		text += "searches=" + strings.Join(all.Search, ",") + "\n"
	}
	if len(all.Options) > 0 {
		text += "options=" + strings.Join(all.Options, ",") + "\n"
	}
	return text + "[global-dns-domain-*]\nservers=" + strings.Join(all.Server, ",") + "\n", nil
}

// formatResolved asks the servers that are configured about all names, and those that were only leased besides others.
func formatResolved(static, leased netstate.DNSConfig) (string, error) {
	all := Merge(static, leased)
	if len(all.Options) > 0 {
		return "", errors.New("systemd-resolved does not support the options of resolv.conf: leave out dns-resolver.config.options")
	}
	domains := all.Search
	if len(static.Server) > 0 {
		domains = append(slices.Clone(domains), "~.")
	}
	text := noted(static) + "[Resolve]\n"
	if len(all.Server) > 0 {
		text += "DNS=" + strings.Join(all.Server, " ") + "\n"
	}
	if len(domains) > 0 {
		text += "Domains=" + strings.Join(domains, " ") + "\n"
	}
	return text, nil
}

// kept returns the program that keeps the file if it can be told.
func (f File) kept(text string) (Keeper, bool) {
	target, err := os.Readlink(f.inRoot())
	if err != nil {
		target = "" // no link
	}
	name := keeper(target, text)
	n := slices.IndexFunc(f.Keepers, func(k Keeper) bool { return k.Name == name })
	if n < 0 {
		return Keeper{}, false
	}
	return f.Keepers[n], true
}

// told returns what a program was told that is configured. Nothing else of what it knows is.
func (f File) told(k Keeper) (netstate.DNSConfig, error) {
	text, err := read(filepath.Join(f.Root, k.Path))
	if err != nil {
		return netstate.DNSConfig{}, fmt.Errorf("read what %s was told: %w", k.Name, err)
	}
	static, _ := parseNote(text)
	return static, nil
}

// tell tells a program what is configured and what was leased, and waits until it uses that. What it does not use is
// taken back.
func (f File) tell(k Keeper, static, leased netstate.DNSConfig) error {
	path := filepath.Join(f.Root, k.Path)
	before, err := read(path)
	if err != nil {
		return fmt.Errorf("read what %s was told: %w", k.Name, err)
	}
	if empty(static) && empty(leased) {
		return f.untell(k, before)
	}
	more, err := f.knownBefore(k, before, static)
	if err != nil {
		return err
	}
	text, err := k.Format(static, Merge(more, leased))
	if err != nil || text == before {
		return err
	}
	if err := f.tellText(k, text, Merge(Merge(static, more), leased).Server); err != nil {
		back := f.tellText(k, before, nil)
		return errors.Join(fmt.Errorf("tell %s of name servers: %w", k.Name, err), back)
	}
	return nil
}

// knownBefore returns the name servers that a program knew before it was told anything, where it would forget them and
// no others are configured. They are noted the first time.
func (f File) knownBefore(k Keeper, before string, static netstate.DNSConfig) (netstate.DNSConfig, error) {
	if !k.Replaces {
		return netstate.DNSConfig{}, nil
	}
	if before == "" {
		text, err := f.text()
		if err == nil {
			err = replace(f.Original, text)
		}
		if err != nil {
			return netstate.DNSConfig{}, fmt.Errorf("keep the original resolver configuration: %w", err)
		}
	}
	if len(static.Server) > 0 {
		return netstate.DNSConfig{}, nil
	}
	original, err := read(f.Original)
	if err != nil {
		return netstate.DNSConfig{}, fmt.Errorf("read the original resolver configuration: %w", err)
	}
	return *Parse(original).Running, nil
}

// untell has a program forget what it was told.
func (f File) untell(k Keeper, before string) error {
	if before == "" {
		return nil
	}
	if err := f.tellText(k, "", nil); err != nil {
		return fmt.Errorf("take name servers back from %s: %w", k.Name, err)
	}
	if err := os.Remove(f.Original); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the original resolver configuration: %w", err)
	}
	return nil
}

// tellText makes the file of a program have a text, or not be there for "", and waits until it uses these servers.
func (f File) tellText(k Keeper, text string, servers []string) error {
	path := filepath.Join(f.Root, k.Path)
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if text != "" {
		err = replace(path, text)
	}
	if err != nil {
		return err
	}
	if err := k.Reload(); err != nil {
		return err
	}
	return f.await(k, servers)
}

// await waits until a program shows these servers, as many as a resolv.conf has.
func (f File) await(k Keeper, servers []string) error {
	const interval = 100 * time.Millisecond
	servers = servers[:min(len(servers), maxShown)]
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for deadline := time.Now().Add(k.Patience); ; <-ticker.C {
		text, err := f.shown(k)
		if err != nil {
			return err
		}
		used := Parse(text).Running.Server
		missing := slices.DeleteFunc(slices.Clone(servers), func(s string) bool { return slices.Contains(used, s) })
		if len(missing) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it does not use %s", strings.Join(missing, ", "))
		}
	}
}

func (f File) shown(k Keeper) (string, error) {
	if k.Shows == "" {
		return f.text()
	}
	return read(filepath.Join(f.Root, k.Shows))
}
