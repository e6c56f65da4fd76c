package macpool

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
)

// A KubeStore keeps blocks as MACBlock objects. Its client must not read from a cache.
type KubeStore struct {
	Client client.Client
}

var _ Store = KubeStore{}

// Get implements Store by a quorum read.
func (s KubeStore) Get(ctx context.Context, p Prefix) (*Block, error) {
	var o v1alpha1.MACBlock
	err := s.Client.Get(ctx, types.NamespacedName{Name: p.String()}, &o)
	if apierrors.IsNotFound(err) {
		return NewBlock(p), nil
	}
	if err != nil {
		return nil, fmt.Errorf("get MACBlock %s: %w", p, err)
	}
	return DecodeBlock(&o)
}

// Put implements Store by a create or an update with resourceVersion.
func (s KubeStore) Put(ctx context.Context, b *Block) (*Block, error) {
	o := EncodeBlock(b)
	err := s.write(ctx, o)
	// A block that was deleted since it was read is not found, or found with another UID.
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("put MACBlock %s: %w", b.Prefix, ErrConflict)
	}
	if err != nil {
		return nil, fmt.Errorf("put MACBlock %s: %w", b.Prefix, err)
	}
	written := b.Clone()
	written.Version = o.ResourceVersion
	return written, nil
}

func (s KubeStore) write(ctx context.Context, o *v1alpha1.MACBlock) error {
	if o.ResourceVersion == "" {
		return s.Client.Create(ctx, o)
	}
	return s.Client.Update(ctx, o)
}
