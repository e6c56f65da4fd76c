// SPDX-License-Identifier: Apache-2.0

// Package binaries compiles the programs of a Kubernetes control plane, and those of a node, from their Go
// modules and keeps them in the user's cache folder: a test needs no download of binaries, no container
// and no root.
//
// The versions are those of the go.mod files that pinnedModules names. Binaries live in a folder named by
// them, so that all clones and all test packages of one user share one build.
package binaries

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Options says where Ensure finds the modules, where it puts the binaries and whom it tells. The zero
// Options is complete: it serves a caller whose working folder is inside the repository.
type Options struct {
	// Set is what is provided: ControlPlane or Node.
	Set Set
	// Cache is the folder that holds everything we keep between runs. Empty means CacheDir().
	Cache string
	// Modules is the folder below which the go.mod files are. Empty means e2e of the repository around
	// the working folder.
	Modules string
	// Out is told, in lines a person reads, what is built, how long it takes and who is waited for.
	// It stays silent when there is nothing to do. Nil means os.Stderr.
	Out io.Writer
}

// assetsDir returns the folder of programs that exist, by the environment variable that envtest has made usual for it.
func assetsDir() string {
	return os.Getenv("KUBEBUILDER_ASSETS") //nolint:forbidigo // see CacheDir
}

// CacheDir returns where binaries, and the data of running control planes, live: the folder of the
// environment variable BRIDGEHEAD_CACHE, else bridgehead in the user's cache folder.
//
// It is the one place outside the main packages that reads the environment: `go test` gives a test
// package no other way to be told by the person who runs it.
func CacheDir() (string, error) {
	if dir := os.Getenv("BRIDGEHEAD_CACHE"); dir != "" { //nolint:forbidigo // see the comment above
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	return filepath.Join(dir, "bridgehead"), nil
}

// Ensure returns the folder that holds the programs of a set, having built those that are missing or
// damaged. Programs whose version fits are taken from the folder of the environment variable
// KUBEBUILDER_ASSETS, and a kubectl from the search path, instead of being built. It says at once what it builds and
// how long all of that takes. The first build takes minutes; afterwards Ensure costs a few stat calls.
//
// It may be interrupted at any point and called by several processes at once: a binary appears under its
// name only when it is complete, one process builds and the others wait. Cancelling ctx ends the build.
func Ensure(ctx context.Context, o Options) (string, error) {
	b, err := newBuilder(o)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return "", fmt.Errorf("make the folder of binaries: %w", err)
	}
	return b.dir, b.ensure(ctx)
}

// A builder fills one folder with the binaries of its targets.
type builder struct {
	dir     string
	assets  string // a folder of programs to take rather than build; empty means none
	targets []target
	out     io.Writer
}

// newBuilder resolves the options to a folder and the list of what belongs in it.
func newBuilder(o Options) (*builder, error) {
	if o.Out == nil {
		o.Out = os.Stderr
	}
	if o.Cache == "" {
		dir, err := CacheDir()
		if err != nil {
			return nil, err
		}
		o.Cache = dir
	}
	if o.Modules == "" {
		dir, err := findModules()
		if err != nil {
			return nil, err
		}
		o.Modules = dir
	}
	label := make([]string, 0, 3)
	targets := make([]target, 0, 5)
	for _, m := range pinnedModules(o.Set) {
		version, err := pinnedVersion(filepath.Join(o.Modules, m.folder, "go.mod"), m.path)
		if err != nil {
			return nil, err
		}
		label = append(label, filepath.Base(m.folder)+"-"+version)
		targets = append(targets, m.targets(o.Modules, version)...)
	}
	label = append(label, runtime.GOOS+"-"+runtime.GOARCH)
	assets := ""
	if o.Set == ControlPlane {
		assets = assetsDir()
	}
	if assets != "" {
		sum := sha256.Sum256([]byte(assets))
		label = append(label, "assets-"+hex.EncodeToString(sum[:4]))
	}
	dir, err := filepath.Abs(filepath.Join(o.Cache, "binaries", strings.Join(label, "_")))
	if err != nil {
		return nil, fmt.Errorf("resolve the cache folder: %w", err)
	}
	return &builder{dir: dir, assets: assets, targets: targets, out: &lines{to: o.Out}}, nil
}

// ensure builds what is missing, unless another process does so first.
func (b *builder) ensure(ctx context.Context) error {
	missing, err := b.missing()
	if err != nil || len(missing) == 0 {
		return err
	}
	unlock, err := Lock(ctx, filepath.Join(b.dir, ".lock"), func() {
		b.say("another process builds %s in %s: waiting for it", list(missing), b.dir)
	})
	if err != nil {
		return fmt.Errorf("lock the folder of binaries: %w", err)
	}
	defer unlock()
	if missing, err = b.missing(); err != nil {
		return err
	}
	if err := b.removeUnfinished(); err != nil {
		return err
	}
	if missing, err = b.withoutExisting(ctx, missing); err != nil {
		return err
	}
	if len(missing) > 1 {
		b.say("building %s from their modules into %s: about %s on 2 cores, once", list(missing), b.dir, total(missing))
	}
	for i, t := range missing {
		if err := b.build(ctx, t, fmt.Sprintf("%d of %d", i+1, len(missing))); err != nil {
			return fmt.Errorf("build %s %s: %w", t.name, t.version, err)
		}
	}
	return nil
}

// withoutExisting takes what is on this machine already, and returns what is to be built.
func (b *builder) withoutExisting(ctx context.Context, missing []target) (rest []target, err error) {
	for _, t := range missing {
		taken, err := b.takeExisting(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("take %s: %w", t.name, err)
		}
		if !taken {
			rest = append(rest, t)
		}
	}
	return rest, nil
}

// list names targets, for a person.
func list(targets []target) string {
	all := make([]string, len(targets))
	for i, t := range targets {
		all[i] = t.name
	}
	return strings.Join(all, ", ")
}

// total returns how long targets take, one after another.
func total(targets []target) (sum time.Duration) {
	for _, t := range targets {
		sum += t.takes
	}
	return sum.Round(time.Second)
}

// missing lists the targets that have no binary, or one that does not match its checksum.
func (b *builder) missing() ([]target, error) {
	var missing []target
	for _, t := range b.targets {
		err := verify(filepath.Join(b.dir, t.name))
		switch {
		case err == nil:
			continue
		case errors.Is(err, errDamaged):
			b.say("%s is damaged: building it again", filepath.Join(b.dir, t.name))
		case !errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("verify %s: %w", t.name, err)
		}
		missing = append(missing, t)
	}
	return missing, nil
}

// removeUnfinished deletes what interrupted builds left. Only the holder of the lock may call it.
func (b *builder) removeUnfinished() error {
	left, err := filepath.Glob(filepath.Join(b.dir, unfinishedPrefix+"*"))
	if err != nil {
		return fmt.Errorf("list unfinished builds: %w", err)
	}
	for _, path := range left {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove an unfinished build: %w", err)
		}
	}
	return nil
}

// say writes one line to whoever waits. That nobody reads it is no reason to stop building.
func (b *builder) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.out, format+"\n", args...)
}

// A lines lets the builder, its heartbeat and the go command write to one writer.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

// Write passes on p as a whole.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}
