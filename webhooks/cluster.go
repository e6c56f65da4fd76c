// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
	"github.com/bridgehead-dev/bridgehead/nad"
)

const (
	// lookTimeout bounds one look at the cluster for warnings: the answer to a NAD does not depend on it.
	lookTimeout = time.Second
	// pageSize is how many objects are read at once.
	pageSize = 200
	// maxUsers is when users of a NAD are not counted further.
	maxUsers = 50
)

// A Cluster looks at a cluster for what NADReviewer and PolicyReviewer judge by. NADs and policies are written so
// rarely that nothing is kept.
type Cluster struct {
	Reader client.Reader
}

// NewClient makes a client for Cluster, Bridges and Access, which reads and writes past any cache.
func NewClient(cfg *rest.Config) (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	add := []func(*runtime.Scheme) error{
		corev1.AddToScheme, metav1.AddMetaToScheme, authorizationv1.AddToScheme, v1.AddToScheme, v1beta1.AddToScheme,
	}
	for _, add := range add {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("make scheme: %w", err)
		}
	}
	c, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return c, nil
}

// Advertising returns how many nodes have a resource; it stops at the first page with one.
func (c Cluster) Advertising(ctx context.Context, resource string) (int, error) {
	nodes := 0
	err := c.each(ctx, &corev1.NodeList{}, func(o client.Object) bool {
		capacity := o.(*corev1.Node).Status.Allocatable[corev1.ResourceName(resource)]
		if capacity.Sign() > 0 {
			nodes++
		}
		return nodes == 0
	})
	return nodes, err
}

// Unserved returns the nodes whose bridge does not take the VLANs of a network to its uplink, each with the reason.
func (c Cluster) Unserved(ctx context.Context, b nad.Bridge) ([]string, error) {
	view, failed := c.Look(ctx) // without it a veth that a policy made a port counts as some pod's
	var reasons []string
	unreadable := []error{failed}
	err := c.each(ctx, &v1beta1.NodeNetworkStateList{}, func(o client.Object) bool {
		current := o.(*v1beta1.NodeNetworkState).Status.CurrentState
		if current == nil {
			return true // the node has not reported yet
		}
		reason, err := unserved(o.GetName(), current.Raw, view.wished(o.GetName()), b)
		if err != nil {
			unreadable = append(unreadable, err)
		}
		if reason != "" {
			reasons = append(reasons, reason)
		}
		return true
	})
	return reasons, errors.Join(append(unreadable, err)...)
}

// Users returns pods and VMs that name a NAD; not all of them, if there are many.
func (c Cluster) Users(ctx context.Context, ref nad.Ref) ([]string, error) {
	pods := &metav1.PartialObjectMetadataList{}
	pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	var users []string
	err := c.each(ctx, pods, func(o client.Object) bool {
		if !nad.IsLauncher(o.GetLabels(), o.GetOwnerReferences()) && podNames(o, ref) {
			users = append(users, "Pod "+o.GetNamespace()+"/"+o.GetName())
		}
		return len(users) < maxUsers
	})
	if err != nil {
		return nil, err
	}
	vms := &unstructured.UnstructuredList{}
	vms.SetGroupVersionKind(schema.GroupVersionKind{Group: "kubevirt.io", Version: "v1", Kind: "VirtualMachineList"})
	err = c.each(ctx, vms, func(o client.Object) bool {
		if vmNames(o.(*unstructured.Unstructured), ref) {
			users = append(users, "VirtualMachine "+o.GetNamespace()+"/"+o.GetName())
		}
		return len(users) < maxUsers
	})
	return users, err
}

func podNames(o client.Object, ref nad.Ref) bool {
	networks, problems := nad.ParseNetworks(o.GetAnnotations()[nad.NetworksAnnotation], o.GetNamespace(), nil)
	return len(problems) == 0 &&
		slices.ContainsFunc(networks.Selections, func(s nad.Selection) bool { return s.Ref == ref })
}

// vmNames reports whether a VM has a network of a NAD, as KubeVirt reads its name.
func vmNames(o *unstructured.Unstructured, ref nad.Ref) bool {
	networks, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "networks")
	return slices.ContainsFunc(networks, func(n any) bool {
		network, _ := n.(map[string]any)
		name, _, _ := unstructured.NestedString(network, "multus", "networkName")
		return name == ref.String() || name == ref.Name && o.GetNamespace() == ref.Namespace
	})
}

// each reads a list page by page until a visitor has seen enough. A kind that is not installed has no objects.
func (c Cluster) each(ctx context.Context, list client.ObjectList, visit func(client.Object) bool) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for next := ""; ; {
		if err := c.Reader.List(ctx, list, client.Limit(pageSize), client.Continue(next)); err != nil {
			if meta.IsNoMatchError(err) {
				return nil
			}
			return fmt.Errorf("list %T: %w", list, err)
		}
		more := true
		err := meta.EachListItem(list, func(o runtime.Object) error {
			more = more && visit(o.(client.Object))
			return nil
		})
		if err != nil {
			return fmt.Errorf("list %T: %w", list, err)
		}
		if next = list.GetContinue(); next == "" || !more {
			return nil
		}
	}
}
