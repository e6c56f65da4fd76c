// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"maps"
	"strconv"
	"sync"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A MemoryStore is a Store for tests and benchmarks: it keeps blocks in memory and refuses what the API server
// refuses. The zero MemoryStore is empty and ready; it may be shared by several ledgers.
type MemoryStore struct {
	// Watch, if set, is called with each new state, in order.
	Watch func(*macpool.Block)
	// Deleted, if set, is called with each block that was deleted, and the version of that.
	Deleted func(p macpool.Prefix, version string)

	// mu guards what follows. Methods whose names end in Locked are called with it held, the others without.
	mu     sync.Mutex
	failed func(op string, p macpool.Prefix) error
	last   uint64
	puts   int
	blocks map[macpool.Prefix]*macpool.Block
}

var _ Store = (*MemoryStore)(nil)

// Get implements Store.
func (s *MemoryStore) Get(_ context.Context, p macpool.Prefix) (*macpool.Block, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failLocked("get", p); err != nil {
		return nil, err
	}
	if b, ok := s.blocks[p]; ok {
		return b.Clone(), nil
	}
	return macpool.NewBlock(p), nil
}

// Put implements Store.
func (s *MemoryStore) Put(_ context.Context, b *macpool.Block) (*macpool.Block, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failLocked("put", b.Prefix); err != nil {
		return nil, err
	}
	var stored string
	if old, ok := s.blocks[b.Prefix]; ok {
		stored = old.Version
	}
	if stored != b.Version {
		return nil, macpool.ErrConflict
	}
	if s.blocks == nil {
		s.blocks = map[macpool.Prefix]*macpool.Block{}
	}
	s.last++
	s.puts++
	written := b.Clone()
	written.Version = strconv.FormatUint(s.last, 10)
	if stored == "" {
		written.ID = "made at " + written.Version
	}
	s.blocks[b.Prefix] = written
	if s.Watch != nil {
		s.Watch(written.Clone())
	}
	return written.Clone(), nil
}

// Delete removes a block, as somebody may do by hand.
func (s *MemoryStore) Delete(p macpool.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blocks, p)
	s.last++
	if s.Deleted != nil {
		s.Deleted(p, strconv.FormatUint(s.last, 10))
	}
}

// A Snapshot is all that a MemoryStore has at one moment.
type Snapshot struct {
	last   uint64
	blocks map[macpool.Prefix]*macpool.Block
}

// Snapshot saves what is stored.
func (s *MemoryStore) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Snapshot{last: s.last, blocks: maps.Clone(s.blocks)}
}

// Restore makes the store what it was, versions included, as a restore of etcd does. A watch tells of the difference as
// one does that has to begin again: of blocks that are there, and of those that are not by their last state.
func (s *MemoryStore) Restore(to Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.blocks
	s.last, s.blocks = to.last, maps.Clone(to.blocks)
	for p, b := range before {
		if _, there := s.blocks[p]; !there && s.Deleted != nil {
			s.Deleted(p, b.Version)
		}
	}
	for _, b := range s.blocks {
		if s.Watch != nil {
			s.Watch(b.Clone())
		}
	}
}

// Blocks returns a copy of all that is stored.
func (s *MemoryStore) Blocks() []*macpool.Block {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*macpool.Block
	for _, b := range s.blocks {
		all = append(all, b.Clone())
	}
	return all
}

// Puts returns the number of writes that succeeded.
func (s *MemoryStore) Puts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.puts
}

// Fail has failed asked, before each call from now on, whether that is to fail; nil ends that. It must not be called
// while an earlier one is being asked.
func (s *MemoryStore) Fail(failed func(op string, p macpool.Prefix) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = failed
}

func (s *MemoryStore) failLocked(op string, p macpool.Prefix) error {
	if s.failed == nil {
		return nil
	}
	return s.failed(op, p)
}
