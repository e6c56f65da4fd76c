// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/nad"
)

// The janitor needs of a VM no more than the addresses of its interfaces. Types with just those fields keep a cluster
// of 10,000 VMs in a few megabytes, and read every version of KubeVirt that has these fields.

func kubevirtVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: "kubevirt.io", Version: "v1"}
}

// AddVMsToScheme makes the types that the janitor reads VMs into known to a scheme.
func AddVMsToScheme(scheme *runtime.Scheme) error {
	gv := kubevirtVersion()
	scheme.AddKnownTypeWithName(gv.WithKind(macpool.KindVM), &vm{})
	scheme.AddKnownTypeWithName(gv.WithKind(macpool.KindVM+"List"), &vmList{})
	scheme.AddKnownTypeWithName(gv.WithKind(macpool.KindVMI), &vmi{})
	scheme.AddKnownTypeWithName(gv.WithKind(macpool.KindVMI+"List"), &vmiList{})
	metav1.AddToGroupVersion(scheme, gv)
	return nil
}

// A vm is what the janitor reads of a VirtualMachine.
type vm struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec struct {
		RunStrategy string      `json:"runStrategy"`
		Template    *vmTemplate `json:"template"`
	} `json:"spec"`

	known known
}

// known is what an object was found to have when it was put into a cache; what it was found in is not kept there. It is
// never changed.
type known struct {
	addresses map[macpool.MAC]string // nil for an object that is not from a cache
	// beside are the interfaces with an address that the pod of the machine has beside those of the machine.
	beside []nad.Interface
}

// all returns the addresses of the machine and of its pod, not to be changed. takes reports whether an interface of a
// pod has an address that can be given; nil says so of all.
func (k known) all(takes func(nad.Interface) bool) map[macpool.MAC]string {
	if len(k.beside) == 0 {
		return k.addresses
	}
	all := maps.Clone(k.addresses)
	for _, i := range k.beside {
		m, err := macpool.ParseInterfaceMAC(i.Asked)
		if _, own := all[m]; err == nil && !own && (takes == nil || takes(i)) {
			all[m] = i.OfPod()
		}
	}
	return all
}

type vmTemplate struct {
	Metadata struct {
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec instanceSpec `json:"spec"`
}

// A vmi is what the janitor reads of a VirtualMachineInstance.
type vmi struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   instanceSpec `json:"spec"`
	Status struct {
		Phase          string `json:"phase"`
		MigrationState *struct {
			Completed bool `json:"completed"`
		} `json:"migrationState"`
		// Interfaces has what the guest reports too; entries without a name are not of the spec.
		Interfaces []struct {
			Name string `json:"name"`
			MAC  string `json:"mac"`
		} `json:"interfaces"`
	} `json:"status"`

	known known
}

type instanceSpec struct {
	Domain struct {
		Devices struct {
			Interfaces []struct {
				Name       string    `json:"name"`
				MACAddress string    `json:"macAddress"`
				Masquerade *struct{} `json:"masquerade"`
			} `json:"interfaces"`
		} `json:"devices"`
	} `json:"domain"`
	Networks []struct {
		Name   string `json:"name"`
		Multus *struct {
			Default bool `json:"default"`
		} `json:"multus"`
		Pod *struct{} `json:"pod"`
	} `json:"networks"`
}

type vmList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []vm `json:"items"`
}

type vmiList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []vmi `json:"items"`
}

// UnmarshalJSON implements json.Unmarshaler: what is of another shape than KubeVirt's is left out. Such a VM cannot
// run, and must not keep the others from being listed.
func (v *vm) UnmarshalJSON(text []byte) error {
	type plain vm
	_ = kjson.UnmarshalCaseSensitivePreserveInts(text, (*plain)(v)) // who calls this has checked the syntax
	return nil
}

// UnmarshalJSON implements json.Unmarshaler, as that of a VM does.
func (v *vmi) UnmarshalJSON(text []byte) error {
	type plain vmi
	_ = kjson.UnmarshalCaseSensitivePreserveInts(text, (*plain)(v))
	return nil
}

