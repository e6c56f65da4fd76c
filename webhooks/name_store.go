// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A nameStore has what each object of one kind has, as texts: the bridges that it offers, or the addresses of its NICs.
// A reflector of client-go keeps it: it is one of its stores.
type nameStore struct {
	// mu guards what follows. Methods whose names end in Locked are called with it held, the others without.
	mu sync.RWMutex
	// synced is true once every object was read, or the kind is known not to be installed.
	synced bool
	byName map[string][]string
	// count is how many objects have each text, and since is from when on any had it, zero if it was so at
	// the start.
	count map[string]int
	since map[string]time.Time
	// changed, if set, is called after a change of what objects have, without the lock.
	changed func()
}

// keep reads and watches the objects of one kind until ctx is done.
func (s *nameStore) keep(ctx context.Context, c client.WithWatch, object client.Object, list client.ObjectList) {
	source := &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			all := list.DeepCopyObject().(client.ObjectList)
			err := c.List(ctx, all, &client.ListOptions{Raw: &o})
			if meta.IsNoMatchError(err) {
				s.replace(nil) // the reflector asks again later
			}
			return all, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return c.Watch(ctx, list.DeepCopyObject().(client.ObjectList), &client.ListOptions{Raw: &o})
		},
	}
	reflector := toolscache.NewReflectorWithOptions(
		source, object, s, toolscache.ReflectorOptions{Name: fmt.Sprintf("names in %T", object)},
	)
	reflector.RunWithContext(ctx)
}

func (s *nameStore) ready() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.synced
}

// has reports whether any object has a text.
func (s *nameStore) has(text string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.count[text] > 0
}

// hasFor reports whether any object has a text, and any had it so long ago.
func (s *nameStore) hasFor(text string, age time.Duration) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.count[text] > 0 && time.Since(s.since[text]) >= age
}

// replace has the store know these objects and no others. It is synced once that was told, too.
func (s *nameStore) replace(byName map[string][]string) {
	s.mu.Lock()
	first, since := !s.synced, s.since
	s.byName, s.count, s.since = map[string][]string{}, map[string]int{}, map[string]time.Time{}
	for name, texts := range byName {
		s.setLocked(name, texts)
	}
	for text := range s.since {
		if before, known := since[text]; first || known {
			s.since[text] = before
		}
	}
	s.mu.Unlock()
	s.tell()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.synced = true
}

// tell calls changed. The lock must not be held.
func (s *nameStore) tell() {
	if s.changed != nil {
		s.changed()
	}
}

// setLocked has an object have these texts and no others.
func (s *nameStore) setLocked(name string, texts []string) {
	for _, text := range texts {
		if s.count[text]++; s.count[text] == 1 {
			s.since[text] = time.Now()
		}
	}
	for _, text := range s.byName[name] {
		if s.count[text]--; s.count[text] == 0 {
			delete(s.count, text)
			delete(s.since, text)
		}
	}
	s.byName[name] = texts
}

// Add implements cache.ReflectorStore.
func (s *nameStore) Add(o any) error { return s.Update(o) }

// Update implements cache.ReflectorStore.
func (s *nameStore) Update(o any) error {
	texts, err := namesIn(o)
	if err != nil {
		return err
	}
	name := o.(client.Object).GetName()
	s.mu.Lock()
	same := slices.Equal(s.byName[name], texts)
	if s.byName == nil {
		s.byName, s.count, s.since = map[string][]string{}, map[string]int{}, map[string]time.Time{}
	}
	s.setLocked(name, texts)
	s.mu.Unlock()
	if !same {
		s.tell()
	}
	return nil
}

// Delete implements cache.ReflectorStore.
func (s *nameStore) Delete(o any) error {
	object, err := meta.Accessor(o)
	if err != nil {
		return fmt.Errorf("take in that a %T is gone: %w", o, err)
	}
	defer s.tell()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLocked(object.GetName(), nil)
	delete(s.byName, object.GetName())
	return nil
}

// Replace implements cache.ReflectorStore.
func (s *nameStore) Replace(all []any, _ string) error {
	byName := make(map[string][]string, len(all))
	for _, o := range all {
		texts, err := namesIn(o)
		if err != nil {
			return err
		}
		byName[o.(client.Object).GetName()] = texts
	}
	s.replace(byName)
	return nil
}

// Resync implements cache.ReflectorStore.
func (s *nameStore) Resync() error { return nil }
