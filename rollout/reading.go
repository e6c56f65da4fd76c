// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"bytes"
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
)

// A reading is a View with the objects that it was made from, to write on their very versions.
type reading struct {
	View
	policy     *v1.NodeNetworkConfigurationPolicy // nil if there is none
	enactments map[string]*v1beta1.NodeNetworkConfigurationEnactment
}

// read makes a View of what the cache has. What it returns is shared with the cache and must not be changed.
func (r *Reconciler) read(ctx context.Context, name string) (*reading, error) {
	var list v1beta1.NodeNetworkConfigurationEnactmentList
	err := r.Client.List(ctx, &list, client.MatchingFields{byPolicy: name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("list enactments: %w", err)
	}
	view := &reading{enactments: make(map[string]*v1beta1.NodeNetworkConfigurationEnactment, len(list.Items))}
	for i := range list.Items {
		e := &list.Items[i]
		view.enactments[e.Name] = e
		view.Enactments = append(view.Enactments, enactmentOf(e))
	}
	var policy v1.NodeNetworkConfigurationPolicy
	err = r.Client.Get(ctx, types.NamespacedName{Name: name}, &policy)
	switch {
	case apierrors.IsNotFound(err):
		return view, nil
	case err != nil:
		return nil, fmt.Errorf("get policy: %w", err)
	case policy.DeletionTimestamp != nil:
		return view, nil
	}
	if view.policy, err = r.memory.newest(&policy); err != nil {
		return nil, err
	}
	view.Policy = policyOf(view.policy)
	view.Nodes, err = r.nodes(ctx, view.policy.Spec.NodeSelector)
	return view, err
}

// nodes returns those that a selector selects.
func (r *Reconciler) nodes(ctx context.Context, selector map[string]nmstate.LabelValue) ([]Node, error) {
	labels := client.MatchingLabels{}
	for key, value := range selector {
		labels[key] = string(value)
	}
	var list corev1.NodeList
	if err := r.Client.List(ctx, &list, labels, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	states := nodeStates()
	if err := r.Client.List(ctx, states, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list node states: %w", err)
	}
	agents := make(map[string]bool, len(states.Items))
	for i := range states.Items {
		agents[states.Items[i].Name] = true
	}
	var nodes []Node
	for i := range list.Items {
		n := &list.Items[i]
		nodes = append(nodes, Node{Name: n.Name, UID: n.UID, NotReady: notReady(n), Agent: agents[n.Name]})
	}
	return nodes, nil
}

// nodeStates returns a list of node states, of which a rollout needs nothing but that they exist.
func nodeStates() *metav1.PartialObjectMetadataList {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(v1beta1.GroupVersion().WithKind("NodeNetworkStateList"))
	return &list
}

// notReady reports whether a node's kubelet, or the want of it, has the node not ready. A Node that nobody judges is as
// good as ready.
func notReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status != corev1.ConditionTrue
		}
	}
	return false
}

func policyOf(p *v1.NodeNetworkConfigurationPolicy) *Policy {
	policy := &Policy{
		Name:           p.Name,
		UID:            p.UID,
		Generation:     p.Generation,
		MaxUnavailable: p.Spec.MaxUnavailable,
		Empty:          true,
	}
	if s := p.Spec.DesiredState; s != nil {
		raw := bytes.TrimSpace(s.Raw)
		policy.Empty = len(raw) == 0 || bytes.Equal(raw, []byte("{}")) || bytes.Equal(raw, []byte("null"))
	}
	return policy
}

func enactmentOf(e *v1beta1.NodeNetworkConfigurationEnactment) Enactment {
	enactment := Enactment{
		Name:       e.Name,
		Node:       e.Labels[nmstate.NodeLabel],
		PolicyUID:  types.UID(e.Annotations[nmstate.PolicyUIDAnnotation]),
		Turn:       nmstate.TurnOf(e.Annotations),
		Generation: e.Status.PolicyGeneration,
		Conditions: e.Status.Conditions,
	}
	for _, owner := range e.OwnerReferences {
		if owner.Kind == "Node" {
			enactment.NodeUID = owner.UID
		}
	}
	return enactment
}
