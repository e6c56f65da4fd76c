// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/nad"
)

// beside returns the interfaces that the pod of a VM has beside those of the VM, where they are to have an address
// which the VM does not have and did not ask for before.
func (w VMReviewer) beside(namespace string, c vmChange, old *virtualMachine) []nic {
	before := old.handedOn(namespace)
	handed := slices.DeleteFunc(c.vm.handedOn(namespace), func(i nad.Interface) bool {
		return slices.ContainsFunc(before, func(was nad.Interface) bool {
			return was.Ref == i.Ref && sameAddress(was.Asked, i.Asked)
		})
	})
	var own []nic
	for _, n := range c.nics {
		if n.served {
			own = append(own, n.nic)
		}
	}
	return ofPod(handed, own, field.NewPath("spec", "template"), w.TakesMAC)
}

// ofPod returns, of interfaces that the pod of a machine has beside those of the machine, the ones with an address that
// is ours to look after and that none of the machine's own has. at is where the machine is described, takes whether an
// interface has an address that can be given; nil says so of all. An address that no interface can have is refused
// where the pod is.
func ofPod(handed []nad.Interface, own []nic, at *field.Path, takes func(nad.Interface) bool) []nic {
	var beside []nic
	for _, i := range handed {
		m, err := macpool.ParseInterfaceMAC(i.Asked)
		known := slices.ContainsFunc(slices.Concat(own, beside), func(n nic) bool { return n.mac == m })
		if err != nil || known || takes != nil && !takes(i) {
			continue
		}
		key := nad.NetworksAnnotation
		if i.Primary {
			key = nad.DefaultNetworkAnnotation
		}
		path := at.Child("metadata", "annotations").Key(key)
		beside = append(beside, nic{name: i.OfPod(), text: i.Asked, mac: m, path: path, ofPod: true})
	}
	return beside
}

// handedOn is handedOn of a VM. There are no interfaces where there is no VM.
func (vm *virtualMachine) handedOn(namespace string) []nad.Interface {
	if vm == nil || vm.Spec.Template == nil {
		return nil
	}
	return handedOn(namespace, vm.Spec.Template.annotations(), vm.networks)
}

// handedOn returns the interfaces that the pod of a machine with these annotations and networks has beside those of the
// machine, and asks for an address of. What cannot be read of the annotations is refused where the pod is.
func handedOn(namespace string, annotations map[string]string, networks []*vmNetwork) []nad.Interface {
	if len(annotations) == 0 {
		return nil
	}
	var additional, standard bool
	for _, n := range networks {
		if n == nil || !present(n.Multus) {
			continue
		}
		var multus struct {
			Default bool `json:"default"`
		}
		_ = decode(n.Multus, &multus, nil)
		standard, additional = standard || multus.Default, additional || !multus.Default
	}
	return nad.HandedOn(namespace, annotations, additional, standard)
}

// annotations returns those that instances made from a template have.
func (t machineTemplate) annotations() map[string]string {
	var of metadata
	_ = decode(t.Metadata, &of, nil) // what is wrong with it is KubeVirt's to say
	return of.Annotations
}
