// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
)

const (
	// requestTimeout bounds one request to the API server.
	requestTimeout = 10 * time.Second
	// claimTimeout bounds those that the main loop waits for: meanwhile nothing is healed.
	claimTimeout = 5 * time.Second
)

// A cluster is what the agent sees of the API: policies, and of its own node the Node, the enactments and the state.
type cluster struct {
	node  string
	cache cache.Cache
	live  client.Client
	// addresses are the own Node's, as it was last read.
	addresses atomic.Pointer[[]netip.Addr]
	deleted   deleted
}

func newCluster(cfg *rest.Config, node string) (*cluster, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1.AddToScheme(scheme), v1beta1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("make scheme: %w", err)
	}
	// The kinds are known, so that nothing need be discovered: the API server may be away when the agent starts.
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Node"), meta.RESTScopeRoot)
	mapper.Add(v1.GroupVersion().WithKind("NodeNetworkConfigurationPolicy"), meta.RESTScopeRoot)
	mapper.Add(v1beta1.GroupVersion().WithKind("NodeNetworkConfigurationEnactment"), meta.RESTScopeRoot)
	mapper.Add(v1beta1.GroupVersion().WithKind("NodeNetworkState"), meta.RESTScopeRoot)
	own := cache.ByObject{Field: fields.OneTermEqualSelector("metadata.name", node)}
	ownNode := own
	ownNode.Transform = stripNode
	watched, err := cache.New(cfg, cache.Options{
		Scheme: scheme, Mapper: mapper, DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Node{}:                       ownNode,
			&v1beta1.NodeNetworkState{}:          own,
			&v1.NodeNetworkConfigurationPolicy{}: {Transform: stripPolicy},
			&v1beta1.NodeNetworkConfigurationEnactment{}: {
				Label: labels.SelectorFromSet(labels.Set{nmstate.NodeLabel: node}), Transform: stripEnactment,
			},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("set up watches: %w", err)
	}
	live, err := client.New(cfg, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return &cluster{node: node, cache: watched, live: live}, nil
}

// stripNode keeps of a Node what the agent reads.
func stripNode(o any) (any, error) {
	node, ok := o.(*corev1.Node)
	if !ok {
		return o, nil
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion, Labels: node.Labels,
		},
		Status: corev1.NodeStatus{
			Capacity: node.Status.Capacity, Allocatable: node.Status.Allocatable, Addresses: node.Status.Addresses,
		},
	}, nil
}

// stripPolicy keeps of a policy what the agent reads: the status is for people, and what kubectl applied last is the
// spec again.
func stripPolicy(o any) (any, error) {
	p, ok := o.(*v1.NodeNetworkConfigurationPolicy)
	if !ok {
		return o, nil
	}
	p.ManagedFields, p.Status = nil, nmstate.PolicyStatus{}
	delete(p.Annotations, corev1.LastAppliedConfigAnnotation)
	return p, nil
}

// stripEnactment keeps of an enactment what the agent reads: what was desired is in the journal.
func stripEnactment(o any) (any, error) {
	e, ok := o.(*v1beta1.NodeNetworkConfigurationEnactment)
	if !ok {
		return o, nil
	}
	e.ManagedFields, e.Status.DesiredState = nil, nil
	return e, nil
}

// watch calls work whenever something changes that there may be work about, and report whenever what was reported may
// have been changed. It returns once all of it is watched.
func (c *cluster) watch(ctx context.Context, work, report func()) error {
	for _, w := range []struct {
		kind    client.Object
		changed func(old, new client.Object)
	}{
		{&corev1.Node{}, func(old, new client.Object) {
			if !maps.Equal(old.GetLabels(), new.GetLabels()) {
				work()
			}
			if nodeChanged(old, new) {
				report()
			}
		}},
		{&v1.NodeNetworkConfigurationPolicy{}, func(old, new client.Object) {
			if policyChanged(old, new) {
				work()
			}
		}},
		{&v1beta1.NodeNetworkConfigurationEnactment{}, func(old, new client.Object) {
			if enactmentChanged(old, new) {
				work()
			}
		}},
		{&v1beta1.NodeNetworkState{}, func(_, _ client.Object) { report() }},
	} {
		informer, err := c.cache.GetInformer(ctx, w.kind)
		if err != nil {
			return fmt.Errorf("watch the API server: %w", err)
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { work() },
			DeleteFunc: func(last any) { c.deleted.note(last); work() },
			UpdateFunc: func(old, new any) { w.changed(old.(client.Object), new.(client.Object)) },
		})
		if err != nil {
			return fmt.Errorf("watch the API server: %w", err)
		}
	}
	return nil
}