// addresses returns the addresses of the VM's interfaces, and of those that its pod has beside them, with the
// interfaces' names, not to be changed. What is no address is left out: such a VM cannot run. takes is that of
// Objects.TakesMAC.
func (v *vm) addresses(takes func(nad.Interface) bool) map[macpool.MAC]string {
	return v.know().all(takes)
}

func (v *vm) know() known {
	if v.known.addresses != nil {
		return v.known
	}
	k := known{addresses: map[macpool.MAC]string{}}
	if t := v.Spec.Template; t != nil {
		t.Spec.addTo(k.addresses)
		k.beside = t.Spec.beside(v.Namespace, t.Metadata.Annotations)
	}
	return k
}

// phaseRunning is the phase of an instance whose guest is at work (KubeVirt).
const phaseRunning = "Running"

// migrates reports whether a live migration of the instance is under way.
func (v *vmi) migrates() bool {
	return v.Status.MigrationState != nil && !v.Status.MigrationState.Completed
}

// addresses returns those the instance was started with, those it reports to have and those of its pod, as the
// addresses of a VM.
func (v *vmi) addresses(takes func(nad.Interface) bool) map[macpool.MAC]string {
	return v.know().all(takes)
}

func (v *vmi) know() known {
	if v.known.addresses != nil {
		return v.known
	}
	k := known{addresses: map[macpool.MAC]string{}}
	if v.Status.Phase == "Succeeded" || v.Status.Phase == "Failed" {
		return k // it has ended (KubeVirt: the final phases)
	}
	v.Spec.addTo(k.addresses)
	served := v.Spec.served()
	for _, i := range v.Status.Interfaces {
		if m, err := macpool.ParseInterfaceMAC(i.MAC); err == nil && served[i.Name] && !macpool.OfAddress(m) {
			k.addresses[m] = i.Name
		}
	}
	k.beside = v.Spec.beside(v.Namespace, v.Annotations)
	return k
}

// beside returns the interfaces that the pod of the machine has beside those of the machine and asks for an address of.
func (s instanceSpec) beside(namespace string, annotations map[string]string) []nad.Interface {
	var additional, standard bool
	for _, n := range s.Networks {
		standard = standard || n.Multus != nil && n.Multus.Default
		additional = additional || n.Multus != nil && !n.Multus.Default
	}
	return nad.HandedOn(namespace, annotations, additional, standard)
}

func (s instanceSpec) addTo(found map[macpool.MAC]string) {
	served := s.served()
	for _, i := range s.Domain.Devices.Interfaces {
		if m, err := macpool.ParseInterfaceMAC(i.MACAddress); err == nil && served[i.Name] {
			found[m] = i.Name
		}
	}
}

// served returns the interfaces, by name, whose addresses are ours to look after.
func (s instanceSpec) served() map[string]bool {
	multus, onPod := map[string]bool{}, map[string]bool{}
	for _, n := range s.Networks {
		multus[n.Name], onPod[n.Name] = n.Multus != nil, n.Pod != nil
	}
	served := map[string]bool{}
	for _, i := range s.Domain.Devices.Interfaces {
		served[i.Name] = macpool.Serves(multus[i.Name], onPod[i.Name], i.Masquerade != nil)
	}
	return served
}

// holder returns whom the instance's addresses belong to: its VM, or itself if it has none.
func (v *vmi) holder() macpool.Object {
	owned := slices.ContainsFunc(v.OwnerReferences, func(r metav1.OwnerReference) bool {
		return r.Kind == macpool.KindVM && r.Controller != nil && *r.Controller
	})
	if owned {
		return macpool.Object{Kind: macpool.KindVM, Namespace: v.Namespace, Name: v.Name}
	}
	return macpool.Object{Kind: macpool.KindVMI, Namespace: v.Namespace, Name: v.Name}
}
