// SPDX-License-Identifier: Apache-2.0

package arming

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// clusterWith returns an API server that has objects of these kinds and names.
func clusterWith(t *testing.T, objects ...Neighbour) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, n := range Neighbours() {
		scheme.AddKnownTypeWithName(n.Kind, &metav1.PartialObjectMetadata{})
		list := schema.GroupVersionKind{Group: n.Kind.Group, Version: n.Kind.Version, Kind: n.Kind.Kind + "List"}
		scheme.AddKnownTypeWithName(list, &metav1.PartialObjectMetadataList{})
	}
	builder := fake.NewClientBuilder().WithScheme(scheme)
	for _, n := range objects {
		o := &metav1.PartialObjectMetadata{}
		o.SetGroupVersionKind(n.Kind)
		o.SetNamespace(n.Namespace)
		o.SetName(n.Name)
		builder = builder.WithObjects(o)
	}
	return builder.Build()
}

func TestEveryNeighbourStandsInTheWay(t *testing.T) {
	for _, n := range Neighbours() {
		name := n.Kind.Kind + " " + strings.TrimPrefix(n.Namespace+"/"+n.Name, "/")
		t.Run(name, func(t *testing.T) {
			require.NotEmpty(t, n.Remove)
			w := &Watch{Reader: clusterWith(t, n)}
			err := w.Check(t.Context())
			require.ErrorContains(t, err, n.Project+" is installed: there is "+name+". To take over, "+n.Remove)

			agents := &Watch{Reader: clusterWith(t, n), Neighbours: OnNodes()}
			assert.Equal(t, n.Nodes, agents.Check(t.Context()) != nil, "agents wait for who writes to nodes")

			for _, own := range []string{NameOf(Mutating), Configuration} {
				ours := Neighbour{Kind: Neighbours()[1].Kind, Name: own}
				first := &Watch{Reader: clusterWith(t, n, ours)}
				assert.NoError(t, first.Check(t.Context()), "who was here first goes on, by whichever name")
			}
		})
	}
}

func TestWhoComesLaterIsTheAdministratorsWish(t *testing.T) {
	c := clusterWith(t)
	w := &Watch{Reader: c}
	require.NoError(t, w.Check(t.Context()))
	late := &metav1.PartialObjectMetadata{}
	late.SetGroupVersionKind(Neighbours()[1].Kind)
	late.SetName(Neighbours()[1].Name)
	require.NoError(t, c.Create(t.Context(), late))
	assert.NoError(t, w.Check(t.Context()))
}
