// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/nad"
)

// A vmRule lists what is wrong with a VM in one respect. What the VM had before is not judged again.
type vmRule func(c vmChange) field.ErrorList

// vmRules returns everything that can be wrong with a VM by itself; whether its addresses are taken is for the ledger.
func vmRules() []vmRule {
	return []vmRule{
		validateInterfaceCount,
		validateBlocks,
		validateAddresses,
		validateAddressesUnique,
		validateInterfaceNames,
		validateInterfaceNetworks,
		validateShareAnnotation,
		validateTakenAnnotation,
	}
}

// VMReviewer reviews VirtualMachines: it gives every interface that is new and has no address one, and refuses
// addresses that are taken or unfit.
type VMReviewer struct {
	Lending
	// MayShare reports whether a newcomer that a user writes may have the addresses of another VM: the user may change
	// that one, or it names the newcomer in its macpool.ShareAnnotation. Nil never lets it.
	MayShare func(ctx context.Context, user authenticationv1.UserInfo, holder, newcomer macpool.Object) (bool, error)
	// TakesMAC reports whether an interface of a pod has an address that can be given; nil says so of all.
	TakesMAC func(nad.Interface) bool
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
	c.beside = w.beside(request.Namespace, c, old)
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
	if len(asking)+len(c.beside) == 0 {
		return verdict, nil
	}
	return w.assign(ctx, request, c, asking, verdict)
}

// assign has the ledger answer the interfaces of a VM and writes the answers into the patch.
func (w VMReviewer) assign(
	ctx context.Context, request *admissionv1.AdmissionRequest, c vmChange, asking []vmNIC, verdict Verdict,
) (Verdict, error) {
	o := order{kept: c.kept(), path: interfacesPath()}
	if isIdle(request.OldObject.Raw) {
		o.left = c.left()
	} else { // an instance may have them until it is restarted
		o.kept = append(o.kept, c.left()...)
	}
	replaces := c.replaces(request.Operation)
	o.strict = replaces || c.receives()
	for _, n := range asking {
		o.asking = append(o.asking, n.nic)
	}
	o.asking = append(o.asking, c.beside...)
	problems, err := w.identify(ctx, &o, macpool.KindVM, request, c.vm.Metadata, &verdict.Patch)
	if err != nil || len(problems) > 0 {
		return Verdict{Denied: problems}, err
	}
	unwilling, err := w.shareNamed(ctx, request, c, &o)
	if err != nil {
		return Verdict{}, err
	}
	o.advise = func(t *macpool.TakenError) string { return advise(request, o, unwilling, t) }
	macs, err := w.ask(ctx, request, &o, &verdict)
	resolved, failed := w.resolve(ctx, request, c, &o, takenOf(err), &verdict)
	if failed != nil {
		return Verdict{}, failed
	}
	if resolved || err != nil && o.strict != replaces { // a receiver that may not share has what the pool tolerates
		o.strict = replaces
		macs, err = w.ask(ctx, request, &o, &verdict)
	}
	if err != nil {
		if err := verdict.refuse(err, o); err != nil {
			return Verdict{}, err
		}
		return verdict, nil
	}
	for i, n := range asking {
		if o.asking[i].text == "" {
			n.set(&verdict.Patch, macs[i])
		}
	}
	return verdict, nil
}
