// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	corev1 "k8s.io/api/core/v1"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

// A Feed keeps a ledger and the pools up to date by watching MACBlocks, MACPools and the labels of namespaces.
type Feed struct {
	Ledger *ledger.Ledger
	Pools  *Pools
	Cache  cache.Cache
	Log    logr.Logger

	synced []toolscache.InformerSynced

	mu     sync.Mutex      // guards what follows
	broken map[string]bool // blocks with rows that cannot be read
}

// Register begins to watch once the cache is started. It is to be called before that.
func (f *Feed) Register(ctx context.Context) error {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	watches := []struct {
		object  client.Object
		changed func(client.Object)
		deleted func(client.Object)
	}{
		{&v1alpha1.MACBlock{}, f.blockChanged, f.blockDeleted},
		{&v1alpha1.MACPool{}, f.poolChanged, func(o client.Object) { f.Pools.DropPool(o.GetName()) }},
		{namespace, func(o client.Object) { f.Pools.SetNamespace(o.GetName(), namespaceLabels(o)) },
			func(o client.Object) { f.Pools.SetNamespace(o.GetName(), nil) }},
	}
	for _, w := range watches {
		informer, err := f.Cache.GetInformer(ctx, w.object, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watch %T: %w", w.object, err)
		}
		registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { w.changed(o.(client.Object)) },
			UpdateFunc: func(_, o any) { w.changed(o.(client.Object)) },
			DeleteFunc: func(o any) {
				if tombstone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
					o = tombstone.Obj
				}
				w.deleted(o.(client.Object))
			},
		})
		if err != nil {
			return fmt.Errorf("watch %T: %w", w.object, err)
		}
		f.synced = append(f.synced, registration.HasSynced)
	}
	return nil
}

// Synced reports whether everything that existed at the start has been taken in.
func (f *Feed) Synced() bool {
	for _, synced := range f.synced {
		if !synced() {
			return false
		}
	}
	return true
}

func (f *Feed) blockChanged(o client.Object) {
	b, err := DecodeBlock(o.(*v1alpha1.MACBlock))
	if err != nil {
		f.Log.Error(err, "A MACBlock has rows that cannot be read", "block", o.GetName())
	}
	f.setUnreadable(o.GetName(), err != nil)
	if b != nil {
		f.Ledger.Observe(b)
		return
	}
	if p, invalid := macpool.ParsePrefix(o.GetName()); invalid == nil { // rows are hidden, or somebody removed them
		f.Ledger.LookAgain(p)
	}
}

// setUnreadable notes whether a block has rows that cannot be read.
func (f *Feed) setUnreadable(block string, broken bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken == nil {
		f.broken = map[string]bool{}
	}
	if delete(f.broken, block); broken {
		f.broken[block] = true
	}
}

// Unreadable returns the names of the blocks that have rows which cannot be read, in order.
func (f *Feed) Unreadable() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.broken))
}

func (f *Feed) blockDeleted(o client.Object) {
	f.setUnreadable(o.GetName(), false)
	if p, err := macpool.ParsePrefix(o.GetName()); err == nil {
		f.Ledger.Forget(p, o.GetResourceVersion())
	}
}

func (f *Feed) poolChanged(o client.Object) {
	rule, err := ReadPool(o.(*v1alpha1.MACPool))
	if err != nil {
		f.Log.Error(err, "Ignoring a MACPool that cannot be read", "pool", o.GetName())
		f.Pools.SpoilPool(o.GetName())
		return
	}
	f.Pools.SetPool(rule)
}

func namespaceLabels(o client.Object) labels.Set {
	if l := o.GetLabels(); l != nil {
		return l
	}
	return labels.Set{}
}
