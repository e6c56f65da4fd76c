// SPDX-License-Identifier: Apache-2.0

package arming

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
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
	Name    string
	// Remove is how to remove it so that what users have of it stays.
	Remove string
}

// Neighbours are the projects that must be gone before we begin.
func Neighbours() []Neighbour {
	webhooks := admissionregistrationv1.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration")
	return []Neighbour{
		{
			"the Cluster Network Addons Operator",
			schema.GroupVersionKind{
				Group:   "networkaddonsoperator.network.kubevirt.io",
				Version: "v1",
				Kind:    "NetworkAddonsConfig",
			},
			"cluster",
			"scale its Deployment to 0, then delete what it deployed of kubemacpool",
		},
		{
			"kubemacpool",
			webhooks,
			"kubemacpool-mutator",
			"delete that configuration and its Deployments; leave the ConfigMap kubemacpool-mac-range-config, whose range we go on with",
		},
		{
			"the operator of kubernetes-nmstate",
			schema.GroupVersionKind{Group: "nmstate.io", Version: "v1", Kind: "NMState"},
			"nmstate",
			"scale the operator to 0, delete the DaemonSet nmstate-handler, and the NMState with --cascade=orphan; leave the custom resource definitions",
		},
		{
			"kubernetes-nmstate",
			webhooks,
			"nmstate",
			"delete the DaemonSet nmstate-handler, the Deployment nmstate-webhook and that configuration; leave the custom resource definitions",
		},
		{
			"network-resources-injector", webhooks, "network-resources-injector-config",
			"delete its Deployment and that configuration",
		},
	}
}

// A Watch looks for neighbours until there are none, once: what is installed beside us later is the administrator's
// wish.
type Watch struct {
	// Reader reads past the cache.
	Reader client.Reader
	// Configuration is the name of our own webhook configurations. Where there is one, we were here first.
	Configuration string

	clear atomic.Bool
}

// Check returns what stands in the way, each with how to remove it, or nil.
func (w *Watch) Check(ctx context.Context) error {
	if w.clear.Load() {
		return nil
	}
	own, err := w.own(ctx)
	if err != nil {
		return err
	}
	var found []error
	for _, n := range Neighbours() {
		if own {
			break
		}
		there, err := w.exists(ctx, n.Kind, n.Name)
		if err != nil {
			return err
		}
		if there {
			found = append(found, fmt.Errorf("%s is installed: there is %s %s. To take over, %s; see docs/install.md",
				n.Project, n.Kind.Kind, n.Name, n.Remove))
		}
	}
	w.clear.Store(len(found) == 0)
	return errors.Join(found...)
}

// own reports whether there is a configuration of ours, by its name or by that of an earlier release.
func (w *Watch) own(ctx context.Context) (bool, error) {
	kind := admissionregistrationv1.SchemeGroupVersion.WithKind(Mutating)
	for _, name := range []string{NameOf(Mutating, w.Configuration), w.Configuration} {
		if there, err := w.exists(ctx, kind, name); there || err != nil {
			return there, err
		}
	}
	return false, nil
}

func (w *Watch) exists(ctx context.Context, kind schema.GroupVersionKind, name string) (bool, error) {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(kind)
	err := w.Reader.Get(ctx, client.ObjectKey{Name: name}, o)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for %s %s: %w", kind.Kind, name, err)
	}
	return true, nil
}
