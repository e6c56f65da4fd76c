// SPDX-License-Identifier: Apache-2.0

package arming

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A Neighbour is a project whose work is ours, by an object that it has wherever it is installed. Beside it, two would
// give addresses, write to nodes, or ask for bridges.
type Neighbour struct {
	Project string
	Kind    schema.GroupVersionKind
	// Namespace is empty for objects of the cluster.
	Namespace, Name string
	// Remove is how to remove it so that what users have of it stays.
	Remove string
	// Nodes says that it changes nodes or reports them, so that agents wait for it as well.
	Nodes bool
}

// String says that it is installed, by what that is seen, and how to take over.
func (n Neighbour) String() string {
	return fmt.Sprintf("%s is installed: there is %s %s. To take over, %s; see docs/install.md",
		n.Project, n.Kind.Kind, strings.TrimPrefix(n.Namespace+"/"+n.Name, "/"), n.Remove)
}

// Neighbours returns the projects that must be gone before we begin.
func Neighbours() []Neighbour {
	webhooks := admissionregistrationv1.SchemeGroupVersion.WithKind(Mutating)
	daemonSets := appsv1.SchemeGroupVersion.WithKind("DaemonSet")
	const deleteHandler = "scale what deploys that DaemonSet to 0 and delete it; leave the custom resource definitions"
	return []Neighbour{
		{
			Project: "the Cluster Network Addons Operator",
			Kind: schema.GroupVersionKind{
				Group: "networkaddonsoperator.network.kubevirt.io", Version: "v1", Kind: "NetworkAddonsConfig",
			},
			Name: "cluster", Remove: "scale its Deployment to 0, delete what it deployed of kubemacpool and of bridge-marker, " +
				"and that NetworkAddonsConfig with --cascade=orphan",
		},
		{
			Project: "kubemacpool", Kind: webhooks, Name: "kubemacpool-mutator",
			Remove: "delete that configuration and its Deployments; leave the ConfigMap kubemacpool-mac-range-config, " +
				"whose range is taken over",
		},
		{
			Project: "the operator of kubernetes-nmstate",
			Kind:    schema.GroupVersionKind{Group: "nmstate.io", Version: "v1", Kind: "NMState"}, Name: "nmstate",
			Remove: "scale the operator to 0, delete the DaemonSet nmstate-handler, and the NMState with --cascade=orphan; " +
				"leave the custom resource definitions",
			Nodes: true,
		},
		{
			Project: "kubernetes-nmstate", Kind: webhooks, Name: "nmstate",
			Remove: "delete the DaemonSet nmstate-handler, the Deployment nmstate-webhook and that configuration; " +
				"leave the custom resource definitions",
			Nodes: true,
		},
		{
			Project: "the handler of kubernetes-nmstate", Kind: daemonSets, Namespace: "nmstate", Name: "nmstate-handler",
			Remove: deleteHandler, Nodes: true,
		},
		{
			Project: "the handler of kubernetes-nmstate", Kind: daemonSets,
			Namespace: "openshift-nmstate", Name: "nmstate-handler", Remove: deleteHandler, Nodes: true,
		},
		{
			Project: "network-resources-injector", Kind: webhooks, Name: "network-resources-injector-config",
			Remove: "delete its Deployment and that configuration, or set enableInjector: false in the SriovOperatorConfig",
		},
		{
			Project: "network-resources-injector of the HyperConverged operator", Kind: webhooks,
			Name:   "cnv-network-resources-injector-config",
			Remove: "set deployNetworkResourcesInjector: false in the HyperConverged",
		},
	}
}

// OnNodes returns the neighbours that agents wait for.
func OnNodes() []Neighbour {
	return slices.DeleteFunc(Neighbours(), func(n Neighbour) bool { return !n.Nodes })
}

// A Watch looks for neighbours until there are none, once: what is installed beside us later is the administrator's
// wish.
type Watch struct {
	// Reader reads past the cache.
	Reader client.Reader
	// Neighbours are who is looked for; Neighbours() if nil.
	Neighbours []Neighbour

	clear atomic.Bool
}

// Check returns what stands in the way, each with how to remove it, or nil.
func (w *Watch) Check(ctx context.Context) error {
	found, err := w.Look(ctx)
	if err != nil {
		return err
	}
	var inTheWay []error
	for _, n := range found {
		inTheWay = append(inTheWay, errors.New(n.String()))
	}
	return errors.Join(inTheWay...)
}

// Look returns who stands in the way; nobody from when nobody did once.
func (w *Watch) Look(ctx context.Context) ([]Neighbour, error) {
	if w.clear.Load() {
		return nil, nil
	}
	own, err := w.own(ctx)
	if err != nil {
		return nil, err
	}
	looked := w.Neighbours
	if looked == nil {
		looked = Neighbours()
	}
	if own {
		looked = nil
	}
	var found []Neighbour
	for _, n := range looked {
		there, err := w.exists(ctx, n)
		if err != nil {
			return nil, err
		}
		if there {
			found = append(found, n)
		}
	}
	w.clear.Store(len(found) == 0)
	return found, nil
}

// own reports whether there is a configuration of ours, by its name or by that of an earlier release.
func (w *Watch) own(ctx context.Context) (bool, error) {
	kind := admissionregistrationv1.SchemeGroupVersion.WithKind(Mutating)
	for _, name := range []string{NameOf(Mutating), Configuration} {
		if there, err := w.exists(ctx, Neighbour{Kind: kind, Name: name}); there || err != nil {
			return there, err
		}
	}
	return false, nil
}

func (w *Watch) exists(ctx context.Context, n Neighbour) (bool, error) {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(n.Kind)
	err := w.Reader.Get(ctx, client.ObjectKey{Namespace: n.Namespace, Name: n.Name}, o)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for %s %s: %w", n.Kind.Kind, n.Name, err)
	}
	return true, nil
}
