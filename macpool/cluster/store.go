// SPDX-License-Identifier: Apache-2.0

// Package cluster is the ledger's side of the API server: it keeps blocks as MACBlock objects, renews the Lease of a
// replica, and follows MACPools, MACBlocks and the labels of namespaces.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

// A KubeStore keeps blocks as MACBlock objects. Its client must not read from a cache.
type KubeStore struct {
	Client client.Client
	// Format says how blocks are written; nil has them in rows.
	Format *Format
}

var _ ledger.Store = KubeStore{}

// Get implements Store by a quorum read. A block whose rows somebody removed has none, and counts as one that was
// deleted and made anew: what is known of it is written again.
func (s KubeStore) Get(ctx context.Context, p macpool.Prefix) (*macpool.Block, error) {
	b, err := s.read(ctx, p)
	var bare *noRowsError
	if !errors.As(err, &bare) || s.Format == nil {
		return b, err
	}
	if takes, failed := s.Format.takesRows(ctx); failed != nil || !takes { // it may hide them
		return nil, errors.Join(err, failed)
	}
	if b, err = s.read(ctx, p); !errors.As(err, &bare) {
		return b, err
	}
	b = macpool.NewBlock(p)
	b.Version = bare.block.ResourceVersion
	b.ID = string(bare.block.UID) + " without the rows of before " + b.Version
	return b, nil
}

func (s KubeStore) read(ctx context.Context, p macpool.Prefix) (*macpool.Block, error) {
	var o v1alpha1.MACBlock
	err := s.Client.Get(ctx, types.NamespacedName{Name: p.String()}, &o)
	if apierrors.IsNotFound(err) {
		return macpool.NewBlock(p), nil
	}
	if err != nil {
		return nil, fmt.Errorf("get MACBlock %s: %w", p, err)
	}
	b, err := DecodeBlock(&o)
	if b == nil {
		return nil, err
	}
	// The feed tells of rows that cannot be read; the next write leaves out those whose address cannot be read either.
	return b, nil
}

// Put implements Store by a create or an update with resourceVersion.
func (s KubeStore) Put(ctx context.Context, b *macpool.Block) (*macpool.Block, error) {
	o := s.encode(b)
	err := s.write(ctx, o)
	if apierrors.IsInvalid(err) && s.Format != nil && s.Format.Rows() {
		s.Format.refuse(err)
		o = encodeStructures(b)
		err = s.write(ctx, o)
	}
	// A block that was deleted since it was read is not found, or found with another UID.
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("put MACBlock %s: %w", b.Prefix, macpool.ErrConflict)
	}
	if tooLarge(err) {
		return nil, fmt.Errorf("put MACBlock %s: %w: %w", b.Prefix, macpool.ErrTooLarge, err)
	}
	if err != nil {
		return nil, fmt.Errorf("put MACBlock %s: %w", b.Prefix, err)
	}
	written := b.Clone()
	written.Version, written.ID = o.ResourceVersion, string(o.UID)
	return written, nil
}

func (s KubeStore) encode(b *macpool.Block) *v1alpha1.MACBlock {
	if s.Format != nil && !s.Format.Rows() {
		return encodeStructures(b)
	}
	return EncodeBlock(b)
}

func (s KubeStore) write(ctx context.Context, o *v1alpha1.MACBlock) error {
	if o.ResourceVersion == "" {
		return s.Client.Create(ctx, o)
	}
	return s.Client.Update(ctx, o)
}

// tooLarge reports whether the API server or etcd refused an object for its size. What etcd says comes as an internal
// error.
func tooLarge(err error) bool {
	return apierrors.IsRequestEntityTooLargeError(err) ||
		err != nil && strings.Contains(err.Error(), "request is too large")
}
