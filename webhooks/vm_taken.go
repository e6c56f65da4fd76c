// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"errors"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

const (
	// OnTakenAnnotation on a VM that is created, with the value OnTakenReplace, has addresses that another VM has
	// replaced by new ones instead of refused: for restores and clones of VMs that still exist.
	OnTakenAnnotation = "bridgehead.dev/on-taken-mac"
	// OnTakenReplace is the value of OnTakenAnnotation.
	OnTakenReplace = "replace"
)

// advise returns what there is to do about an address that another has, for the VM whose order it is. unwilling is the
// VM that it names to share addresses with and that does not consent; zero if there is none. Whether that is the one
// that has the address is told only of its own namespace.
func advise(
	request *admissionv1.AdmissionRequest, o order, unwilling macpool.Object, taken *macpool.TakenError,
) string {
	const replace = OnTakenAnnotation + ": " + OnTakenReplace + " gives a copy of a VM new ones"
	const share = macpool.ShareAnnotation + ": <namespace>/<vm> shares one with a VM that you may change"
	newcomer := o.holder
	text := moveHint(newcomer, taken)
	// OnTakenAnnotation does nothing to a VM that exists, nor to what its pod asks for.
	copied := request.Operation == admissionv1.Create &&
		!slices.ContainsFunc(o.asking, func(n nic) bool { return n.mac == taken.MAC && n.ofPod })
	named := unwilling != (macpool.Object{}) &&
		(taken.Holder.Object == unwilling || taken.Holder.Namespace != newcomer.Namespace)
	switch {
	case taken.Several && copied:
		return text + "; two have it already and a third may not share it; annotation " + replace
	case taken.Several:
		return text + "; two have it already and a third may not share it"
	case !mayBeVM(taken) && copied:
		return text + "; annotation " + replace
	case !mayBeVM(taken):
		return text
	case named:
		return text + consentHint(request, newcomer, unwilling)
	case copied:
		return text + "; annotation " + replace + ", and " + share
	}
	return text + "; annotation " + share
}

// mayBeVM reports whether, as far as the asker is told, a VM has an address: only VMs can be named to share one with.
func mayBeVM(taken *macpool.TakenError) bool {
	private := taken.Holder.Namespace != taken.Asker.Namespace
	return taken.Holder.Kind == macpool.KindVM || taken.Holder.Kind == macpool.KindVMI && private
}

// consentHint returns what it takes for a newcomer to share addresses with the VM that it names.
func consentHint(request *admissionv1.AdmissionRequest, newcomer, unwilling macpool.Object) string {
	has, name := "have", newcomer.Name
	if name == "" { // nobody can name it
		has, name = "have, once you set metadata.name of this one,", "<that name>"
	}
	consent := "you must be allowed to update that VM, or it must " + has
	if actsForOthers(request.UserInfo) {
		consent = "that VM must " + has
	}
	return fmt.Sprintf("; to share it with %s on purpose %s annotation %s: %s/%s",
		unwilling, consent, macpool.ShareAnnotation, newcomer.Namespace, name)
}

// replaces reports whether addresses of a VM that another one has are to be replaced.
func (c vmChange) replaces(operation admissionv1.Operation) bool {
	return operation == admissionv1.Create && c.vm.Metadata.Annotations[OnTakenAnnotation] == OnTakenReplace
}

// receives reports whether a VM waits for a live migration: it is to share the addresses of its source.
func (c vmChange) receives() bool { return c.vm.Spec.RunStrategy == macpool.Receiver }

// moveHint returns in which order a manifest moves an address from one VM to another: kubectl applies the objects of a
// file one by one, goes on after a refusal, and does not try again. A VM whose manifest leaves out an address that it
// had is given it back.
func moveHint(to macpool.Object, taken *macpool.TakenError) string {
	from := taken.Holder
	if from.Kind != macpool.KindVM || from.Namespace != to.Namespace || from.Name == "" {
		return ""
	}
	return "; to move it here, give VirtualMachine " + from.Name + " another one first, as it keeps this one where its " +
		"manifest names none (apply that VM before this one, or apply both again), and restart that VM if it runs, as it " +
		"has the address until then; two that swap need a third address in between"
}

