package webhooks

import (
	"context"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A vmRule lists what is wrong with a VM in one respect. What the VM had before is not judged again.
type vmRule func(c vmChange) field.ErrorList

// vmRules are everything that can be wrong with a VM by itself; whether its addresses are taken is for the ledger.
func vmRules() []vmRule {
	return []vmRule{
		validateInterfaceCount,
		validateAddresses,
		validateAddressesUnique,
		validateInterfaceNames,
		validateInterfaceNetworks,
		validateShareAnnotation,
	}
}

// VMReviewer reviews VirtualMachines: it gives every interface that is new and has no address one, and refuses addresses
// that are taken or unfit.
type VMReviewer struct {
	Lending
}

// Review implements Reviewer.
func (w VMReviewer) Review(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
	if request.Operation != admissionv1.Create && request.Operation != admissionv1.Update {
		return Verdict{}, nil // nothing is given or taken: the janitor sees that a VM is gone
	}
	vm, problems := readVM(request.Object.Raw)
	if len(problems) > 0 {
		return Verdict{Denied: problems}, nil
	}
	var old *virtualMachine
	if request.Operation == admissionv1.Update {
		// What is stored was let in; what cannot be read of it counts as not there.
		stored, _ := readVM(request.OldObject.Raw)
		old = &stored
	}
	c := changeOf(&vm, old)
	var verdict Verdict
	for _, rule := range vmRules() {
		verdict.deny(rule(c)...)
	}
	if len(verdict.Denied) > 0 {
		return verdict, nil
	}
	for _, n := range c.nics {
		if n.restored {
			n.set(&verdict.Patch, n.mac)
		}
	}
	asking := c.asking()
	if len(asking) == 0 {
		return verdict, nil
	}
	return w.assign(ctx, request, c, asking, verdict)
}

// assign has the ledger answer the interfaces of a VM and writes the answers into the patch.
func (w VMReviewer) assign(ctx context.Context, request *admissionv1.AdmissionRequest, c vmChange, asking []vmNIC, verdict Verdict) (Verdict, error) {
	o := order{kept: c.kept(), path: interfacesPath()}
	share, _ := macpool.ReadSharing(c.vm.Spec.RunStrategy, c.vm.Metadata.Annotations) // its problem is a rule's
	for _, n := range asking {
		if n.text != "" {
			n.share = share
		}
		o.asking = append(o.asking, n.nic)
	}
	var problem *field.Error
	if o.holder, problem = w.holderOf(macpool.KindVM, request, c.vm.Metadata, &verdict.Patch); problem != nil {
		return Verdict{Denied: field.ErrorList{problem}}, nil
	}
	macs, err := w.lend(ctx, request, o, &verdict)
	if err != nil {
		return Verdict{}, err
	}
	for i, m := range macs {
		if asking[i].text == "" {
			asking[i].set(&verdict.Patch, m)
		}
	}
	return verdict, nil
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
	return field.ErrorList{field.Invalid(annotationPath(macpool.ShareAnnotation), c.vm.Metadata.Annotations[macpool.ShareAnnotation], err.Error())}
}
