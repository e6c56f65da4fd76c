// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// A field is the cluster, and what has been seen in it.
type field struct {
	options Options
	suite   *suite.Suite
	mutator *suite.Mutator

	mu sync.Mutex
	// done and failed count the operations of clients, by what they did, and failures by their reason.
	done, failed map[string]int
	// faults counts what was done to the cluster.
	faults map[string]int
	// lastCreated is when a client last succeeded in creating something; outage is the longest time without.
	lastCreated time.Time
	outage      time.Duration
}

// manifests are two namespaces, each of which draws from a pool of its own: both pools have the same range.
const manifests = `
apiVersion: v1
kind: Namespace
metadata:
  name: first
  labels: {mutatevirtualmachines.kubemacpool.io: allocate, mutatepods.kubemacpool.io: allocate}
---
apiVersion: v1
kind: Namespace
metadata:
  name: second
  labels: {mutatevirtualmachines.kubemacpool.io: allocate, mutatepods.kubemacpool.io: allocate, pool: second}
---
apiVersion: bridgehead.dev/v1alpha1
kind: MACPool
metadata: {name: first}
spec:
  ranges: [{start: "02:c0:a5:00:00:00", end: "02:c0:a5:00:ff:ff"}]
---
apiVersion: bridgehead.dev/v1alpha1
kind: MACPool
metadata: {name: second}
spec:
  ranges: [{start: "02:c0:a5:00:00:00", end: "02:c0:a5:00:ff:ff"}]
  namespaceSelector: {matchLabels: {pool: second}}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: l2, namespace: first}
spec: {config: '{"cniVersion": "0.3.1", "name": "l2", "type": "bridge", "bridge": "br0"}'}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: l2, namespace: second}
spec: {config: '{"cniVersion": "0.3.1", "name": "l2", "type": "bridge", "bridge": "br0"}'}
`

func newField(ctx context.Context, o Options) (*field, error) {
	s, err := suite.Start(ctx, suite.Options{
		Replicas: o.Replicas, ControlPlane: controlplane.Options{UnsafeNoFsync: true},
		Skews: []time.Duration{0, o.Skew, -o.Skew},
	})
	if err != nil {
		return nil, err
	}
	f := &field{
		options: o, suite: s,
		done: map[string]int{}, failed: map[string]int{}, faults: map[string]int{},
	}
	if _, err := s.KubectlInput(ctx, manifests, "apply", "-f", "-"); err != nil {
		f.stop()
		return nil, err
	}
	if f.mutator, err = s.StartMutator(ctx, "first", "second"); err != nil {
		f.stop()
		return nil, err
	}
	return f, nil
}

func (f *field) stop() {
	if f.mutator != nil {
		f.mutator.Close()
	}
	_ = f.suite.Stop() // it is a scratch cluster
}

// work has clients, faults and the look-out for duplicates go on until ctx ends; the first duplicate ends them all.
func (f *field) work(ctx context.Context) error {
	f.lastCreated = time.Now()
	all, working := errgroup.WithContext(ctx)
	for n := range f.options.Clients {
		all.Go(func() error { f.serveClient(working, n); return nil })
	}
	all.Go(func() error { return f.wreak(working) })
	all.Go(func() error { return f.watchForDuplicates(working) })
	return all.Wait()
}

// note counts an operation of a client.
func (f *field) note(what string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.failed[reasonOf(err)]++
		return
	}
	f.done[what]++
	if what == vmCreated || what == podCreated {
		f.outage = max(f.outage, time.Since(f.lastCreated))
		f.lastCreated = time.Now()
	}
}

func (f *field) noteFault(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[what]++
}

// report prints what happened.
func (f *field) report(w io.Writer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, part := range []struct {
		title  string
		counts map[string]int
	}{{"operations", f.done}, {"failures that clients saw", f.failed}, {"faults", f.faults}} {
		fmt.Fprintf(w, "%s:\n", part.title)
		for _, what := range slices.Sorted(maps.Keys(part.counts)) {
			fmt.Fprintf(w, "  %6d  %s\n", part.counts[what], what)
		}
	}
	fmt.Fprintf(w, "longest time in which nothing could be created: %s\n", f.outage.Round(100*time.Millisecond))
}
