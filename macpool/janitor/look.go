// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// pageSize is how many objects are read from the API server at once: a cluster of any size fits into memory page by
// page.
const pageSize = 500

// A finding is what lists of objects tell of some addresses.
type finding struct {
	// has are the holders of each address. Where not all were looked for, those that were are in it, if only with none.
	has     map[macpool.MAC][]macpool.Holder
	unknown []string        // kinds that the API server does not know now
	unseen  map[string]bool // kinds that may have more of them for that
	every   bool            // all addresses are looked for
}

// newFinding has these addresses looked for.
func newFinding(macs []macpool.MAC) *finding {
	f := &finding{has: map[macpool.MAC][]macpool.Holder{}, unseen: map[string]bool{}}
	for _, m := range macs {
		f.has[m] = nil
	}
	return f
}

func (f *finding) note(o macpool.Object, addresses map[macpool.MAC]string) {
	for m, iface := range addresses {
		if _, asked := f.has[m]; asked || f.every {
			f.has[m] = append(f.has[m], macpool.Holder{Object: o, Interface: iface})
		}
	}
}

// shows reports whether an object was found to have an address, or may have it and cannot be seen.
func (f *finding) shows(m macpool.MAC, o macpool.Object) bool {
	return f.unseen[o.Kind] || slices.ContainsFunc(f.has[m], func(h macpool.Holder) bool { return h.Object == o })
}

// all are the addresses of every VM, instance and pod of the cluster, in one consistent read of each kind. Kinds that
// the API server does not know now are not seen: what they hold may be there all the same.
func (c Objects) all(ctx context.Context) (*finding, error) {
	found := newFinding(nil)
	found.every = true
	return found, c.listAll(ctx, found)
}

// who is all for a few addresses.
func (c Objects) who(ctx context.Context, macs []macpool.MAC) (*finding, error) {
	found := newFinding(macs)
	if len(macs) == 0 {
		return found, nil
	}
	return found, c.listAll(ctx, found)
}

func (c Objects) listAll(ctx context.Context, found *finding) error {
	if err := c.listVMs(ctx, found); err != nil {
		return err
	}
	return c.listPods(ctx, found)
}

// listLike finds what objects of the kind and the namespace of another have. Instances are looked at with their VMs.
func (c Objects) listLike(ctx context.Context, found *finding, o macpool.Object) error {
	if !named(o.Namespace) {
		return nil
	}
	if o.Kind == macpool.KindPod {
		return c.listPods(ctx, found, client.InNamespace(o.Namespace))
	}
	return c.listVMs(ctx, found, client.InNamespace(o.Namespace))
}

// listVMs finds the addresses of VMs and their instances.
func (c Objects) listVMs(ctx context.Context, found *finding, of ...client.ListOption) error {
	errVM := c.pages(ctx, func() client.ObjectList { return &vmList{} }, of, func(list client.ObjectList) {
		vms := list.(*vmList)
		for i := range vms.Items {
			v := &vms.Items[i]
			found.note(vmObject(client.ObjectKeyFromObject(v)), v.addresses(c.TakesMAC))
		}
	})
	errVMI := c.pages(ctx, func() client.ObjectList { return &vmiList{} }, of, func(list client.ObjectList) {
		vmis := list.(*vmiList)
		for i := range vmis.Items {
			found.note(vmis.Items[i].holder(), vmis.Items[i].addresses(c.TakesMAC))
		}
	})
	for kind, err := range map[string]error{macpool.KindVM: errVM, macpool.KindVMI: errVMI} {
		switch {
		case meta.IsNoMatchError(err):
			found.unknown = append(found.unknown, kind)
			found.unseen[macpool.KindVM], found.unseen[macpool.KindVMI] = true, true
		case err != nil:
			return fmt.Errorf("list %ss: %w", kind, err)
		}
	}
	return nil
}

// listPods finds the addresses of the pods that may have some.
func (c Objects) listPods(ctx context.Context, found *finding, of ...client.ListOption) error {
	if !c.Cached { // the cache has no others
		of = append(of, client.MatchingFieldsSelector{Selector: mayHold()})
	}
	err := c.pages(ctx, func() client.ObjectList { return podList() }, of, func(list client.ObjectList) {
		pods := list.(*metav1.PartialObjectMetadataList)
		for i := range pods.Items {
			p := &pods.Items[i]
			found.note(podObject(client.ObjectKeyFromObject(p)), podAddresses(p, c.TakesMAC))
		}
	})
	if err != nil {
		return fmt.Errorf("list Pods: %w", err)
	}
	return nil
}

// pages visits a list: a cached one as a whole, another one page by page.
func (c Objects) pages(
	ctx context.Context, list func() client.ObjectList, of []client.ListOption, visit func(client.ObjectList),
) error {
	if c.Cached {
		all := list()
		err := c.Reader.List(ctx, all, of...)
		visit(all)
		return err
	}
	for next := ""; ; {
		page := list()
		of := append(slices.Clone(of), client.Limit(pageSize), client.Continue(next))
		if err := c.Reader.List(ctx, page, of...); err != nil {
			return err
		}
		visit(page)
		if next = page.GetContinue(); next == "" {
			return nil
		}
	}
}
