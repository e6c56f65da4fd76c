// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// listed lists VMs, or fails, in place of what the client has.
type listed struct {
	client.Client
	vms  []*unstructured.Unstructured
	fail error
}

func (l listed) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	vms, ok := list.(*unstructured.UnstructuredList)
	if !ok || l.fail != nil {
		return errors.Join(l.fail, l.Client.List(ctx, list, options...))
	}
	for _, vm := range l.vms {
		vms.Items = append(vms.Items, *vm)
	}
	return nil
}

func TestWhatTheLookOutSees(t *testing.T) {
	vm := func(name string, macs ...any) *unstructured.Unstructured {
		v := newVM("first", name)
		var interfaces []any
		for _, mac := range macs {
			interfaces = append(interfaces, map[string]any{"macAddress": mac})
		}
		require.NoError(t, unstructured.SetNestedSlice(v.Object, interfaces, interfacesPath()...))
		return v
	}
	for name, tc := range map[string]struct {
		there listed
		want  string
	}{
		"each has its own": {there: listed{vms: []*unstructured.Unstructured{
			vm("vma", "02:00:00:00:00:01", "02:00:00:00:00:02"), vm("vmb", "02:00:00:00:00:03"),
		}}},
		"two have one": {
			there: listed{vms: []*unstructured.Unstructured{vm("vma", "02:00:00:00:00:01"), vm("vmb", "02:00:00:00:00:01")}},
			want:  "DUPLICATE: VirtualMachine first/vma and VirtualMachine first/vmb both have 02:00:00:00:00:01",
		},
		"one has none": {
			there: listed{vms: []*unstructured.Unstructured{vm("vma", "")}},
			want:  "VirtualMachine first/vma was admitted with an interface without address",
		},
		"the API server is away": {there: listed{fail: errors.New("connection refused")}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tc.there.Client = fake.NewClientBuilder().WithScheme(scheme.Scheme).Build()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				err := (&field{suite: &suite.Suite{Client: tc.there}}).watchForDuplicates(ctx)
				if tc.want == "" {
					assert.NoError(t, err)
					return
				}
				assert.ErrorContains(t, err, tc.want)
			})
		})
	}
}
