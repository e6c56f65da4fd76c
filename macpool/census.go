package macpool

import (
	"context"
	"fmt"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A KubeCensus reads from the API server which objects exist and which addresses they have. Its reader must not be a
// cache.
type KubeCensus struct {
	Reader client.Reader
}

var _ Census = KubeCensus{}

// Exists implements Census: a VM is there while it or its instance is.
func (c KubeCensus) Exists(ctx context.Context, o Object) (bool, error) {
	kinds := []string{o.Kind}
	if o.Kind == KindVM {
		kinds = append(kinds, KindVMI)
	}
	for _, kind := range kinds {
		found := &metav1.PartialObjectMetadata{}
		found.SetGroupVersionKind(kubevirtVersion().WithKind(kind))
		if kind == KindPod {
			found.SetGroupVersionKind(podVersion().WithKind(kind))
		}
		err := c.Reader.Get(ctx, types.NamespacedName{Namespace: o.Namespace, Name: o.Name}, found)
		if err == nil {
			return true, nil
		}
		if !absent(err) {
			return false, fmt.Errorf("get %s %s/%s: %w", kind, o.Namespace, o.Name, err)
		}
	}
	return false, nil
}

// A subject is what is settled at a time: a pod, or a VM together with its instance, which has its name.
type subject struct {
	pod bool
	key types.NamespacedName
}

// holders are the objects that may hold addresses on behalf of the subject.
func (s subject) holders() []Object {
	if s.pod {
		return []Object{podObject(s.key)}
	}
	return []Object{vmObject(s.key), {Kind: KindVMI, Namespace: s.key.Namespace, Name: s.key.Name}}
}

// addresses are what a subject has now, by whom they are held.
func (c KubeCensus) addresses(ctx context.Context, s subject) (map[Object]map[MAC]string, error) {
	if !s.pod {
		return c.addressesOfVM(ctx, s.key)
	}
	p := pod()
	err := c.Reader.Get(ctx, s.key, p)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get Pod %s: %w", s.key, err)
	}
	return map[Object]map[MAC]string{podObject(s.key): podAddresses(p)}, nil
}

// addressesOfVM are what a VM and its instance, or an instance without a VM, have now.
func (c KubeCensus) addressesOfVM(ctx context.Context, key types.NamespacedName) (map[Object]map[MAC]string, error) {
	var v vm
	var i vmi
	errVM := c.Reader.Get(ctx, key, &v)
	if errVM != nil && !absent(errVM) {
		return nil, fmt.Errorf("get VirtualMachine %s: %w", key, errVM)
	}
	errVMI := c.Reader.Get(ctx, key, &i)
	if errVMI != nil && !absent(errVMI) {
		return nil, fmt.Errorf("get VirtualMachineInstance %s: %w", key, errVMI)
	}
	found := map[Object]map[MAC]string{}
	if errVM == nil {
		add(found, vmObject(key), v.addresses())
	}
	if errVMI == nil {
		add(found, i.holder(), i.addresses())
	}
	return found, nil
}

// all are the addresses of every VM, instance and pod of the cluster, in one consistent read of each kind.
func (c KubeCensus) all(ctx context.Context) (map[MAC][]Holder, error) {
	holders := map[MAC][]Holder{}
	note := func(o Object, addresses map[MAC]string) {
		for m, iface := range addresses {
			holders[m] = append(holders[m], Holder{Object: o, Interface: iface})
		}
	}
	var vms vmList
	if err := c.Reader.List(ctx, &vms); err != nil && !absent(err) {
		return nil, fmt.Errorf("list VirtualMachines: %w", err)
	}
	for i := range vms.Items {
		v := &vms.Items[i]
		note(vmObject(client.ObjectKeyFromObject(v)), v.addresses())
	}
	var vmis vmiList
	if err := c.Reader.List(ctx, &vmis); err != nil && !absent(err) {
		return nil, fmt.Errorf("list VirtualMachineInstances: %w", err)
	}
	for i := range vmis.Items {
		note(vmis.Items[i].holder(), vmis.Items[i].addresses())
	}
	pods := podList()
	if err := c.Reader.List(ctx, pods); err != nil {
		return nil, fmt.Errorf("list Pods: %w", err)
	}
	for i := range pods.Items {
		note(podObject(client.ObjectKeyFromObject(&pods.Items[i])), podAddresses(&pods.Items[i]))
	}
	return holders, nil
}

func add(found map[Object]map[MAC]string, o Object, addresses map[MAC]string) {
	if found[o] == nil {
		found[o] = map[MAC]string{}
	}
	maps.Copy(found[o], addresses)
}

func vmObject(key types.NamespacedName) Object {
	return Object{Kind: KindVM, Namespace: key.Namespace, Name: key.Name}
}

// absent says whether an object, or its whole kind, is not there.
func absent(err error) bool {
	return apierrors.IsNotFound(err) || meta.IsNoMatchError(err)
}
