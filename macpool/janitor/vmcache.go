// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// NewVMCache returns a cache for the VMs and pods that a janitor watches, without the metadata it has no use for, from
// which no object may be changed. It is apart from others so that it goes with the janitor, and so that KubeVirt need
// not be there when it is made. podNamespaces selects the namespaces whose pods' addresses are kept in the ledger.
func NewVMCache(cfg *rest.Config, scheme *runtime.Scheme, podNamespaces labels.Selector) (cache.Cache, error) {
	pods, err := podsByObject(podNamespaces)
	if err != nil {
		return nil, err
	}
	vms, err := cache.New(cfg, cache.Options{
		Scheme: scheme, DefaultTransform: stripMetadata, ByObject: pods, DefaultUnsafeDisableDeepCopy: ptr.To(true),
	})
	if err != nil {
		return nil, fmt.Errorf("make cache of VMs and pods: %w", err)
	}
	return vms, nil
}

func stripMetadata(o any) (any, error) {
	switch v := o.(type) { // before the annotations go
	case *vm:
		v.known = v.know()
		v.Spec.Template = nil
	case *vmi:
		v.known = v.know()
		v.Spec, v.Status.Interfaces = instanceSpec{}, nil
	}
	if object, ok := o.(metav1.Object); ok {
		object.SetManagedFields(nil)
		var kept map[string]string
		if with, ok := object.GetAnnotations()[macpool.ShareAnnotation]; ok {
			kept = map[string]string{macpool.ShareAnnotation: with}
		}
		object.SetAnnotations(kept)
		object.SetLabels(nil)
		object.SetFinalizers(nil)
	}
	return o, nil
}

// DeepCopyObject implements runtime.Object.
func (v *vm) DeepCopyObject() runtime.Object {
	c := *v
	c.ObjectMeta = *v.ObjectMeta.DeepCopy()
	if v.Spec.Template != nil {
		c.Spec.Template = &vmTemplate{Metadata: v.Spec.Template.Metadata, Spec: v.Spec.Template.Spec.clone()}
		c.Spec.Template.Metadata.Annotations = maps.Clone(v.Spec.Template.Metadata.Annotations)
	}
	return &c
}

// DeepCopyObject implements runtime.Object.
func (v *vmi) DeepCopyObject() runtime.Object {
	c := *v
	c.ObjectMeta = *v.ObjectMeta.DeepCopy()
	c.Spec = v.Spec.clone()
	c.Status.Interfaces = slices.Clone(v.Status.Interfaces)
	if v.Status.MigrationState != nil {
		state := *v.Status.MigrationState
		c.Status.MigrationState = &state
	}
	return &c
}

// DeepCopyObject implements runtime.Object.
func (l *vmList) DeepCopyObject() runtime.Object {
	c := *l
	c.Items = make([]vm, len(l.Items))
	for i := range l.Items {
		c.Items[i] = *l.Items[i].DeepCopyObject().(*vm)
	}
	return &c
}

// DeepCopyObject implements runtime.Object.
func (l *vmiList) DeepCopyObject() runtime.Object {
	c := *l
	c.Items = make([]vmi, len(l.Items))
	for i := range l.Items {
		c.Items[i] = *l.Items[i].DeepCopyObject().(*vmi)
	}
	return &c
}

func (s instanceSpec) clone() instanceSpec {
	s.Domain.Devices.Interfaces = slices.Clone(s.Domain.Devices.Interfaces)
	s.Networks = slices.Clone(s.Networks)
	return s
}