// validateShareAnnotation refuses an annotation that names no VM to share addresses with.
func validateShareAnnotation(c vmChange) field.ErrorList {
	if len(c.asking()) == 0 {
		return nil
	}
	_, err := macpool.ReadSharing(c.vm.Spec.RunStrategy, c.vm.Metadata.Annotations)
	if err == nil {
		return nil
	}
	return field.ErrorList{
		field.Invalid(
			annotationPath(macpool.ShareAnnotation), c.vm.Metadata.Annotations[macpool.ShareAnnotation], err.Error(),
		),
	}
}

// validateTakenAnnotation refuses anything but the one value of the annotation.
func validateTakenAnnotation(c vmChange) field.ErrorList {
	written, given := c.vm.Metadata.Annotations[OnTakenAnnotation]
	if !given || written == OnTakenReplace || len(c.asking()) == 0 {
		return nil
	}
	return field.ErrorList{field.NotSupported(annotationPath(OnTakenAnnotation), written, []string{OnTakenReplace})}
}

// shareNamed lets the addresses of an order be shared with the VM that the annotation names, if that is consented to.
// Without consent nothing is shared, and that VM is returned; whether it matters is for the ledger to say.
func (w VMReviewer) shareNamed(
	ctx context.Context, request *admissionv1.AdmissionRequest, c vmChange, o *order,
) (unwilling macpool.Object, err error) {
	share, _ := macpool.ReadSharing("", c.vm.Metadata.Annotations) // a rule refuses what cannot be read
	if share == (macpool.Sharing{}) {
		return macpool.Object{}, nil
	}
	allowed, err := w.mayShare(ctx, request, share.With, o.holder)
	if err != nil || !allowed {
		return share.With, err
	}
	for i := range o.asking {
		if o.asking[i].text != "" {
			o.asking[i].share = share
		}
	}
	return macpool.Object{}, nil
}

func (w VMReviewer) mayShare(
	ctx context.Context, request *admissionv1.AdmissionRequest, holder, newcomer macpool.Object,
) (bool, error) {
	if w.MayShare == nil || holder.Kind != macpool.KindVM {
		return false, nil
	}
	return w.MayShare(ctx, request.UserInfo, holder, newcomer)
}

// takenOf returns the addresses that somebody else has, if an error of the ledger says nothing else but that others are
// not free yet.
func takenOf(err error) []*macpool.TakenError {
	var all []*macpool.TakenError
	for _, part := range parts(err) {
		var taken *macpool.TakenError
		var busy *macpool.BusyError
		switch {
		case errors.As(part, &taken):
			all = append(all, taken)
		case !errors.As(part, &busy):
			return nil
		}
	}
	return all
}

// resolve changes an order so that it can be fulfilled although some of its addresses are taken: the receiver of a live
// migration shares those of its source, if that is consented to, and a copy that asks for it is given others. It
// reports whether that does for every one of them, if there are any.
func (w VMReviewer) resolve(
	ctx context.Context, request *admissionv1.AdmissionRequest, c vmChange, o *order, taken []*macpool.TakenError,
	verdict *Verdict,
) (
	bool, error,
) {
	var warnings Verdict
	for _, t := range taken {
		for i := range o.asking {
			n := &o.asking[i]
			if n.mac != t.MAC {
				continue
			}
			shares := false
			if c.receives() {
				var err error
				if shares, err = w.mayShare(ctx, request, t.Holder.Object, o.holder); err != nil {
					return false, err
				}
			}
			switch {
			case shares:
				n.share = macpool.Sharing{With: t.Holder.Object}
			case c.replaces(request.Operation) && !n.ofPod:
				warnings.warn("interface %s: %s: another one is assigned", n.name, t)
				n.text, n.mac, n.share = "", macpool.MAC{}, macpool.Sharing{}
			default:
				return false, nil
			}
		}
	}
	verdict.Warnings = append(verdict.Warnings, warnings.Warnings...)
	return len(taken) > 0, nil
}
