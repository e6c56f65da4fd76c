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
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
	"github.com/bridgehead-dev/bridgehead/macpool"
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
	// MultusNamespace is where default networks are that a pod names without a namespace.
	MultusNamespace string
}

// NewClient makes a client for Cluster, Bridges, NodeAddresses and Access, which reads and writes past any cache.
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
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	view, failed := c.Look(looking) // without it a veth that a policy made a port counts as some pod's
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

// Users returns pods, VMs and instances without a VM that name a NAD; not all of them, if there are many. Pods that
// have ended do not start again, and those on the network of their node are on no other.
func (c Cluster) Users(ctx context.Context, ref nad.Ref) ([]string, error) {
	pods := &metav1.PartialObjectMetadataList{}
	pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	attached, err := fields.ParseSelector("spec.hostNetwork!=true,status.phase!=Succeeded,status.phase!=Failed")
	if err != nil {
		return nil, fmt.Errorf("select pods: %w", err)
	}
	var users []string
	err = c.each(ctx, pods, func(o client.Object) bool {
		if !nad.IsLauncher(o.GetLabels(), o.GetOwnerReferences()) && c.podNames(o, ref) {
			users = append(users, "Pod "+o.GetNamespace()+"/"+o.GetName())
		}
		return len(users) < maxUsers
	}, client.MatchingFieldsSelector{Selector: attached})
	if err != nil {
		return nil, err
	}
	for kind, networks := range map[string][]string{
		macpool.KindVM: {"spec", "template", "spec", "networks"}, macpool.KindVMI: {"spec", "networks"},
	} {
		machines := &unstructured.UnstructuredList{}
		machines.SetGroupVersionKind(schema.GroupVersionKind{Group: "kubevirt.io", Version: "v1", Kind: kind + "List"})
		err = errors.Join(err, c.each(ctx, machines, func(o client.Object) bool {
			machine := o.(*unstructured.Unstructured)
			if !slices.ContainsFunc(o.GetOwnerReferences(), isVM) && machineNames(machine, networks, ref) {
				users = append(users, kind+" "+o.GetNamespace()+"/"+o.GetName())
			}
			return len(users) < maxUsers
		}))
	}
	slices.Sort(users)
	return users, err
}

func (c Cluster) podNames(o client.Object, ref nad.Ref) bool {
	for annotation, namespace := range map[string]string{
		nad.NetworksAnnotation: o.GetNamespace(), nad.DefaultNetworkAnnotation: c.MultusNamespace,
	} {
		networks, problems := nad.ParseNetworks(o.GetAnnotations()[annotation], namespace, nil)
		named := slices.ContainsFunc(networks.Selections, func(s nad.Selection) bool { return s.Ref == ref })
		if named && len(problems) == 0 {
			return true
		}
	}
	return false
}

// machineNames reports whether a VM or an instance has, in its list of networks, one of a NAD, as KubeVirt reads its
// name.
func machineNames(o *unstructured.Unstructured, list []string, ref nad.Ref) bool {
	networks, _, _ := unstructured.NestedSlice(o.Object, list...)
	return slices.ContainsFunc(networks, func(n any) bool {
		network, _ := n.(map[string]any)
		name, _, _ := unstructured.NestedString(network, "multus", "networkName")
		return name == ref.String() || name == ref.Name && o.GetNamespace() == ref.Namespace
	})
}

// each reads a list page by page until a visitor has seen enough. A kind that is not installed has no objects.
func (c Cluster) each(
	ctx context.Context, list client.ObjectList, visit func(client.Object) bool, of ...client.ListOption,
) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for next := ""; ; {
		page := append(slices.Clone(of), client.Limit(pageSize), client.Continue(next))
		if err := c.Reader.List(ctx, list, page...); err != nil {
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
