// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/nad"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// OptedIn returns what selects, where nobody says otherwise, the namespaces whose pods have their addresses kept in the
// ledger.
func OptedIn() labels.Selector {
	return labels.SelectorFromSet(labels.Set{"mutatepods.kubemacpool.io": "allocate"})
}

// pod returns what the janitor reads of a Pod: its metadata.
func pod() *metav1.PartialObjectMetadata {
	p := &metav1.PartialObjectMetadata{}
	p.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(macpool.KindPod))
	return p
}

func podList() *metav1.PartialObjectMetadataList {
	l := &metav1.PartialObjectMetadataList{}
	l.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(macpool.KindPod + "List"))
	return l
}

func namespaceMetadata() *metav1.PartialObjectMetadata {
	n := &metav1.PartialObjectMetadata{}
	n.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return n
}

// podAddresses returns the addresses that a pod asks for, and those it reports to have on networks other than the
// cluster's, where the network takes one. The pod of a VM has none of its own: they are the VM's. takes reports whether
// an interface does; nil says that all do.
func podAddresses(p *metav1.PartialObjectMetadata, takes func(nad.Interface) bool) map[macpool.MAC]string {
	if nad.IsLauncher(p.Labels, p.OwnerReferences) {
		return map[macpool.MAC]string{}
	}
	return attachedAddresses(p, takes)
}

// attachedAddresses is podAddresses of a pod whatever it says of being a VM's.
func attachedAddresses(p *metav1.PartialObjectMetadata, takes func(nad.Interface) bool) map[macpool.MAC]string {
	found := map[macpool.MAC]string{}
	for _, i := range nad.Interfaces(p.Namespace, p.Annotations) {
		if takes != nil && !takes(i) {
			continue
		}
		if m, err := macpool.ParseInterfaceMAC(i.Asked); err == nil {
			found[m] = i.Name
		}
		if m, err := macpool.ParseInterfaceMAC(i.Reported); err == nil && !macpool.OfAddress(m) {
			found[m] = i.Name
		}
	}
	return found
}

// podObject returns a pod as a holder.
func podObject(key client.ObjectKey) macpool.Object {
	return macpool.Object{Kind: macpool.KindPod, Namespace: key.Namespace, Name: key.Name}
}

// podsByObject has the pods that are not VMs' cached with no more than their addresses, and the namespaces whose pods
// count.
func podsByObject(namespaces labels.Selector) (map[client.Object]cache.ByObject, error) {
	notOfVMs, err := labels.NewRequirement(nad.LauncherLabel, selection.NotEquals, []string{nad.Launcher})
	if err != nil {
		return nil, fmt.Errorf("select pods: %w", err)
	}
	return map[client.Object]cache.ByObject{
		pod():               {Label: labels.NewSelector().Add(*notOfVMs), Field: mayHold(), Transform: stripPod},
		namespaceMetadata(): {Label: namespaces},
	}, nil
}

// stripPod keeps of a pod's metadata what podAddresses reads.
func stripPod(o any) (any, error) {
	p, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return o, nil
	}
	kept := map[string]string{}
	for _, key := range []string{nad.NetworksAnnotation, nad.DefaultNetworkAnnotation, nad.StatusAnnotation} {
		if value, ok := p.Annotations[key]; ok && !nad.IsLauncher(p.Labels, p.OwnerReferences) {
			kept[key] = value
		}
	}
	p.ObjectMeta = metav1.ObjectMeta{
		Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion, Annotations: kept,
	}
	return p, nil
}
