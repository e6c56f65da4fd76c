// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
	"github.com/bridgehead-dev/bridgehead/nad"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

// Bridges knows which bridges the cluster offers: those that a node has as a resource, and those that a policy
// declares. The zero Bridges knows nothing yet; Run keeps it. It may be used by many at once.
type Bridges struct {
	nodes, policies bridgeStore
}

// Offered reports whether a node has a bridge, or a policy declares it. Until that is known every bridge counts as
// offered: a pod that waits for nothing can be helped, one on the wrong network cannot.
func (b *Bridges) Offered(bridge string) bool {
	return !b.Ready() || b.nodes.has(bridge) || b.policies.has(bridge)
}

// Ready reports whether all nodes and policies have been read.
func (b *Bridges) Ready() bool { return b.nodes.ready() && b.policies.ready() }

// Run watches nodes and policies until ctx is done.
func (b *Bridges) Run(ctx context.Context, c client.WithWatch) {
	var running sync.WaitGroup
	running.Go(func() { b.nodes.keep(ctx, c, &corev1.Node{}, &corev1.NodeList{}) })
	running.Go(func() {
		b.policies.keep(ctx, c, &v1.NodeNetworkConfigurationPolicy{}, &v1.NodeNetworkConfigurationPolicyList{})
	})
	running.Wait()
}

// namesIn are the bridges that an object offers, or the addresses that the NICs of a node have. A bridge that a node
// has none of at this moment is offered all the same.
func namesIn(o any) ([]string, error) {
	var bridges []string
	switch o := o.(type) {
	case *corev1.Node:
		for name := range o.Status.Allocatable {
			if bridge, ok := strings.CutPrefix(string(name), nad.BridgePrefix); ok {
				bridges = append(bridges, bridge)
			}
		}
	case *v1.NodeNetworkConfigurationPolicy:
		state, _ := netstate.Parse(wishOf(o.Spec)) // what cannot be read declares nothing
		for _, i := range state.Interfaces {
			if i.Type == netstate.TypeBridge && i.State != netstate.StateAbsent {
				bridges = append(bridges, i.Name)
			}
		}
	case *v1beta1.NodeNetworkState:
		return addressesOfNode(o), nil
	default:
		return nil, fmt.Errorf("take in a %T: it offers no bridges", o)
	}
	return bridges, nil
}

// A bridgeStore has the bridges that each object of one kind offers. A reflector of client-go keeps it: it is one of
// its stores.
type bridgeStore struct {
	mu sync.RWMutex
	// synced is true once every object was read, or the kind is known not to be installed.
	synced bool
	byName map[string][]string
	// count is how many objects offer each bridge.
	count map[string]int
	// changed, if set, is called after a change of what objects have, without the lock.
	changed func()
}

// keep reads and watches the objects of one kind until ctx is done.
func (s *bridgeStore) keep(ctx context.Context, c client.WithWatch, object client.Object, list client.ObjectList) {
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
		source, object, s, toolscache.ReflectorOptions{Name: fmt.Sprintf("bridges of %T", object)},
	)
	reflector.RunWithContext(ctx)
}

func (s *bridgeStore) ready() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.synced
}

func (s *bridgeStore) has(bridge string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.count[bridge] > 0
}

func (s *bridgeStore) replace(byName map[string][]string) {
	defer s.tell()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.synced, s.byName, s.count = true, map[string][]string{}, map[string]int{}
	for name, bridges := range byName {
		s.set(name, bridges)
	}
}

// tell calls changed. The lock must not be held.
func (s *bridgeStore) tell() {
	if s.changed != nil {
		s.changed()
	}
}

// set has an object offer these bridges and no others. The lock must be held.
func (s *bridgeStore) set(name string, bridges []string) {
	for _, b := range s.byName[name] {
		s.count[b]--
	}
	for _, b := range bridges {
		s.count[b]++
	}
	s.byName[name] = bridges
}

// Add implements cache.ReflectorStore.
func (s *bridgeStore) Add(o any) error { return s.Update(o) }

// Update implements cache.ReflectorStore.
func (s *bridgeStore) Update(o any) error {
	bridges, err := namesIn(o)
	if err != nil {
		return err
	}
	name := o.(client.Object).GetName()
	s.mu.Lock()
	same := slices.Equal(s.byName[name], bridges)
	if s.byName == nil {
		s.byName, s.count = map[string][]string{}, map[string]int{}
	}
	s.set(name, bridges)
	s.mu.Unlock()
	if !same {
		s.tell()
	}
	return nil
}

// Delete implements cache.ReflectorStore.
func (s *bridgeStore) Delete(o any) error {
	object, err := meta.Accessor(o)
	if err != nil {
		return fmt.Errorf("take in that a %T is gone: %w", o, err)
	}
	defer s.tell()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(object.GetName(), nil)
	delete(s.byName, object.GetName())
	return nil
}

// Replace implements cache.ReflectorStore.
func (s *bridgeStore) Replace(all []any, _ string) error {
	byName := make(map[string][]string, len(all))
	for _, o := range all {
		bridges, err := namesIn(o)
		if err != nil {
			return err
		}
		byName[o.(client.Object).GetName()] = bridges
	}
	s.replace(byName)
	return nil
}

// Resync implements cache.ReflectorStore.
func (s *bridgeStore) Resync() error { return nil }
