// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

// measureIdle measures what an agent does of a node that is as so many policies want, a VLAN with a bridge each, when
// something wakes it: it reads the node and finds nothing to heal. The batches only read the node.
func (b *bench) measureIdle(ctx context.Context, policies int) error {
	dir, err := os.MkdirTemp("", "journal-")
	if err != nil {
		return fmt.Errorf("make room for a journal: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	keeper, err := b.keeper(ctx, dir, policies)
	if err != nil {
		return err
	}
	for range b.options.Rounds {
		cost, err := measured(func() error {
			healed, _ := keeper.Heal()
			if len(healed) > 0 {
				return fmt.Errorf("the node was not idle: policy %s was healed", healed[0].Policy)
			}
			return nil
		})
		if err != nil {
			return err
		}
		batches, err := dump(dir)
		if err != nil {
			return err
		}
		b.report.add("idle pass", 2*policies, cost, batches)
	}
	gone := wish(policies)
	for n := range gone.Interfaces {
		gone.Interfaces[n] = netstate.Interface{Name: gone.Interfaces[n].Name, State: netstate.StateAbsent}
	}
	_, err = b.apply(gone)
	return err
}

// keeper is one that has applied so many policies.
func (b *bench) keeper(ctx context.Context, dir string, policies int) (*nodeagent.Keeper, error) {
	j, err := journal.Open(filepath.Join(dir, "state"))
	if err != nil {
		return nil, err
	}
	k := &nodeagent.Keeper{Node: b.kernel, Journal: j, Boot: "this", Clock: clock.RealClock{}, Log: logr.Discard()}
	if err := k.Restore(); err != nil {
		return nil, err
	}
	all := wish(policies).Interfaces
	if _, err := b.apply(wish(policies)); err != nil {
		return nil, err
	}
	var failed []error
	for n := range policies {
		desired := journal.State{Interfaces: all[2*n : 2*n+2]}
		failed = append(failed, k.Apply(ctx, journal.Record{
			Policy: fmt.Sprintf("p%d", n), Generation: 1, Heal: true, Desired: desired,
		}))
	}
	return k, errors.Join(failed...)
}

// dump has ip and bridge read what a pass reads, and returns how long that took.
func dump(dir string) (time.Duration, error) {
	batches := []struct{ program, option, lines string }{
		{"ip", "-d", "link show\naddress show\nroute show table all\nrule show\n"},
		{"ip", "-6", "route show table all\nrule show\n"},
		{"bridge", "-d", "vlan show\nfdb show\n"},
	}
	for n := range batches {
		file := filepath.Join(dir, fmt.Sprintf("dump%d", n))
		if err := os.WriteFile(file, []byte(batches[n].lines), 0o600); err != nil {
			return 0, fmt.Errorf("write a batch: %w", err)
		}
	}
	began := time.Now()
	for n, batch := range batches {
		if err := program(batch.program, batch.option, "-batch", filepath.Join(dir, fmt.Sprintf("dump%d", n))); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}
