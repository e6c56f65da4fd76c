// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
)

const (
	// maxReads is how many node states are read at a time.
	maxReads = 16
	// maxNamed is how many nodes are named in a selector; of more, the enactments of all are read.
	maxNamed = 64
)

var _ PolicySource = Cluster{}

// Look implements PolicySource. Of nodes and their states only the metadata is read, all at the same time.
func (c Cluster) Look(ctx context.Context) (PolicyView, error) {
	nodes, states := &metav1.PartialObjectMetadataList{}, &metav1.PartialObjectMetadataList{}
	nodes.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NodeList"))
	states.SetGroupVersionKind(v1beta1.GroupVersion().WithKind("NodeNetworkStateList"))
	policies := &v1.NodeNetworkConfigurationPolicyList{}
	reads, reading := errgroup.WithContext(ctx)
	for _, list := range []client.ObjectList{nodes, states, policies} {
		reads.Go(func() error { return c.all(reading, list) })
	}
	if err := reads.Wait(); err != nil {
		return PolicyView{}, err
	}
	view := PolicyView{Labels: map[string]map[string]string{}, Policies: policies.Items}
	for _, n := range nodes.Items {
		view.Labels[n.Name] = n.Labels
	}
	for _, s := range states.Items {
		view.Agents = append(view.Agents, s.Name)
	}
	return view, nil
}

// Report implements PolicySource.
func (c Cluster) Report(ctx context.Context, view PolicyView, nodes []string) (PolicyView, error) {
	view.States = map[string]v1beta1.NodeNetworkState{}
	var lock sync.Mutex // guards view.States
	reads, reading := errgroup.WithContext(ctx)
	reads.SetLimit(maxReads)
	reads.Go(func() error {
		var err error
		view.Enactments, err = c.enactments(reading, nodes)
		return err
	})
	for _, node := range nodes {
		reads.Go(func() error {
			var s v1beta1.NodeNetworkState
			if err := c.Reader.Get(reading, types.NamespacedName{Name: node}, &s); err != nil {
				return client.IgnoreNotFound(err) // it is gone since
			}
			lock.Lock()
			defer lock.Unlock()
			view.States[node] = s
			return nil
		})
	}
	err := reads.Wait()
	if ctx.Err() != nil {
		err = nil // there was no time: the states that are there are what there is
	}
	return view, err
}

// enactments returns those on some nodes.
func (c Cluster) enactments(ctx context.Context, nodes []string) ([]v1beta1.NodeNetworkConfigurationEnactment, error) {
	var options []client.ListOption
	// Without nodes, and with a name that is too long for a label, there is no such requirement.
	if named, err := labels.NewRequirement(nmstate.NodeLabel, selection.In, nodes); err == nil && len(nodes) <= maxNamed {
		options = append(options, client.MatchingLabelsSelector{Selector: labels.NewSelector().Add(*named)})
	}
	list := &v1beta1.NodeNetworkConfigurationEnactmentList{}
	err := c.all(ctx, list, options...)
	return list.Items, err
}

// AppliedBy implements PolicySource.
func (c Cluster) AppliedBy(ctx context.Context, policy string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	list := &v1beta1.NodeNetworkConfigurationEnactmentList{}
	if err := c.all(ctx, list, client.MatchingLabels{nmstate.PolicyLabel: policy}); err != nil {
		return nil, err
	}
	return appliedBy(list.Items), nil
}

// appliedBy returns the nodes of enactments that were begun, in order.
func appliedBy(enactments []v1beta1.NodeNetworkConfigurationEnactment) []string {
	var nodes []string
	for _, e := range enactments {
		if e.Status.PolicyGeneration > 0 {
			nodes = append(nodes, e.Labels[nmstate.NodeLabel])
		}
	}
	slices.Sort(nodes)
	return nodes
}

// all reads a list as a whole. A kind that is not installed has no objects.
func (c Cluster) all(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	var items []runtime.Object
	page := append(slices.Clone(options), client.Limit(pageSize))
	for {
		if err := c.Reader.List(ctx, list, page...); meta.IsNoMatchError(err) {
			return nil
		} else if err != nil {
			return fmt.Errorf("list %T: %w", list, err)
		}
		read, err := meta.ExtractList(list)
		if err != nil {
			return fmt.Errorf("list %T: %w", list, err)
		}
		items = append(items, read...)
		if list.GetContinue() == "" {
			return meta.SetList(list, items)
		}
		page = append(slices.Clone(options), client.Limit(pageSize), client.Continue(list.GetContinue()))
	}
}
