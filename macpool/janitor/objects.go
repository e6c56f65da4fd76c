package janitor

import (
	"context"
	"fmt"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

// A Objects reads from the API server which objects exist and which addresses they have. Its reader must not be a
// cache.
type Objects struct {
	Reader client.Reader
}

var _ ledger.ObjectReader = Objects{}

// Exists implements ObjectReader: a VM is there while it or its instance is.
func (c Objects) Exists(ctx context.Context, o macpool.Object) (bool, error) {
	kinds := []string{o.Kind}
	if o.Kind == macpool.KindVM {
		kinds = append(kinds, macpool.KindVMI)
	}
	for _, kind := range kinds {
		found := &metav1.PartialObjectMetadata{}
		found.SetGroupVersionKind(kubevirtVersion().WithKind(kind))
		if kind == macpool.KindPod {
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
func (s subject) holders() []macpool.Object {
	if s.pod {
		return []macpool.Object{podObject(s.key)}
	}
	return []macpool.Object{vmObject(s.key), {Kind: macpool.KindVMI, Namespace: s.key.Namespace, Name: s.key.Name}}
}

// addresses are what a subject has now, by whom they are held.
func (c Objects) addresses(ctx context.Context, s subject) (map[macpool.Object]map[macpool.MAC]string, error) {
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
	return map[macpool.Object]map[macpool.MAC]string{podObject(s.key): podAddresses(p)}, nil
}

// addressesOfVM are what a VM and its instance, or an instance without a VM, have now.
func (c Objects) addressesOfVM(ctx context.Context, key types.NamespacedName) (map[macpool.Object]map[macpool.MAC]string, error) {
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
	found := map[macpool.Object]map[macpool.MAC]string{}
	if errVM == nil {
		add(found, vmObject(key), v.addresses())
	}
	if errVMI == nil {
		add(found, i.holder(), i.addresses())
	}
	return found, nil
}

// all are the addresses of every VM, instance and pod of the cluster, in one consistent read of each kind.
func (c Objects) all(ctx context.Context) (map[macpool.MAC][]macpool.Holder, error) {
	holders := map[macpool.MAC][]macpool.Holder{}
	note := func(o macpool.Object, addresses map[macpool.MAC]string) {
		for m, iface := range addresses {
			holders[m] = append(holders[m], macpool.Holder{Object: o, Interface: iface})
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

func add(found map[macpool.Object]map[macpool.MAC]string, o macpool.Object, addresses map[macpool.MAC]string) {
	if found[o] == nil {
		found[o] = map[macpool.MAC]string{}
	}
	maps.Copy(found[o], addresses)
}

func vmObject(key types.NamespacedName) macpool.Object {
	return macpool.Object{Kind: macpool.KindVM, Namespace: key.Namespace, Name: key.Name}
}

// absent says whether an object, or its whole kind, is not there.
func absent(err error) bool {
	return apierrors.IsNotFound(err) || meta.IsNoMatchError(err)
}
