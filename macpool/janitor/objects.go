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
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
	"github.com/bridgehead-dev/bridgehead/nad"
)

// Objects reads from the API server which objects exist and which addresses they have. It answers for a ledger only if
// its reader is no cache.
type Objects struct {
	Reader client.Reader
	// Cached says that the reader is a cache of NewVMCache, and may be behind.
	Cached bool
	// TakesMAC reports whether an interface of a pod has an address that can be given; nil says so of all.
	TakesMAC func(nad.Interface) bool
	// Launchers, if set, are what pods of VMs had a moment ago.
	Launchers *Launchers
}

var _ ledger.ObjectReader = Objects{}

// Having implements ledger.ObjectReader: a VM has what the instance of its name has, also where that was left behind
// (kubectl delete --cascade=orphan) and the ledger does not know it as a holder yet.
func (c Objects) Having(ctx context.Context, o macpool.Object, macs ...macpool.MAC) ([]macpool.MAC, error) {
	if o.Name == "" {
		return c.becameWith(ctx, o, macs)
	}
	addresses, err := c.addresses(ctx, subjectOf(o))
	var had []macpool.MAC
	for _, m := range macs {
		for _, of := range addresses {
			if _, has := of[m]; has {
				had = append(had, m)
				break
			}
		}
	}
	if len(had) < len(macs) && err != nil { // what could not be read may have the others
		return nil, err
	}
	return had, nil
}

// Ended implements ledger.ObjectReader. Only pods are there when they have ended and are about to be replaced by one of
// another name: those of Jobs and ReplicaSets. One that ended before the janitor saw it has its address by its claim.
func (c Objects) Ended(ctx context.Context, o macpool.Object, m macpool.MAC) (bool, error) {
	if o.Kind != macpool.KindPod || !named(o.Namespace) || o.Name != "" && !named(o.Name) {
		return false, nil
	}
	found := false
	for _, phase := range []corev1.PodPhase{corev1.PodSucceeded, corev1.PodFailed} {
		of := fields.OneTermEqualSelector("status.phase", string(phase))
		if o.Name != "" {
			of = fields.AndSelectors(of, fields.OneTermEqualSelector("metadata.name", o.Name))
		}
		selected := []client.ListOption{client.InNamespace(o.Namespace), client.MatchingFieldsSelector{Selector: of}}
		err := c.pages(ctx, func() client.ObjectList { return podList() }, selected, func(list client.ObjectList) {
			pods := list.(*metav1.PartialObjectMetadataList)
			for i := range pods.Items {
				p := &pods.Items[i]
				_, had := attachedAddresses(p, c.TakesMAC)[m]
				found = found || had && (macpool.NameIsGenerated(o.Name, p.GenerateName) || o.Made(p.Annotations))
			}
		})
		if err != nil {
			return false, fmt.Errorf("list Pods: %w", err)
		}
	}
	return found, nil
}

// becameWith returns those of the addresses that objects have which one created by generateName may have become.
func (c Objects) becameWith(ctx context.Context, o macpool.Object, macs []macpool.MAC) ([]macpool.MAC, error) {
	found := newFinding(macs)
	if err := c.listLike(ctx, found, o); err != nil {
		return nil, err
	}
	if found.unseen[o.Kind] {
		return nil, fmt.Errorf("look for %s: the API server does not know %ss now", o, o.Kind)
	}
	became := func(h macpool.Holder) bool { return o.Becomes(h.Object) }
	return slices.DeleteFunc(slices.Clone(macs), func(m macpool.MAC) bool {
		return !slices.ContainsFunc(found.has[m], became)
	}), nil
}

// subjectOf returns the subject whose addresses an object holds.
func subjectOf(o macpool.Object) subject {
	return subject{pod: o.Kind == macpool.KindPod, key: types.NamespacedName{Namespace: o.Namespace, Name: o.Name}}
}

