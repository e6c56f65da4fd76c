// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
)

// A memory knows which versions of enactments there are, by our own writes, that a cache must show before anything is
// decided by it: a turn that the cache does not show would be granted to somebody else too.
type memory struct {
	mu       sync.Mutex                    // guards what follows
	policies map[string]map[string]version // by policy and enactment; a policy is there once it was surveyed
	reported map[string]*v1.NodeNetworkConfigurationPolicy
}

// A version is one of an enactment.
type version struct {
	uid             types.UID
	resourceVersion string
	deleted         bool
}

func versionOf(o client.Object) version {
	return version{uid: o.GetUID(), resourceVersion: o.GetResourceVersion()}
}

// wrote has the version of an enactment remembered.
func (m *memory) wrote(policy, enactment string, v version) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.policies == nil {
		m.policies = map[string]map[string]version{}
	}
	if m.policies[policy] == nil {
		m.policies[policy] = map[string]version{}
	}
	if enactment != "" {
		m.policies[policy][enactment] = v
	}
}

// knows reports whether a policy was surveyed.
func (m *memory) knows(policy string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.policies[policy] != nil
}

// reports has a policy remembered whose status this process has written.
func (m *memory) reports(policy *v1.NodeNetworkConfigurationPolicy) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reported == nil {
		m.reported = map[string]*v1.NodeNetworkConfigurationPolicy{}
	}
	m.reported[policy.Name] = policy
}

// newest returns the policy as it is in the cache, or as it was reported on if that is newer.
func (m *memory) newest(cached *v1.NodeNetworkConfigurationPolicy) (*v1.NodeNetworkConfigurationPolicy, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ours, ok := m.reported[cached.Name]
	if !ok {
		return cached, nil
	}
	order, err := resourceversion.CompareResourceVersion(ours.ResourceVersion, cached.ResourceVersion)
	if err != nil {
		return nil, fmt.Errorf("compare versions of policy: %w", err)
	}
	if order > 0 {
		return ours, nil
	}
	delete(m.reported, cached.Name)
	return cached, nil
}

// forget drops what is remembered of a policy, so that it is surveyed when it comes again.
func (m *memory) forget(policy string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.policies, policy)
	delete(m.reported, policy)
}

// unseen drops what the cache shows, and returns the names of the rest. Those in absent are not in the cache at all:
// either it does not show them yet, or they are gone.
func (m *memory) unseen(
	policy string, cached map[string]*v1beta1.NodeNetworkConfigurationEnactment,
) (late, absent []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, ours := range m.policies[policy] {
		theirs, ok := cached[name]
		switch {
		case !ok && ours.deleted, ok && ours.deleted && theirs.UID != ours.uid:
			delete(m.policies[policy], name)
		case !ok:
			absent = append(absent, name)
		case ours.deleted:
			late = append(late, name)
		default:
			order, err := resourceversion.CompareResourceVersion(theirs.ResourceVersion, ours.resourceVersion)
			if err != nil {
				return nil, nil, fmt.Errorf("compare versions of %s: %w", name, err)
			}
			if order < 0 {
				late = append(late, name)
				continue
			}
			delete(m.policies[policy], name)
		}
	}
	return late, absent, nil
}

// behind reports whether the cache lacks anything that must be known to decide about a policy: what this process wrote,
// and, when it decides for the first time, what others had written before.
func (r *Reconciler) behind(
	ctx context.Context, policy string, cached map[string]*v1beta1.NodeNetworkConfigurationEnactment,
) (bool, error) {
	if !r.memory.knows(policy) {
		if err := r.survey(ctx, policy, cached); err != nil {
			return true, err
		}
	}
	late, absent, err := r.memory.unseen(policy, cached)
	if err != nil || len(late) > 0 {
		return true, err
	}
	for _, name := range absent {
		gone, err := r.gone(ctx, name)
		if err != nil || !gone {
			return true, err
		}
		r.memory.wrote(policy, name, version{deleted: true})
	}
	return false, nil
}

// survey asks the API server itself which enactments of a policy there are. A cache may start from the past.
func (r *Reconciler) survey(
	ctx context.Context, policy string, cached map[string]*v1beta1.NodeNetworkConfigurationEnactment,
) error {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(v1beta1.GroupVersion().WithKind("NodeNetworkConfigurationEnactmentList"))
	if err := r.Live.List(ctx, &list, client.MatchingLabels{nmstate.PolicyLabel: policy}); err != nil {
		return fmt.Errorf("survey enactments: %w", err)
	}
	r.memory.wrote(policy, "", version{})
	for i := range list.Items {
		r.memory.wrote(policy, list.Items[i].Name, versionOf(&list.Items[i]))
	}
	for name, e := range cached {
		if !r.memory.expects(policy, name) {
			r.memory.wrote(policy, name, version{uid: e.UID, deleted: true})
		}
	}
	return nil
}

func (m *memory) expects(policy, enactment string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.policies[policy][enactment]
	return ok
}

func (r *Reconciler) gone(ctx context.Context, enactment string) (bool, error) {
	var object metav1.PartialObjectMetadata
	object.SetGroupVersionKind(v1beta1.GroupVersion().WithKind("NodeNetworkConfigurationEnactment"))
	err := r.Live.Get(ctx, types.NamespacedName{Name: enactment}, &object)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for enactment %s: %w", enactment, err)
	}
	return false, nil
}
