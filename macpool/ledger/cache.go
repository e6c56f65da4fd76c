// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A blockCache is this process's copy of the stored blocks, kept up by watch events and by the process's own writes.
// What it says may be old; every decision that gives an address away is checked against the store. The blocks in it are
// never changed, only replaced.
type blockCache struct {
	clock clock.PassiveClock

	// mu guards what follows. Methods whose names end in Locked are called with it held, the others without.
	mu     sync.RWMutex
	blocks map[macpool.Prefix]*macpool.Block
	// lost are the last states of blocks that somebody deleted although they had entries. They go into the next write.
	lost map[macpool.Prefix]*macpool.Block
	// silent is since when the watch has not told of what reads of a block show that somebody did to its known state.
	silent   map[macpool.Prefix]time.Time
	byObject map[macpool.Object]map[macpool.MAC]string // to the interface's name
	total    int                                       // addresses that are not free
	changed  chan struct{}                             // closed at the next change
}

func newBlockCache(c clock.PassiveClock) *blockCache {
	return &blockCache{
		clock:    c,
		blocks:   map[macpool.Prefix]*macpool.Block{},
		lost:     map[macpool.Prefix]*macpool.Block{},
		silent:   map[macpool.Prefix]time.Time{},
		byObject: map[macpool.Object]map[macpool.MAC]string{},
		changed:  make(chan struct{}),
	}
}

// put notes a state of a block and says whether it was news: an older state than the one known is not. If the block was
// deleted and made anew meanwhile, or somebody removed rows from it, what it had is lost, and kept aside.
func (k *blockCache) put(b *macpool.Block) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	old := k.blocks[b.Prefix]
	if old != nil && !newer(b.Version, old.Version) {
		return false
	}
	if old != nil && old.ID != "" && b.ID != "" && old.ID != b.ID {
		k.loseLocked(old)
	}
	if b.Lacking && old != nil {
		k.loseLocked(old.WithoutUnread())
	} else if old != nil {
		k.loseLocked(b.Moved(old))
	}
	b.StampSeen(old, k.clock.Now())
	k.replaceLocked(b.Prefix, old, b)
	return true
}

// forget notes that a block was deleted, unless a newer state of it is known, and says whether it is forgotten. What it
// had is lost then, and kept aside.
func (k *blockCache) forget(p macpool.Prefix, version string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	old := k.blocks[p]
	if old != nil && newer(old.Version, version) {
		return false
	}
	if old == nil {
		return true
	}
	k.replaceLocked(p, old, nil)
	k.loseLocked(old)
	return true
}

// loseLocked keeps aside what a block had that was deleted.
func (k *blockCache) loseLocked(b *macpool.Block) {
	if b == nil || b.Len() == 0 {
		return // as the janitor deletes them
	}
	lost := b.Clone()
	if before := k.lost[b.Prefix]; before != nil {
		lost.Restore(before)
	}
	k.lost[b.Prefix] = lost
}

// base returns what a write of a block begins with: its state as this process knows it, and the state that somebody
// deleted, nil if nobody did.
func (k *blockCache) base(p macpool.Prefix) (known, lost *macpool.Block) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.blockLocked(p), k.lost[p]
}

func (k *blockCache) blockLocked(p macpool.Prefix) *macpool.Block {
	if known := k.blocks[p]; known != nil {
		return known
	}
	return macpool.NewBlock(p)
}

// isLost reports whether a block has lost entries that are not written yet.
func (k *blockCache) isLost(p macpool.Prefix) bool {
	_, lost := k.base(p)
	return lost != nil
}

// found notes that what was lost of a block is in the store again.
func (k *blockCache) found(p macpool.Prefix, lost *macpool.Block) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lost[p] == lost {
		delete(k.lost, p)
	}
}

// replaceLocked has the cache know the next state of a block, nil for none, in place of the old one.
func (k *blockCache) replaceLocked(p macpool.Prefix, old, next *macpool.Block) {
	if old != nil {
		k.total -= old.Len()
		for m, h := range old.Holds() {
			delete(k.byObject[h.Object], m)
			if len(k.byObject[h.Object]) == 0 {
				delete(k.byObject, h.Object)
			}
		}
		delete(k.blocks, p)
	}
	if next != nil {
		k.total += next.Len()
		for m, h := range next.Holds() {
			if k.byObject[h.Object] == nil {
				k.byObject[h.Object] = map[macpool.MAC]string{}
			}
			k.byObject[h.Object][m] = h.Interface
		}
		k.blocks[p] = next
	}
	delete(k.silent, p)
	close(k.changed)
	k.changed = make(chan struct{})
}

// block returns the state of a block as this process knows it.
func (k *blockCache) block(p macpool.Prefix) *macpool.Block {
	known, _ := k.base(p)
	return known
}

// all returns the blocks known now.
func (k *blockCache) all() []*macpool.Block {
	k.mu.RLock()
	defer k.mu.RUnlock()
	blocks := make([]*macpool.Block, 0, len(k.blocks))
	for _, b := range k.blocks {
		blocks = append(blocks, b)
	}
	return blocks
}

// heldBy returns the addresses of an object, with the names of their interfaces.
func (k *blockCache) heldBy(o macpool.Object) map[macpool.MAC]string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return maps.Clone(k.byObject[o])
}

// takenAtMost returns an upper bound of the addresses of any pool that are not free.
func (k *blockCache) takenAtMost() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.total
}

// change is closed when the cache changes next.
func (k *blockCache) change() <-chan struct{} {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.changed
}

// newer reports whether resourceVersion a is later than b. One that cannot be compared counts as later: it costs a
// conflict at worst.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order > 0
}
