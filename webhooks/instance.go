// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/nad"
)

// InstanceReviewer reviews VirtualMachineInstances as somebody other than KubeVirt creates them, or as it does for
// something other than a VM: addresses that they bring are judged and held as those of a VM are. The API server
// has made a name of a generateName by then; should one come without, it cannot be told from the next of its kind, and
// the janitor holds what it has once it exists. An instance that says it is of a VM, which anybody can write, may have
// what is held for the VM of its name. Those that bring no address, which the network gives one, are let in. As an
// instance is changed, what was there before is not judged again: that leaves what its annotations ask for its pod.
type InstanceReviewer struct {
	Lending
	// TakesMAC reports whether an interface of a pod has an address that can be given; nil says so of all.
	TakesMAC func(nad.Interface) bool
}

// Review implements Reviewer.
func (w InstanceReviewer) Review(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
	if request.Operation != admissionv1.Create && request.Operation != admissionv1.Update {
		return Verdict{}, nil
	}
	instance := readInstance(request.Object.Raw)
	o := order{
		holder: macpool.Object{
			Kind: macpool.KindVMI, Namespace: request.Namespace, Name: instance.Metadata.Name,
		},
		path: field.NewPath("spec", "domain", "devices", "interfaces"),
	}
	if slices.ContainsFunc(instance.Metadata.OwnerReferences, isVM) {
		o.holder.Kind = macpool.KindVM
	}
	o.asking = instance.fixed(request.Namespace, instance.Metadata.Annotations, nil, w.TakesMAC)
	if request.Operation == admissionv1.Update {
		old := readInstance(request.OldObject.Raw)
		o.asking = without(o.asking, old.fixed(request.Namespace, old.Metadata.Annotations, nil, w.TakesMAC))
	}
	verdict := Verdict{Denied: judgeFixed(o.path, o.asking)}
	if len(verdict.Denied) > 0 || len(o.asking) == 0 {
		return verdict, nil
	}
	asked := *request
	if o.holder.Name == "" {
		o.holder.GenerateName, asked.DryRun = instance.Metadata.GenerateName, ptr.To(true)
	}
	err := w.hold(ctx, &asked, &o, &verdict)
	return verdict, err
}

// A machineInstance is what the rules read of a kubevirt.io VirtualMachineInstance.
type machineInstance struct {
	Metadata metadata `json:"metadata"`
	machineTemplate
}

// readInstance reads an instance. KubeVirt says what is wrong with it.
func readInstance(raw []byte) machineInstance {
	var instance machineInstance
	_ = decode(raw, &instance, nil)
	return instance
}

// isVM reports whether an owner says that it is the VM which an instance is of. KubeVirt names the two alike.
func isVM(owner metav1.OwnerReference) bool {
	return owner.Kind == macpool.KindVM && ptr.Deref(owner.Controller, false)
}

// judgeFixed returns what is wrong with addresses by themselves, and with the names that they are to be recorded with:
// KubeVirt refuses such, too, but not before us.
func judgeFixed(path *field.Path, fixed []nic) field.ErrorList {
	problems := tooManyBlocks(path, fixed)
	for i, n := range fixed {
		if len(n.name) > maxName {
			problems = append(problems, field.Forbidden(
				n.path, fmt.Sprintf("the name of the interface is longer than %d bytes: shorten it", maxName)))
		}
		if _, err := macpool.ParseInterfaceMAC(n.text); err != nil {
			problems = append(problems, field.Invalid(n.path, n.text, err.Error()))
			continue
		}
		if j := slices.IndexFunc(fixed[:i], func(other nic) bool { return other.mac == n.mac }); j >= 0 {
			problems = append(problems, duplicate(vmNIC{nic: n}, vmNIC{nic: fixed[j]}))
		}
	}
	return problems
}
