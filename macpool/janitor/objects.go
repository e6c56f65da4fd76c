// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
	"github.com/bridgehead-dev/bridgehead/nad"
)

// A Objects reads from the API server which objects exist and which addresses they have. It answers for
// a ledger only if its reader is no cache.
type Objects struct {
	Reader client.Reader
	// Cached says that the reader is a cache of NewVMCache, and may be behind.
	Cached bool
	// TakesMAC reports whether interfaces on a network have an address that can be given; nil says so of all.
	TakesMAC func(nad.Ref) bool
}

var _ ledger.ObjectReader = Objects{}

// Has implements ledger.ObjectReader: a VM has what its instance has.
func (c Objects) Has(ctx context.Context, o macpool.Object, m macpool.MAC) (bool, error) {
	if o.Name == "" {
		return c.becameWith(ctx, o, m)
	}
	addresses, err := c.addresses(ctx, subjectOf(o))
	if err != nil {
		return false, err
	}
	_, has := addresses[o][m]
	return has, nil
}

// becameWith reports whether an object that one created by generateName may have become has the address.
func (c Objects) becameWith(ctx context.Context, o macpool.Object, m macpool.MAC) (bool, error) {
	found := &finding{has: map[macpool.MAC][]macpool.Holder{}, unseen: map[string]bool{}}
	list := c.listVMs
	if o.Kind == macpool.KindPod {
		list = c.listPods
	}
	if err := list(ctx, found, client.InNamespace(o.Namespace)); err != nil {
		return false, err
	}
	if found.unseen[o.Kind] {
		return false, fmt.Errorf("look for %s: the API server does not know %ss now", o, o.Kind)
	}
	return slices.ContainsFunc(found.has[m], func(h macpool.Holder) bool { return o.Becomes(h.Object) }), nil
}

// subjectOf is the subject whose addresses an object holds.
func subjectOf(o macpool.Object) subject {
	return subject{pod: o.Kind == macpool.KindPod, key: types.NamespacedName{Namespace: o.Namespace, Name: o.Name}}
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
	p, err := c.pod(ctx, s.key)
	if p == nil || err != nil {
		return nil, err
	}
	return map[macpool.Object]map[macpool.MAC]string{podObject(s.key): podAddresses(p, c.TakesMAC)}, nil
}

// pod is a pod that has not ended, nil if there is none.
func (c Objects) pod(ctx context.Context, key types.NamespacedName) (*metav1.PartialObjectMetadata, error) {
	if c.Cached {
		p := pod()
		err := c.Reader.Get(ctx, key, p)
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("get Pod %s: %w", key, err)
		}
		return p, nil
	}
	found := podList()
	named := fields.AndSelectors(fields.OneTermEqualSelector("metadata.name", key.Name), notEnded())
	if err := c.Reader.List(
		ctx, found, client.InNamespace(key.Namespace), client.MatchingFieldsSelector{Selector: named},
	); err != nil {
		return nil, fmt.Errorf("look for Pod %s: %w", key, err)
	}
	if len(found.Items) == 0 {
		return nil, nil
	}
	return &found.Items[0], nil
}

// notEnded selects pods that may run: those that have ended have no address any more.
func notEnded() fields.Selector {
	return fields.AndSelectors(
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)))
}

// addressesOfVM are what a VM and its instance, or an instance without a VM, have now.
func (c Objects) addressesOfVM(
	ctx context.Context, key types.NamespacedName,
) (map[macpool.Object]map[macpool.MAC]string, error) {
	var v vm
	var i vmi
	errVM := c.Reader.Get(ctx, key, &v)
	if errVM != nil && !isGone(errVM) {
		return nil, fmt.Errorf("get VirtualMachine %s: %w", key, errVM)
	}
	errVMI := c.Reader.Get(ctx, key, &i)
	if errVMI != nil && !isGone(errVMI) {
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

// all are the addresses of every VM, instance and pod of the cluster, in one consistent read of each kind. Kinds that
// the API server does not know now are not seen: what they hold may be there all the same.
func (c Objects) all(ctx context.Context) (has map[macpool.MAC][]macpool.Holder, unseen map[string]bool, err error) {
	found := &finding{has: map[macpool.MAC][]macpool.Holder{}, unseen: map[string]bool{}}
	if err := c.listVMs(ctx, found); err != nil {
		return nil, nil, err
	}
	if err := c.listPods(ctx, found); err != nil {
		return nil, nil, err
	}
	return found.has, found.unseen, nil
}

// A finding is what lists of objects tell.
type finding struct {
	has    map[macpool.MAC][]macpool.Holder
	unseen map[string]bool // kinds that the API server does not know now
}

func (f *finding) note(o macpool.Object, addresses map[macpool.MAC]string) {
	for m, iface := range addresses {
		f.has[m] = append(f.has[m], macpool.Holder{Object: o, Interface: iface})
	}
}

// listVMs finds the addresses of VMs and their instances.
func (c Objects) listVMs(ctx context.Context, found *finding, of ...client.ListOption) error {
	if c.Cached { // they are read, and forgotten
		of = append(of, client.UnsafeDisableDeepCopy)
	}
	var vms vmList
	if err := c.Reader.List(ctx, &vms, of...); meta.IsNoMatchError(err) {
		found.unseen[macpool.KindVM], found.unseen[macpool.KindVMI] = true, true
	} else if err != nil {
		return fmt.Errorf("list VirtualMachines: %w", err)
	}
	for i := range vms.Items {
		v := &vms.Items[i]
		found.note(vmObject(client.ObjectKeyFromObject(v)), v.addresses())
	}
	var vmis vmiList
	if err := c.Reader.List(ctx, &vmis, of...); meta.IsNoMatchError(err) {
		found.unseen[macpool.KindVM], found.unseen[macpool.KindVMI] = true, true
	} else if err != nil {
		return fmt.Errorf("list VirtualMachineInstances: %w", err)
	}
	for i := range vmis.Items {
		found.note(vmis.Items[i].holder(), vmis.Items[i].addresses())
	}
	return nil
}

// listPods finds the addresses of pods that have not ended.
func (c Objects) listPods(ctx context.Context, found *finding, of ...client.ListOption) error {
	pods := podList()
	if c.Cached { // it has no others
		of = append(of, client.UnsafeDisableDeepCopy)
	} else {
		of = append(of, client.MatchingFieldsSelector{Selector: notEnded()})
	}
	if err := c.Reader.List(ctx, pods, of...); err != nil {
		return fmt.Errorf("list Pods: %w", err)
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		found.note(podObject(client.ObjectKeyFromObject(p)), podAddresses(p, c.TakesMAC))
	}
	return nil
}

// isGone reports whether an error says that an object is not there. An API server that does not serve its kind, now or
// any more, says nothing of the kind, though it answers by the same status.
func isGone(err error) bool {
	return apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
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
