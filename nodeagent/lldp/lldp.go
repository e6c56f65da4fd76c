// SPDX-License-Identifier: Apache-2.0

// Package lldp listens on links for neighbours that announce themselves by LLDP (IEEE 802.1AB), such as the switch that
// a NIC is plugged into. It announces nothing.
//
// decode reads an announcement and a table keeps those that are still valid; neither has a clock or a socket. Listeners
// is the shell: one goroutine and one socket a link, for the links that steps of kind netstate.StepLLDP name.
package lldp

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/go-logr/logr"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// A Network tells when its links change, as a *kernel.Kernel does. It is the network of the process.
type Network interface {
	Watch(ctx context.Context) (<-chan kernel.Change, error)
}

// Options are what Listeners need.
type Options struct {
	Network Network
	// Folder keeps which links are listened to. It is made when needed.
	Folder string
	// Boot names the boot of the machine: what was listened to in another is not resumed.
	Boot string
	Log  logr.Logger
}

// Listeners are what a node listens to. Its methods may be called from several goroutines. They begin to listen when a
// step says so; only what changes about their links is not seen before Run.
type Listeners struct {
	Options
	store   store
	changed chan struct{}

	// mu guards what follows. Methods whose names end in Locked are called with it held, the others without.
	mu sync.Mutex
	// running has the listeners by their links.
	running map[string]*listener
	closed  bool
}

// New returns Listeners that listen to nothing yet.
func New(o Options) *Listeners {
	return &Listeners{
		Options: o, store: store{o.Folder, o.Boot}, changed: make(chan struct{}, 1), running: map[string]*listener{},
	}
}

// Resume listens again where the process before this one did, on this boot of the machine. Call it before anything
// else.
func (l *Listeners) Resume() error {
	links, err := l.store.load()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, link := range links {
		l.listenLocked(link)
	}
	return nil
}

// Do carries out a step of kind netstate.StepLLDP and ignores all others. It waits for nothing: a link that does not
// exist, or has no carrier, is listened to once it does.
func (l *Listeners) Do(step netstate.Step) error {
	if step.Kind != netstate.StepLLDP {
		return nil
	}
	on := step.To.Link.Listens()
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.running[step.Link]; l.closed || on == (old != nil) {
		return nil
	}
	links := map[string]bool{}
	for link := range l.running {
		links[link] = true
	}
	links[step.Link] = on
	maps.DeleteFunc(links, func(_ string, listens bool) bool { return !listens })
	if err := l.store.save(slices.Sorted(maps.Keys(links))); err != nil {
		return fmt.Errorf("listen for neighbours on %s: %w", step.Link, err)
	}
	if on {
		l.listenLocked(step.Link)
		return nil
	}
	l.running[step.Link].stop()
	delete(l.running, step.Link)
	l.announce()
	return nil
}

func (l *Listeners) listenLocked(link string) {
	next := &listener{link: link, changed: l.announce, log: l.Log}
	l.running[link] = next
	next.start()
	l.announce()
}

// Neighbors returns whom a link has heard of lately, and whether it is listened to.
func (l *Listeners) Neighbors(link string) (neighbors netstate.LLDPNeighbors, listening bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.running[link]
	if one == nil {
		return nil, false
	}
	if shown := one.shown.Load(); shown != nil {
		neighbors = *shown
	}
	return neighbors, true
}

// Links are those that are listened to, sorted.
func (l *Listeners) Links() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.running))
}

// Changed yields a value after Neighbors or Links have changed; several changes may yield one value.
func (l *Listeners) Changed() <-chan struct{} { return l.changed }

// announce makes Changed yield. It never blocks.
func (l *Listeners) announce() {
	select {
	case l.changed <- struct{}{}:
	default: // a value is waiting
	}
}

// Run tells the listeners what happens to their links until ctx is done, and then stops them. Where they listened is
// kept, for the next start. It is run once.
func (l *Listeners) Run(ctx context.Context) error {
	defer l.close()
	for ctx.Err() == nil {
		changes, err := l.Network.Watch(ctx)
		if err != nil {
			return fmt.Errorf("watch the links that are listened to: %w", err)
		}
		l.nudge(kernel.Change{Overrun: true}) // what happened before the watch
		for change := range changes {
			l.nudge(change)
		}
	}
	return nil
}

// nudge wakes the listeners that a change may concern.
func (l *Listeners) nudge(change kernel.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for link, one := range l.running {
		if change.Overrun || change.Links[link] {
			one.nudge()
		}
	}
}

// close stops all listeners for good.
func (l *Listeners) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, one := range l.running {
		one.stop()
	}
	l.running = map[string]*listener{}
}
