// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// ReadsAnnotation on the Lease of a replica says how a block may be written so that the replica can read it. The
	// release that wrote a structure for each address has none.
	ReadsAnnotation = "bridgehead.dev/reads-blocks"
	// readsRows is its value where rows are read.
	readsRows = "rows"
	// formatInterval is how often a replica looks whether all others read rows.
	formatInterval = time.Second
	formatTimeout  = 3 * time.Second
)

// A Format decides how a replica writes blocks: in rows as soon as every replica that has a Lease reads them, and so on
// from then on. One that comes later and does not read rows refuses the blocks.
type Format struct {
	// Reader must not be a cache.
	Reader client.Reader
	// Namespace holds the Leases of the replicas.
	Namespace string
	Clock     clock.WithTicker
	Log       logr.Logger

	rows atomic.Bool
}

// Rows reports whether blocks are to be written in rows.
func (f *Format) Rows() bool { return f.rows.Load() }

// Run returns when blocks are written in rows, or when ctx is done.
func (f *Format) Run(ctx context.Context) {
	ticker := f.Clock.NewTicker(formatInterval)
	defer ticker.Stop()
	for {
		if err := f.look(ctx); err != nil && ctx.Err() == nil {
			f.Log.Error(err, "Blocks are written as the release before this one reads them, until it is known who reads them")
		}
		if f.Rows() {
			return
		}
		select {
		case <-ticker.C():
		case <-ctx.Done():
			return
		}
	}
}

// look lists the Leases by a consistent read.
func (f *Format) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, formatTimeout)
	defer cancel()
	var leases coordinationv1.LeaseList
	err := f.Reader.List(ctx, &leases, client.InNamespace(f.Namespace), client.HasLabels{ReplicaLabel})
	if err != nil {
		return fmt.Errorf("list Leases of replicas: %w", err)
	}
	f.rows.Store(allReadRows(leases.Items))
	return nil
}

// allReadRows decides whether blocks may be written in rows. While no replica has a Lease, not even this one, nothing
// is known.
func allReadRows(replicas []coordinationv1.Lease) bool {
	for _, lease := range replicas {
		if lease.Annotations[ReadsAnnotation] != readsRows {
			return false
		}
	}
	return len(replicas) > 0
}
