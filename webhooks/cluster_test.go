// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/nad"
)

// A hurried is a cluster without objects that is not to be asked for any without a deadline.
type hurried struct {
	client.Reader
	t *testing.T
}

// List implements client.Reader.
func (h hurried) List(ctx context.Context, list client.ObjectList, _ ...client.ListOption) error {
	_, bounded := ctx.Deadline()
	assert.True(h.t, bounded, "a list of %T is waited for as long as the client waits for us", list)
	return nil
}

func TestNoLookForWarningsTakesAsLongAsItLikes(t *testing.T) {
	for name, look := range map[string]func(ctx context.Context, c Cluster) error{
		"which nodes have a resource": func(ctx context.Context, c Cluster) error {
			_, err := c.Advertising(ctx, nad.BridgePrefix+"br0")
			return err
		},
		"where a bridge lacks VLANs": func(ctx context.Context, c Cluster) error {
			_, err := c.Unserved(ctx, nad.Bridge{Name: "br0", VLAN: 100})
			return err
		},
		"who uses a network": func(ctx context.Context, c Cluster) error {
			_, err := c.Users(ctx, nad.Ref{Namespace: "home", Name: "l2"})
			return err
		},
		"where a policy is applied": func(ctx context.Context, c Cluster) error {
			_, err := c.AppliedBy(ctx, "br0")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, look(t.Context(), Cluster{Reader: hurried{t: t}}))
		})
	}
}

// A populated is a cluster with machines, of a kind each, and with the same page of pods again and again.
type populated struct {
	client.Reader
	pods     []metav1.PartialObjectMetadata
	endless  bool
	machines map[string][]unstructured.Unstructured
	pages    int
}

// List implements client.Reader.
func (p *populated) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	switch list := list.(type) {
	case *metav1.PartialObjectMetadataList:
		list.Items = p.pods
		p.pages++
		if p.endless && p.pages < 10 {
			list.Continue = "more"
		}
	case *unstructured.UnstructuredList:
		list.Items = p.machines[list.GetKind()]
	}
	return nil
}

func TestWhoUsesANetwork(t *testing.T) {
	pod := func(namespace, annotation, networks string) metav1.PartialObjectMetadata {
		return metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "pod", Annotations: map[string]string{annotation: networks},
		}}
	}
	instance := func(namespace, network string, owners ...metav1.OwnerReference) unstructured.Unstructured {
		type m = map[string]any
		o := unstructured.Unstructured{Object: m{"spec": m{"networks": []any{
			m{"name": "pod", "pod": m{}}, "odd", m{"name": "net", "multus": m{"networkName": network}},
		}}}}
		o.SetNamespace(namespace)
		o.SetName("vm")
		o.SetOwnerReferences(owners)
		return o
	}
	launcher := pod("home", nad.NetworksAnnotation, "l2")
	launcher.Labels = map[string]string{nad.LauncherLabel: nad.Launcher}
	for name, c := range map[string]struct {
		pods []metav1.PartialObjectMetadata
		vmi  unstructured.Unstructured
		want []string
	}{
		"a pod in its namespace":         {pods: []metav1.PartialObjectMetadata{pod("home", nad.NetworksAnnotation, "l3, l2")}, want: []string{"Pod home/pod"}},
		"a pod in another":               {pods: []metav1.PartialObjectMetadata{pod("far", nad.NetworksAnnotation, "home/l2")}, want: []string{"Pod far/pod"}},
		"a pod with its default network": {pods: []metav1.PartialObjectMetadata{pod("far", nad.DefaultNetworkAnnotation, "l2")}, want: []string{"Pod far/pod"}},
		"a pod with another network":     {pods: []metav1.PartialObjectMetadata{pod("far", nad.NetworksAnnotation, "l2")}},
		"a pod that Multus refuses":      {pods: []metav1.PartialObjectMetadata{pod("home", nad.NetworksAnnotation, "l2, l2@a@b")}},
		"the pod of a VM":                {pods: []metav1.PartialObjectMetadata{launcher}},
		"an instance":                    {vmi: instance("home", "l2"), want: []string{"VirtualMachineInstance home/vm"}},
		"an instance of another":         {vmi: instance("far", "home/l2"), want: []string{"VirtualMachineInstance far/vm"}},
		"an instance on another network": {vmi: instance("far", "l2")},
		"an instance of a VM": {
			vmi: instance("home", "l2", metav1.OwnerReference{Kind: "VirtualMachine", Name: "vm", Controller: new(true)}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			reader := &populated{pods: c.pods}
			reader.machines = map[string][]unstructured.Unstructured{"VirtualMachineInstanceList": {c.vmi}}
			look := Cluster{Reader: reader, MultusNamespace: "home"}
			users, err := look.Users(t.Context(), nad.Ref{Namespace: "home", Name: "l2"})
			require.NoError(t, err)
			assert.Equal(t, c.want, users)
		})
	}
	t.Run("not all of very many", func(t *testing.T) {
		page := slices.Repeat([]metav1.PartialObjectMetadata{pod("home", nad.NetworksAnnotation, "l2")}, 30)
		reader := &populated{pods: page, endless: true}
		users, err := Cluster{Reader: reader}.Users(t.Context(), nad.Ref{Namespace: "home", Name: "l2"})
		require.NoError(t, err)
		assert.Len(t, users, maxUsers)
		assert.Equal(t, 2, reader.pages)
	})
}
