// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	netv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// LauncherLabel on a pod has the value Launcher where a VM runs in it, or will after a live migration (KubeVirt).
	LauncherLabel = "kubevirt.io"
	// Launcher is the value of LauncherLabel.
	Launcher = "virt-launcher"
)

// IsLauncher reports whether a pod says that a VM runs in it, or will after a live migration. The addresses of such a
// pod are its VM's. Anybody who writes a pod can say so.
func IsLauncher(labels map[string]string, owners []metav1.OwnerReference) bool {
	return labels[LauncherLabel] == Launcher || MachineOf(owners) != ""
}

// MachineOf returns the name of the VirtualMachineInstance that controls a pod, in the pod's namespace; it is that of
// the VM, too. It is empty if none does.
func MachineOf(owners []metav1.OwnerReference) string {
	for _, o := range owners {
		if o.Controller != nil && *o.Controller && o.Kind == "VirtualMachineInstance" &&
			strings.HasPrefix(o.APIVersion, "kubevirt.io/") {
			return o.Name
		}
	}
	return ""
}

// PrimaryInterface is the name of the interface in the pod that is on the cluster's network, or on one in place of it.
const PrimaryInterface = "eth0"

// An Interface is one interface of a pod that is not on the cluster's network.
type Interface struct {
	// Ref is the NAD it is attached to. Its name is empty if the annotations do not say. The namespace of a default
	// network is empty where the annotation names none: it is that of Multus.
	Ref
	// Name is that of the interface in the pod: the one asked for, else Multus's.
	Name string
	// Asked and Reported are the addresses that the pod asks for and that it was attached with, as written; empty for
	// none.
	Asked, Reported string
	// Primary is true for the interface on the network in place of the cluster's.
	Primary bool
}

// Interfaces returns the additional interfaces of a pod in a namespace: those it asks for, in order, and others that it
// was attached to. The primary one is the first where the pod asks for an address of it. One of which it asks for
// another address as an argument of the plugin is there twice. An annotation that cannot be read says nothing.
func Interfaces(namespace string, annotations map[string]string) []Interface {
	networks, problems := ParseNetworks(annotations[NetworksAnnotation], namespace, nil)
	if len(problems) > 0 {
		networks = Networks{}
	}
	var all []Interface
	all = append(all, primary(annotations)...)
	for i, s := range networks.Selections {
		all = append(all, s.interfaces(Interface{Ref: s.Ref, Name: s.InterfaceName(i)})...)
	}
	var status []netv1.NetworkStatus
	if json.Unmarshal([]byte(annotations[StatusAnnotation]), &status) != nil {
		return all
	}
	for _, s := range status {
		if s.Default || s.Interface == "" || s.Interface == PrimaryInterface {
			continue // the cluster's network, which a primary user-defined one makes to be no default
		}
		i := slices.IndexFunc(all, func(known Interface) bool { return known.Name == s.Interface })
		if i < 0 {
			i, all = len(all), append(all, Interface{Ref: statusRef(s.Name, namespace), Name: s.Interface})
		}
		all[i].Reported = s.Mac
	}
	return all
}

// primary returns the interface on the network in place of the cluster's, if a pod asks for an address of it.
func primary(annotations map[string]string) []Interface {
	networks, problems := ParseNetworks(annotations[DefaultNetworkAnnotation], "", nil)
	if len(problems) > 0 || len(networks.Selections) != 1 {
		return nil
	}
	s := networks.Selections[0]
	asking := s.interfaces(Interface{Ref: s.Ref, Name: PrimaryInterface, Primary: true})
	return slices.DeleteFunc(asking, func(i Interface) bool { return i.Asked == "" })
}

// interfaces returns the interface of a selection once for each address that is asked for, which may be empty. Which of
// two it gets is for the plugin to say.
func (s Selection) interfaces(one Interface) []Interface {
	var all []Interface
	if !s.Infiniband {
		one.Asked = s.MAC
		all = append(all, one)
	}
	if s.Argument != "" && s.Argument != s.MAC {
		one.Asked = s.Argument
		all = append(all, one)
	}
	return all
}

// HandedOn returns the interfaces that the pod of a machine in a namespace has beside those of the machine and asks for
// an address of. KubeVirt hands the annotations of an instance on to its pod. Where the machine has Multus networks
// itself, additional ones or a standard one in place of the cluster's, KubeVirt writes them instead.
func HandedOn(namespace string, annotations map[string]string, additional, standard bool) []Interface {
	handed := map[string]string{}
	if !additional {
		handed[NetworksAnnotation] = annotations[NetworksAnnotation]
	}
	if !standard {
		handed[DefaultNetworkAnnotation] = annotations[DefaultNetworkAnnotation]
	}
	return slices.DeleteFunc(Interfaces(namespace, handed), func(i Interface) bool { return i.Asked == "" })
}

// OfPod returns what an interface of the pod of a machine is called beside those of the machine, of which none can be
// called so.
func (i Interface) OfPod() string { return "pod:" + i.Name }

// statusRef reads the name of a network in a status, which is <namespace>/<name>, or the name of a configuration that
// is no NAD.
func statusRef(name, namespace string) Ref {
	if before, after, ok := strings.Cut(name, "/"); ok {
		return Ref{Namespace: before, Name: after}
	}
	return Ref{Namespace: namespace, Name: name}
}

// InterfaceName returns the name that the interface of the selection at an index has in the pod: the one asked for,
// else the one that Multus gives by the order of the selections.
func (s Selection) InterfaceName(index int) string {
	if s.Interface != "" {
		return s.Interface
	}
	return fmt.Sprintf("net%d", index+1)
}
