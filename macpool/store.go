package macpool

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
)

// A Store keeps blocks and lets a block change only from the version it was read at.
type Store interface {
	// Get is the latest state of a block; a block that is not stored has no entries and no version.
	Get(ctx context.Context, p Prefix) (*Block, error)
	// Put writes a block and returns it with its new version. It fails with ErrConflict, and writes nothing, if the
	// stored block has another version than b.
	Put(ctx context.Context, b *Block) (*Block, error)
}

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
	o := b.Encode()
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

// A MemoryStore is a Store for tests and benchmarks: it keeps blocks in memory and refuses what the API server
// refuses. The zero MemoryStore is empty and ready; it may be shared by several ledgers.
type MemoryStore struct {
	// Watch, if set, is called with each new state, in order.
	Watch func(*Block)
	// Fail, if set, is asked before each call whether that is to fail.
	Fail func(op string, p Prefix) error

	mu     sync.Mutex
	last   uint64
	puts   int
	blocks map[Prefix]*Block
}

var _ Store = (*MemoryStore)(nil)

// Get implements Store.
func (s *MemoryStore) Get(_ context.Context, p Prefix) (*Block, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail("get", p); err != nil {
		return nil, err
	}
	if b, ok := s.blocks[p]; ok {
		return b.Clone(), nil
	}
	return NewBlock(p), nil
}

// Put implements Store.
func (s *MemoryStore) Put(_ context.Context, b *Block) (*Block, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail("put", b.Prefix); err != nil {
		return nil, err
	}
	var stored string
	if old, ok := s.blocks[b.Prefix]; ok {
		stored = old.Version
	}
	if stored != b.Version {
		return nil, ErrConflict
	}
	if s.blocks == nil {
		s.blocks = map[Prefix]*Block{}
	}
	s.last++
	s.puts++
	written := b.Clone()
	written.Version = strconv.FormatUint(s.last, 10)
	s.blocks[b.Prefix] = written
	if s.Watch != nil {
		s.Watch(written.Clone())
	}
	return written.Clone(), nil
}

// Blocks is a copy of all that is stored.
func (s *MemoryStore) Blocks() []*Block {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Block
	for _, b := range s.blocks {
		all = append(all, b.Clone())
	}
	return all
}

// Puts is the number of writes that succeeded.
func (s *MemoryStore) Puts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.puts
}

func (s *MemoryStore) fail(op string, p Prefix) error {
	if s.Fail == nil {
		return nil
	}
	return s.Fail(op, p)
}