// A subject is what is decided about as one: a pod, or a VM together with its instance, which has its name.
type subject struct {
	pod bool
	key types.NamespacedName
}

// holders returns the objects that may hold addresses on behalf of the subject.
func (s subject) holders() []macpool.Object {
	if s.pod {
		return []macpool.Object{podObject(s.key)}
	}
	return []macpool.Object{vmObject(s.key), {Kind: macpool.KindVMI, Namespace: s.key.Namespace, Name: s.key.Name}}
}

// addresses returns what a subject has now, by whom they are held. One that the API server cannot be asked for has
// nothing: names are judged after admission, so a block may have any.
func (c Objects) addresses(ctx context.Context, s subject) (map[macpool.Object]map[macpool.MAC]string, error) {
	if !named(s.key.Namespace) || !named(s.key.Name) {
		return nil, nil
	}
	if !s.pod {
		return c.addressesOfVM(ctx, s.key)
	}
	p, err := c.pod(ctx, s.key, mayHold())
	if p == nil || err != nil {
		return nil, err
	}
	addressesOf := podAddresses
	if !c.Cached {
		// The pod of a VM holds nothing, so one that holds an address was none when it was given that: who changes its labels
		// does not take its interface away. The cache, by which addresses are taken in, has no pods of VMs.
		addressesOf = attachedAddresses
	}
	return map[macpool.Object]map[macpool.MAC]string{podObject(s.key): addressesOf(p, c.TakesMAC)}, nil
}

// named reports whether an object, or its namespace, can have a name.
func named(name string) bool { return name != "" && len(content.IsPathSegmentName(name)) == 0 }

// pod returns the pod of a name if it is one of these, else nil. The cache has no others than those that may have
// addresses of their own.
func (c Objects) pod(
	ctx context.Context, key types.NamespacedName, of fields.Selector,
) (*metav1.PartialObjectMetadata, error) {
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
	named := fields.AndSelectors(fields.OneTermEqualSelector("metadata.name", key.Name), of)
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

// mayHold selects pods that may have addresses of their own: those that have ended have none any more, and those on the
// network of their node never had one, whatever their annotations say.
func mayHold() fields.Selector {
	return fields.AndSelectors(
		fields.OneTermNotEqualSelector("spec.hostNetwork", "true"),
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)))
}

// addressesOfVM returns what a VM and its instance, or an instance without a VM, have now; with an error, what could be
// read of it. Where the instance is gone and its pod is not, both have what the pod has. The cache has no pods of VMs:
// by what they have nothing is taken in, it only stays.
func (c Objects) addressesOfVM(
	ctx context.Context, key types.NamespacedName,
) (map[macpool.Object]map[macpool.MAC]string, error) {
	var v vm
	var i vmi
	errVM := c.Reader.Get(ctx, key, &v)
	if errVM != nil && !isGone(errVM) && !c.leaves(errVM) {
		return nil, fmt.Errorf("get VirtualMachine %s: %w", key, errVM)
	}
	found := map[macpool.Object]map[macpool.MAC]string{}
	if errVM == nil {
		add(found, vmObject(key), v.addresses(c.TakesMAC))
	}
	errVMI := c.Reader.Get(ctx, key, &i)
	switch {
	case errVMI == nil:
		add(found, i.holder(), i.addresses(c.TakesMAC))
	case !isGone(errVMI) && !c.leaves(errVMI):
		return found, fmt.Errorf("get VirtualMachineInstance %s: %w", key, errVMI)
	case !c.Cached:
		left, err := c.Launchers.of(ctx, c, key)
		if err != nil {
			return found, err
		}
		for _, o := range (subject{key: key}).holders() {
			add(found, o, left)
		}
	}
	return found, nil
}

// leaves reports whether an error says that the API server has not known the kind of an object yet. A cache, by which
// addresses are taken in, leaves such objects for later; past it they are not gone.
func (c Objects) leaves(err error) bool { return c.Cached && meta.IsNoMatchError(err) }

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
