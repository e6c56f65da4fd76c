// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/nad"
)

// beside returns the interfaces that the pod of a VM has beside those of the VM, where they are to have an address
// which the VM does not have and did not ask for before. What cannot be read of the annotations is refused where the
// pod is.
func (w VMReviewer) beside(namespace string, c vmChange, old *virtualMachine) []nic {
	before := handedOn(namespace, old)
	var beside []nic
	for _, i := range handedOn(namespace, c.vm) {
		m, err := macpool.ParseInterfaceMAC(i.Asked)
		own := slices.ContainsFunc(c.nics, func(n vmNIC) bool { return n.served && n.mac == m }) ||
			slices.ContainsFunc(beside, func(n nic) bool { return n.mac == m })
		same := func(was nad.Interface) bool { return was.Ref == i.Ref && sameAddress(was.Asked, i.Asked) }
		if err != nil || own || slices.ContainsFunc(before, same) || w.TakesMAC != nil && !w.TakesMAC(i) {
			continue
		}
		key := nad.NetworksAnnotation
		if i.Primary {
			key = nad.DefaultNetworkAnnotation
		}
		path := field.NewPath("spec", "template", "metadata", "annotations").Key(key)
		beside = append(beside, nic{name: i.OfPod(), text: i.Asked, mac: m, path: path, ofPod: true})
	}
	return beside
}

// handedOn returns the interfaces that the pod of a VM has beside those of the VM, and asks for an address of. There
// are none where there is no VM.
func handedOn(namespace string, vm *virtualMachine) []nad.Interface {
	if vm == nil || vm.Spec.Template == nil {
		return nil
	}
	var of metadata
	_ = decode(vm.Spec.Template.Metadata, &of, nil) // what is wrong with it is KubeVirt's to say
	if len(of.Annotations) == 0 {
		return nil
	}
	var additional, standard bool
	for _, n := range vm.networks {
		if n == nil || !present(n.Multus) {
			continue
		}
		var multus struct {
			Default bool `json:"default"`
		}
		_ = decode(n.Multus, &multus, nil)
		standard, additional = standard || multus.Default, additional || !multus.Default
	}
	return nad.HandedOn(namespace, of.Annotations, additional, standard)
}
