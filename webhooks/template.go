// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
	"github.com/bridgehead-dev/bridgehead/nad"
)

// TemplateReviewer reviews templates that many machines are made from (VirtualMachineInstanceReplicaSet,
// VirtualMachinePool): an address in one would be that of every machine. By the enforcement of the pool that serves the
// namespace it is refused, warned of, or told to the log; one that no interface can have is refused by every pool. What
// has no pool is refused nothing.
type TemplateReviewer struct {
	// PoolFor is the pool that serves a namespace; *macpool.NoPoolError if there is none.
	PoolFor func(namespace string) (cluster.PoolRule, error)
	// TakesMAC reports whether an interface of a pod has an address that can be given; nil says so of all.
	TakesMAC func(nad.Interface) bool
}

// Review implements Reviewer.
func (w TemplateReviewer) Review(_ context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
	if request.Operation != admissionv1.Create && request.Operation != admissionv1.Update {
		return Verdict{}, nil
	}
	fixed := w.fixed(request, request.Object.Raw)
	if request.Operation == admissionv1.Update {
		fixed = without(fixed, w.fixed(request, request.OldObject.Raw))
	}
	if len(fixed) == 0 {
		return Verdict{}, nil
	}
	rule, err := w.PoolFor(request.Namespace)
	var poolless *macpool.NoPoolError
	if errors.As(err, &poolless) {
		return Verdict{}, nil
	}
	if err != nil {
		return Verdict{}, fmt.Errorf("find the pool of namespace %s: %w", request.Namespace, err)
	}
	var verdict Verdict
	for _, n := range fixed {
		if _, err := macpool.ParseInterfaceMAC(n.text); err != nil {
			verdict.deny(field.Invalid(n.path, n.text, err.Error()))
			continue
		}
		path := n.path.String()
		problem := field.Forbidden(n.path, fmt.Sprintf(
			"every machine made from this template would have the address %s: leave it out", n.text))
		switch rule.Enforcement {
		case v1alpha1.EnforcementWarn:
			_, short, _ := strings.Cut(path, "spec.domain.devices.")
			verdict.warn("%s: all machines of this template have the address %s", cmp.Or(short, path), n.text)
		case v1alpha1.EnforcementAudit:
			verdict.Notes = append(verdict.Notes, problem.Error())
		default:
			verdict.deny(problem)
		}
	}
	return verdict, nil
}

// fixed returns the interfaces of the template in an object that bring an address which is ours to look after, those of
// the pods among them. What cannot be read has none: its own API says what is wrong with it.
func (w TemplateReviewer) fixed(request *admissionv1.AdmissionRequest, raw []byte) []nic {
	var set struct {
		Spec struct {
			Template               machineTemplate `json:"template"`
			VirtualMachineTemplate struct {
				Spec struct {
					Template machineTemplate `json:"template"`
				} `json:"spec"`
			} `json:"virtualMachineTemplate"`
		} `json:"spec"`
	}
	_ = decode(raw, &set, nil)
	template, at := set.Spec.Template, field.NewPath("spec", "template")
	if request.Kind.Kind == "VirtualMachinePool" {
		template, at = set.Spec.VirtualMachineTemplate.Spec.Template, field.NewPath(
			"spec", "virtualMachineTemplate", "spec", "template",
		)
	}
	return template.fixed(request.Namespace, template.annotations(), at, w.TakesMAC)
}

// fixed returns the interfaces of a machine in a namespace that bring an address which is ours to look after, and those
// that its pod has beside them. at is where the machine is described; takes is as in ofPod. What cannot be read brings
// none.
func (t machineTemplate) fixed(
	namespace string, annotations map[string]string, at *field.Path, takes func(nad.Interface) bool,
) []nic {
	var machine virtualMachine
	path := at.Child("spec", "domain", "devices", "interfaces")
	_ = readEntries(t.Spec.Domain.Devices.Interfaces, path, "an interface", &machine.interfaces)
	_ = readEntries(t.Spec.Networks, nil, "a network", &machine.networks)
	var fixed []nic
	for _, n := range nicsOf(&machine) {
		if n.served && n.text != "" {
			n.path = path.Index(n.index).Child("macAddress")
			fixed = append(fixed, n.nic)
		}
	}
	return append(fixed, ofPod(handedOn(namespace, annotations, machine.networks), fixed, at, takes)...)
}

// without returns what was not let in before: that stays, wherever in the list it is.
func without(fixed, before []nic) []nic {
	return slices.DeleteFunc(fixed, func(n nic) bool {
		return slices.ContainsFunc(before, func(was nic) bool { return was.name == n.name && sameAddress(was.text, n.text) })
	})
}