// policyChanged reports whether anything but the status of a policy changed.
func policyChanged(old, new client.Object) bool {
	return old.GetUID() != new.GetUID() || old.GetGeneration() != new.GetGeneration() ||
		!maps.Equal(old.GetAnnotations(), new.GetAnnotations()) ||
		old.GetDeletionTimestamp().IsZero() != new.GetDeletionTimestamp().IsZero()
}

// nodeChanged reports whether what the agent reads of its Node changed: kubelet writes it every few minutes.
func nodeChanged(old, new client.Object) bool {
	was, isNode := old.(*corev1.Node)
	is, isNodeToo := new.(*corev1.Node)
	return !isNode || !isNodeToo || was.UID != is.UID || !equality.Semantic.DeepEqual(was.Status, is.Status)
}

// enactmentChanged reports whether an enactment may mean work: it is another one, has another turn, or its status says
// another last word. That a turn was begun is no news to who began it.
func enactmentChanged(old, new client.Object) bool {
	was, isEnactment := old.(*v1beta1.NodeNetworkConfigurationEnactment)
	is, isEnactmentToo := new.(*v1beta1.NodeNetworkConfigurationEnactment)
	if !isEnactment || !isEnactmentToo || was.UID != is.UID || !maps.Equal(was.Annotations, is.Annotations) ||
		was.DeletionTimestamp.IsZero() != is.DeletionTimestamp.IsZero() {
		return true
	}
	final := func(s nmstate.EnactmentStatus) bool { return s.Finished(s.PolicyGeneration) }
	return final(was.Status) != final(is.Status) ||
		final(is.Status) && was.Status.PolicyGeneration != is.Status.PolicyGeneration
}

// self returns the own Node.
func (c *cluster) self(ctx context.Context) (*corev1.Node, error) {
	var node corev1.Node
	if err := c.cache.Get(ctx, types.NamespacedName{Name: c.node}, &node); err != nil {
		return nil, fmt.Errorf("read node: %w", err)
	}
	c.addresses.Store(new(internalIPs(&node)))
	return &node, nil
}

// internalIPs returns the addresses by which the cluster knows a node.
func internalIPs(node *corev1.Node) []netip.Addr {
	var ips []netip.Addr
	for _, a := range node.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP {
			ips = append(ips, ip)
		}
	}
	return ips
}

// policies returns all policies with the own enactments of them.
func (c *cluster) policies(ctx context.Context) ([]Policy, error) {
	node, err := c.self(ctx)
	if err != nil {
		return nil, err
	}
	var list v1.NodeNetworkConfigurationPolicyList
	if err := c.cache.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list policies: %w", err)
	}
	policies := make([]Policy, 0, len(list.Items))
	for i := range list.Items {
		p := readPolicy(&list.Items[i], labels.Set(node.Labels))
		var enactment v1beta1.NodeNetworkConfigurationEnactment
		err := c.cache.Get(ctx, types.NamespacedName{Name: c.enactment(p.Name)}, &enactment)
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("read enactment: %w", err)
		}
		if err == nil {
			p = p.enacted(enactment)
		}
		policies = append(policies, p)
	}
	return policies, nil
}

// enacted returns a policy with what its enactment says, unless that is of a policy which had this name before: its
// turn, its captures and its last word mean nothing. The controller makes another one.
func (p Policy) enacted(e v1beta1.NodeNetworkConfigurationEnactment) Policy {
	if uid, said := e.Annotations[nmstate.PolicyUIDAnnotation]; !said || uid == p.UID {
		p.Turn, p.Status = nmstate.TurnOf(e.Annotations), e.Status
	}
	return p
}

func readPolicy(o *v1.NodeNetworkConfigurationPolicy, node labels.Set) Policy {
	selector := labels.Set{}
	for key, value := range o.Spec.NodeSelector {
		selector[key] = string(value)
	}
	deadline, invalid := nmstate.ParseProbeDeadline(o.Annotations)
	return Policy{
		ProbeDeadline: deadline, Invalid: invalid,
		Name: o.Name, UID: string(o.UID), Generation: o.Generation, Spec: o.Spec,
		Heal:       o.Annotations[nmstate.HealAnnotation] != nmstate.HealOff,
		Revert:     o.Annotations[nmstate.OnDeleteAnnotation] == nmstate.OnDeleteRevert,
		NoBootUnit: o.Annotations[nmstate.BootUnitAnnotation] == nmstate.BootUnitOff,

		RemoveProfiles: o.Annotations[nmstate.ProfilesAnnotation] == nmstate.ProfilesRemove,
		Selected:       o.DeletionTimestamp == nil && labels.SelectorFromSet(selector).Matches(node),
	}
}
