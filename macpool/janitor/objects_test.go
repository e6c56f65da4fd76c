// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster/apimodel"
)

func kindOf(group, version, kind, resource string, inCluster bool) apimodel.Kind {
	k := apimodel.Kind{Resource: resource, Cluster: inCluster}
	k.Group, k.Version, k.Kind = group, version, kind
	return k
}

func vmKind() apimodel.Kind {
	return kindOf("kubevirt.io", "v1", macpool.KindVM, "virtualmachines", false)
}

func vmiKind() apimodel.Kind {
	return kindOf("kubevirt.io", "v1", macpool.KindVMI, "virtualmachineinstances", false)
}

func podKind() apimodel.Kind { return kindOf("", "v1", macpool.KindPod, "pods", false) }

func blockKind() apimodel.Kind {
	return kindOf(v1alpha1.Group, "v1alpha1", "MACBlock", "macblocks", true)
}

func kubevirtObject(kind, name string, spec, status map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": spec, "status": status}}
	o.SetGroupVersionKind(kubevirtVersion().WithKind(kind))
	o.SetNamespace("default")
	o.SetName(name)
	return o
}

// machine returns the spec of an instance whose interfaces net0, net1, ... on Multus networks have these addresses.
func machine(macs ...macpool.MAC) map[string]any {
	var interfaces, networks []any
	for i, m := range macs {
		name := fmt.Sprint("net", i)
		interfaces = append(interfaces, map[string]any{"name": name, "macAddress": m.String(), "bridge": map[string]any{}})
		networks = append(networks, map[string]any{"name": name, "multus": map[string]any{"networkName": "l2"}})
	}
	return map[string]any{
		"domain": map[string]any{"devices": map[string]any{"interfaces": interfaces}}, "networks": networks,
	}
}

func newVM(name string, macs ...macpool.MAC) *unstructured.Unstructured {
	return kubevirtObject(macpool.KindVM, name, map[string]any{"template": map[string]any{"spec": machine(macs...)}}, nil)
}

// asking returns an annotation that asks for an address on a network.
func asking(network string, m macpool.MAC) string {
	return fmt.Sprintf(`[{"name":%q,"mac":%q}]`, network, m)
}

// handsOn has a VM hand an annotation on to its pod that asks for an address on a network.
func handsOn(vm *unstructured.Unstructured, annotation, network string, m macpool.MAC) *unstructured.Unstructured {
	template := vm.Object["spec"].(map[string]any)["template"].(map[string]any)
	template["metadata"] = map[string]any{"annotations": map[string]any{annotation: asking(network, m)}}
	return vm
}

// newVMI returns an instance of a phase, of the VM of its name if that is wanted.
func newVMI(name, phase string, ofVM bool, macs ...macpool.MAC) *unstructured.Unstructured {
	o := kubevirtObject(macpool.KindVMI, name, machine(macs...), map[string]any{"phase": phase})
	if ofVM {
		o.SetOwnerReferences([]metav1.OwnerReference{{
			APIVersion: "kubevirt.io/v1", Kind: macpool.KindVM, Name: name, UID: "1", Controller: new(true),
		}})
	}
	return o
}

// newPod returns a pod of a phase that asks for an address on a secondary network.
func newPod(name, phase string, m macpool.MAC) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"phase": phase}}}
	o.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(macpool.KindPod))
	o.SetNamespace("default")
	o.SetName(name)
	o.SetAnnotations(map[string]string{
		"k8s.v1.cni.cncf.io/networks": fmt.Sprintf(`[{"name":"l2","mac":%q,"interface":"net1"}]`, m),
	})
	return o
}

// panicking is a cache that panics when it is asked for the object of a name.
type panicking struct {
	cache.Cache
	name string
}

func (p *panicking) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if key.Name == p.name {
		panic(p.name)
	}
	return p.Cache.Get(ctx, key, o, opts...)
}

// panickingEvents panics when it is to tell something.
type panickingEvents struct{ events.EventRecorder }

func (panickingEvents) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {
	panic("told")
}

// vmOn returns a VM with one interface of a binding on a network.
func vmOn(name string, network map[string]any, binding string, m macpool.MAC) *unstructured.Unstructured {
	network["name"] = "net0"
	return kubevirtObject(macpool.KindVM, name, map[string]any{"template": map[string]any{"spec": map[string]any{
		"domain": map[string]any{"devices": map[string]any{"interfaces": []any{
			map[string]any{"name": "net0", "macAddress": m.String(), binding: map[string]any{}},
		}}},
		"networks": []any{network},
	}}}, nil)
}
