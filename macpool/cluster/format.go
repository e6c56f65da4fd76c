// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

const (
	// readsAnnotation on the Lease of a replica says how a block may be written so that the replica can read it. The
	// release that wrote a structure for each address has none.
	readsAnnotation = "bridgehead.dev/reads-blocks"
	// readsRows is its value where rows are read, also those of several addresses.
	readsRows = "rows-of-several"
	// formatInterval is how often a replica looks how blocks are to be written.
	formatInterval = 2 * time.Second
	// formatTimeout bounds one look.
	formatTimeout = 10 * time.Second
)

// A Format decides how a replica writes blocks: in rows while every replica that has a Lease reads them and the API
// server takes them, else as the release before this one does. On the way back to that it has all blocks written again.
type Format struct {
	// Client must not read from a cache.
	Client client.Client
	// Namespace holds the Leases of the replicas.
	Namespace string
	// Known are the blocks as this replica knows them.
	Known func() []*macpool.Block
	Clock clock.WithTicker
	Log   logr.Logger

	rows      atomic.Bool
	wrote     time.Time // when rows was last found true; look's alone
	converted bool      // no block has had rows since, nor gets any: what was written then has arrived; look's alone
}

// Rows reports whether blocks are to be written in rows.
func (f *Format) Rows() bool { return f.rows.Load() }

// refuse takes in that the API server did not take rows. The next look finds out whether that is so.
func (f *Format) refuse(err error) {
	f.Log.Info("Writing blocks in the format of the previous release: the API server refuses rows", "error", err.Error())
	f.rows.Store(false)
}

// Run returns when ctx is done.
func (f *Format) Run(ctx context.Context) {
	ticker := f.Clock.NewTicker(formatInterval)
	defer ticker.Stop()
	for {
		if err := f.look(ctx); err != nil && ctx.Err() == nil {
			f.Log.Error(err, "Cannot find out in which format to write blocks; keeping the current one")
		}
		select {
		case <-ticker.C():
		case <-ctx.Done():
			return
		}
	}
}

func (f *Format) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, formatTimeout)
	defer cancel()
	var leases coordinationv1.LeaseList
	err := f.Client.List(ctx, &leases, client.InNamespace(f.Namespace), client.HasLabels{ReplicaLabel})
	if err != nil {
		return fmt.Errorf("list Leases of replicas: %w", err)
	}
	if len(leases.Items) == 0 { // not even this replica has one yet
		return nil
	}
	rows := allReadRows(leases.Items)
	if rows {
		if rows, err = f.takesRows(ctx); err != nil {
			return err
		}
	}
	if f.rows.Swap(rows) {
		f.wrote = f.Clock.Now()
	}
	switch {
	case rows:
		f.converted = false
	case !f.converted:
		late := f.Clock.Since(f.wrote) < ledger.MaxAdmission // a write in rows may be on its way
		none, err := f.writeStructures(ctx, late)
		f.converted = none && !late
		return err
	}
	return nil
}

// allReadRows decides whether blocks may be written in rows.
func allReadRows(replicas []coordinationv1.Lease) bool {
	for _, lease := range replicas {
		if lease.Annotations[readsAnnotation] != readsRows {
			return false
		}
	}
	return true
}

// takesRows asks the API server whether it would take a block in rows: the CRD of an earlier release does not.
func (f *Format) takesRows(ctx context.Context) (bool, error) {
	b := macpool.NewBlock(macpool.Prefix{})
	for i := range byte(2) {
		b.Set(b.Prefix.Address(i), macpool.Entry{Reservation: macpool.Reservation{Replica: "nobody", Since: time.Unix(0, 0)}})
	}
	err := f.Client.Create(ctx, EncodeBlock(b), client.DryRunAll)
	switch {
	case err == nil || apierrors.IsAlreadyExists(err):
		return true, nil
	case apierrors.IsInvalid(err):
		return false, nil
	}
	return false, fmt.Errorf("try whether a block may have rows: %w", err)
}

// writeStructures has every block that has rows written as the release before reads it, and reports whether none is
// left. Where what a block lacks is missed, ledgers are left to write it back: nobody would miss it in a block of
// structures.
func (f *Format) writeStructures(ctx context.Context, missed bool) (none bool, err error) {
	var list v1alpha1.MACBlockList
	if err := f.Client.List(ctx, &list); err != nil {
		return false, fmt.Errorf("list MACBlocks: %w", err)
	}
	known := map[string]*macpool.Block{}
	for _, b := range f.Known() {
		known[b.Prefix.String()] = b
	}
	none = true
	var failed []error
	for i := range list.Items {
		o := &list.Items[i]
		if o.Addresses.Structures != nil {
			continue
		}
		none = false
		failed = append(failed, f.writeStructure(ctx, o, known[o.Name], missed))
	}
	return none, errors.Join(failed...)
}

// writeStructure writes one block. The API server may hide its rows; this replica may know the very state it is in.
func (f *Format) writeStructure(
	ctx context.Context, o *v1alpha1.MACBlock, known *macpool.Block, missed bool,
) error {
	b, err := DecodeBlock(o)
	if b == nil && known != nil && known.Version == o.ResourceVersion {
		b = known
	}
	if b == nil {
		return err
	}
	if b.Lacking && missed {
		return nil
	}
	if err := f.Client.Update(ctx, encodeStructures(b)); err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("write MACBlock %s as the release before this one reads it: %w", o.Name, err)
	}
	return nil
}
