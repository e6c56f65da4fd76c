// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

const (
	// base is the card that carries the VLANs.
	base = "eth1"
	// accessTag is the VLAN of every bridge's port.
	accessTag = 100
)

// A bench measures on the kernel it runs on.
type bench struct {
	options Options
	kernel  *kernel.Kernel
	report  report
}

func newBench(o Options) (*bench, error) {
	k, err := kernel.Open()
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, kernel: k}
	_, err = b.apply(netstate.State{Interfaces: []netstate.Interface{{Name: base, State: netstate.StateUp}}})
	return b, err
}

// names returns those of the n-th VLAN and its bridge.
func names(n int) (vlan, bridge string) {
	return fmt.Sprintf("%s.%d", base, n+1), fmt.Sprintf("br%d", n+1)
}

// wish returns a desired state of size VLANs with a bridge each, that keeps its port apart.
func wish(size int) netstate.State {
	var s netstate.State
	for n := range size {
		vlan, bridge := names(n)
		access := &netstate.PortVLAN{Mode: new(netstate.ModeAccess), Tag: new(accessTag)}
		s.Interfaces = append(s.Interfaces,
			netstate.Interface{Name: vlan, Type: netstate.TypeVLAN, State: netstate.StateUp,
				VLAN: &netstate.VLAN{BaseIface: new(base), ID: new(n + 1)}},
			netstate.Interface{Name: bridge, Type: netstate.TypeBridge, State: netstate.StateUp,
				Bridge: &netstate.Bridge{Port: []netstate.BridgePort{{Name: vlan, VLAN: access}}}})
	}
	return s
}

// apply plans and carries out a desired state, and returns the steps.
func (b *bench) apply(desired netstate.State) ([]netstate.Step, error) {
	current, err := b.kernel.Read()
	if err != nil {
		return nil, err
	}
	steps, err := netstate.Plan(current, desired)
	if err != nil {
		return nil, err
	}
	return steps, kernel.Apply(b.kernel, steps)
}

// measure measures everything at one size, in rounds.
func (b *bench) measure(size int) error {
	dir, err := os.MkdirTemp("", "batch-")
	if err != nil {
		return fmt.Errorf("make room for batches: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	theirs, err := newBatch(dir, size)
	if err != nil {
		return err
	}
	for range b.options.Rounds {
		if err := errors.Join(b.measureRead(size), b.measureApply(size, theirs)); err != nil {
			return err
		}
	}
	return nil
}

// measureRead measures reading a node that has size interfaces more than its own.
func (b *bench) measureRead(size int) error {
	steps, err := b.apply(wish(size / 2))
	if err != nil {
		return err
	}
	cost, err := measured(func() error {
		_, err := b.kernel.Read()
		return err
	})
	if err != nil {
		return err
	}
	b.report.add("read", size, cost, 0)
	return kernel.Undo(b.kernel, steps)
}

// measureApply measures planning and applying, and the batches that do the same, each on a bare node.
func (b *bench) measureApply(size int, theirs batch) error {
	bare, err := b.kernel.Read()
	if err != nil {
		return err
	}
	desired, steps := wish(size), []netstate.Step(nil)
	cost, err := measured(func() (err error) {
		steps, err = netstate.Plan(bare, desired)
		return err
	})
	if err != nil {
		return err
	}
	b.report.add("plan", 2*size, cost, 0)
	cost, err = measured(func() error { return kernel.Apply(b.kernel, steps) })
	if err != nil {
		return err
	}
	reached, err := b.kernel.Read()
	if err != nil {
		return err
	}
	if err := kernel.Undo(b.kernel, steps); err != nil {
		return err
	}
	batches, err := theirs.apply()
	if err != nil {
		return err
	}
	b.report.add("apply", 2*size, cost, batches)
	same, err := b.kernel.Read()
	if err != nil {
		return err
	}
	if !netstate.Equal(reached, same) {
		return errors.New("the batches do not lead where the plan leads: the comparison is worth nothing")
	}
	return kernel.Undo(b.kernel, steps)
}

// A cost is what one run of something took.
type cost struct {
	time           time.Duration
	allocs, memory uint64
}

// measured runs f and returns its cost.
func measured(f func() error) (cost, error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	err := f()
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	return cost{time: took, allocs: after.Mallocs - before.Mallocs, memory: after.TotalAlloc - before.TotalAlloc}, err
}
