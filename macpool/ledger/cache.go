// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"maps"
	"sync"

	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A blockCache is this process's copy of the stored blocks, kept up by watch events and by the process's own writes.
// What it says may be old; every decision that gives an address away is checked against the store. The blocks in it are
// never changed, only replaced.
type blockCache struct {
	clock clock.PassiveClock

	mu       sync.RWMutex
	blocks   map[macpool.Prefix]*macpool.Block
	byObject map[macpool.Object]map[macpool.MAC]string // to the interface's name
	total    int                                       // addresses that are not free
	changed  chan struct{}                             // closed at the next change
}

func newBlockCache(c clock.PassiveClock) *blockCache {
	return &blockCache{
		clock:    c,
		blocks:   map[macpool.Prefix]*macpool.Block{},
		byObject: map[macpool.Object]map[macpool.MAC]string{},
		changed:  make(chan struct{}),
	}
}

// put notes a state of a block and says whether it was news: an older state than the one known is not.
func (k *blockCache) put(b *macpool.Block) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	old := k.blocks[b.Prefix]
	if old != nil && !newer(b.Version, old.Version) {
		return false
	}
	b.StampSeen(old, k.clock.Now())
	k.replace(b.Prefix, old, b)
	return true
}

// forget notes that a block was deleted, unless a newer state of it is known, and says whether it is forgotten.
func (k *blockCache) forget(p macpool.Prefix, version string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	old := k.blocks[p]
	if old != nil && newer(old.Version, version) {
		return false
	}
	if old != nil {
		k.replace(p, old, nil)
	}
	return true
}

func (k *blockCache) replace(p macpool.Prefix, old, next *macpool.Block) {
	if old != nil {
		k.total -= old.Len()
		k.index(old, func(o macpool.Object, m macpool.MAC, _ string) {
			delete(k.byObject[o], m)
			if len(k.byObject[o]) == 0 {
				delete(k.byObject, o)
			}
		})
		delete(k.blocks, p)
	}
	if next != nil {
		k.total += next.Len()
		k.index(next, func(o macpool.Object, m macpool.MAC, iface string) {
			if k.byObject[o] == nil {
				k.byObject[o] = map[macpool.MAC]string{}
			}
			k.byObject[o][m] = iface
		})
		k.blocks[p] = next
	}
	close(k.changed)
	k.changed = make(chan struct{})
}

func (k *blockCache) index(b *macpool.Block, visit func(macpool.Object, macpool.MAC, string)) {
	for m, h := range b.Holds() {
		visit(h.Object, m, h.Interface)
	}
}

// block is the state of a block as this process knows it.
func (k *blockCache) block(p macpool.Prefix) *macpool.Block {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if b, ok := k.blocks[p]; ok {
		return b
	}
	return macpool.NewBlock(p)
}

// all are the blocks known now.
func (k *blockCache) all() []*macpool.Block {
	k.mu.RLock()
	defer k.mu.RUnlock()
	blocks := make([]*macpool.Block, 0, len(k.blocks))
	for _, b := range k.blocks {
		blocks = append(blocks, b)
	}
	return blocks
}

// heldBy are the addresses of an object, with the names of their interfaces.
func (k *blockCache) heldBy(o macpool.Object) map[macpool.MAC]string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return maps.Clone(k.byObject[o])
}

// takenAtMost is an upper bound of the addresses of any pool that are not free.
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

// newer says whether resourceVersion a is later than b. One that cannot be compared counts as later: it costs a
// conflict at worst.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order > 0
}
