// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	netv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"golang.org/x/sync/singleflight"
)

// maxGone bounds how many NADs that are gone are remembered.
const maxGone = 4096

// getTimeout bounds the read of one NAD that is not in the cache.
const getTimeout = time.Second

// A MissingError says that there is no NAD of a name.
type MissingError struct {
	Ref
	// Namespaces have a NAD of the same name.
	Namespaces []string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("there is no NetworkAttachmentDefinition %s in namespace %s", e.Name, e.Namespace)
}

// A Cache has every NAD of the cluster, read. A reflector of client-go keeps it: it is one of its stores. It may be
// used by many at once.
type Cache struct {
	keys []string
	get  func(context.Context, Ref) (*netv1.NetworkAttachmentDefinition, error)

	flight singleflight.Group
	mu     sync.RWMutex
	synced bool
	known  map[Ref]Definition
	// without are NADs that are gone and whose interfaces took no address: pods may be on them still. Of more than maxGone
	// some are forgotten: their interfaces count as such that took one.
	without map[Ref]bool
}

// NewCache returns a cache that knows nothing yet. keys are the annotations of NADs that name resources. get reads one
// NAD past the cache; it returns nil where there is none.
func NewCache(keys []string, get func(context.Context, Ref) (*netv1.NetworkAttachmentDefinition, error)) *Cache {
	return &Cache{keys: keys, get: get, known: map[Ref]Definition{}, without: map[Ref]bool{}}
}

// Find returns a NAD, or a *MissingError. One that the cache does not have, as it was created a moment ago or not at
// all, is looked for once, however many ask at the same time.
func (c *Cache) Find(ctx context.Context, ref Ref) (Definition, error) {
	c.mu.RLock()
	d, ok := c.known[ref]
	c.mu.RUnlock()
	if ok {
		return d, nil
	}
	answers := c.flight.DoChan(ref.String(), func() (any, error) {
		// The read is not that of the first who asked: it goes on if that one gives up.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), getTimeout)
		defer cancel()
		return c.get(ctx, ref)
	})
	select {
	case answer := <-answers:
		if answer.Err != nil {
			return Definition{}, fmt.Errorf("get NetworkAttachmentDefinition %s: %w", ref, answer.Err)
		}
		found, _ := answer.Val.(*netv1.NetworkAttachmentDefinition)
		if found == nil {
			return Definition{}, &MissingError{Ref: ref, Namespaces: c.namespacesOf(ref.Name)}
		}
		return Read(found, c.keys), nil // not kept: what the reflector brings may be newer
	case <-ctx.Done():
		return Definition{}, fmt.Errorf("get NetworkAttachmentDefinition %s: %w", ref, ctx.Err())
	}
}

// TakesMAC reports whether an interface can have an address that is asked for, as far as the cache knows: of a NAD that
// is gone, as it was. multus is the namespace of default networks that are named without.
func (c *Cache) TakesMAC(i Interface, multus string) bool {
	ref := i.Ref
	if i.Primary {
		ref.Namespace = cmp.Or(ref.Namespace, multus)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	d, known := c.known[ref]
	switch {
	case !known:
		return !c.without[ref]
	case i.Primary:
		return d.TakesPrimaryMAC()
	}
	return d.TakesMAC()
}

func (c *Cache) namespacesOf(name string) []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var namespaces []string
	for ref := range c.known {
		if ref.Name == name {
			namespaces = append(namespaces, ref.Namespace)
		}
	}
	slices.Sort(namespaces)
	return namespaces
}

// OnBridge returns the NADs that attach pods to a bridge, in order.
func (c *Cache) OnBridge(bridge string) []Definition {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var found []Definition
	for _, d := range c.known {
		if slices.ContainsFunc(d.Bridges, func(b Bridge) bool { return b.Name == bridge }) {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b Definition) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return found
}

// Synced reports whether the cache has had everything that existed at the start.
func (c *Cache) Synced() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.synced
}

// Add implements cache.ReflectorStore.
func (c *Cache) Add(o any) error { return c.Update(o) }

// Update implements cache.ReflectorStore.
func (c *Cache) Update(o any) error {
	n, ok := o.(*netv1.NetworkAttachmentDefinition)
	if !ok {
		return fmt.Errorf("add a %T to the cache: not a NetworkAttachmentDefinition", o)
	}
	d := Read(n, c.keys)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[d.Ref] = d
	delete(c.without, d.Ref)
	return nil
}

// Delete implements cache.ReflectorStore.
func (c *Cache) Delete(o any) error {
	n, ok := o.(*netv1.NetworkAttachmentDefinition)
	if !ok {
		return fmt.Errorf("remove a %T from the cache: not a NetworkAttachmentDefinition", o)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetLocked(Ref{Namespace: n.Namespace, Name: n.Name})
	return nil
}

func (c *Cache) forgetLocked(ref Ref) {
	if d, known := c.known[ref]; known && !d.TakesMAC() {
		for some := range c.without {
			if len(c.without) < maxGone {
				break
			}
			delete(c.without, some)
		}
		c.without[ref] = true
	}
	delete(c.known, ref)
}

// Replace implements cache.ReflectorStore.
func (c *Cache) Replace(all []any, _ string) error {
	known := make(map[Ref]Definition, len(all))
	for _, o := range all {
		n, ok := o.(*netv1.NetworkAttachmentDefinition)
		if !ok {
			return fmt.Errorf("add a %T to the cache: not a NetworkAttachmentDefinition", o)
		}
		d := Read(n, c.keys)
		known[d.Ref] = d
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for ref := range c.known {
		c.forgetLocked(ref)
	}
	for ref := range known {
		delete(c.without, ref)
	}
	c.known, c.synced = known, true
	return nil
}

// Resync implements cache.ReflectorStore.
func (c *Cache) Resync() error { return nil }
