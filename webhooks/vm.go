package webhooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/macpool"
)

const (
	// ShareAnnotation on a VM lets it have the addresses of the VM it names as <namespace>/<name>.
	ShareAnnotation = "bridgehead.dev/share-mac"
	// ClaimAnnotation is written on a VM created by generateName, which has no other identity while it is admitted: it
	// lets a second look at the same creation be told from another creation. It means nothing once the VM exists.
	ClaimAnnotation = "bridgehead.dev/claim"
	// claimGoodFor is how old a claim may be to be believed.
	claimGoodFor = time.Minute
	// receiver is the run strategy of a VM that waits for a live migration from elsewhere (KubeVirt).
	receiver = "WaitAsReceiver"
)

// An AddressBook lends addresses; *macpool.Ledger is one.
type AddressBook interface {
	Assign(ctx context.Context, r macpool.Request) (macpool.Grant, error)
	Preview(ctx context.Context, r macpool.Request) (macpool.Grant, error)
}

// VM reviews VirtualMachines: it gives every interface that is new and has no address one, and refuses addresses that
// are taken or unfit.
type VM struct {
	Ledger AddressBook
	// PoolFor is the pool that serves a namespace; *macpool.NoPoolError if there is none.
	PoolFor func(namespace string) (macpool.PoolRule, error)
	Now     func() time.Time
}

// Review implements Reviewer.
func (w VM) Review(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
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
	list, kept, problems := wishes(&vm, old)
	share, problem := sharing(&vm)
	if problem != nil {
		problems = append(problems, problem)
	}
	if len(problems) > 0 || len(list) == 0 {
		return Verdict{Denied: problems}, nil
	}
	holder := macpool.Object{Kind: macpool.KindVM, Namespace: request.Namespace, Name: cmp.Or(request.Name, vm.Metadata.Name)}
	var verdict Verdict
	if holder.Name == "" {
		holder.GenerateName, holder.Claim = vm.Metadata.GenerateName, w.claim(&vm, &verdict.Patch)
	}
	return w.fulfil(ctx, request, verdict, list, macpool.Request{Holder: holder, Kept: kept}, share)
}

// fulfil has the ledger answer the wishes and writes the answers into the patch.
func (w VM) fulfil(ctx context.Context, request *admissionv1.AdmissionRequest, verdict Verdict, list []wish, r macpool.Request, share macpool.Sharing) (Verdict, error) {
	rule, err := w.PoolFor(request.Namespace)
	if err != nil {
		return refusal(err, list)
	}
	r.Pool = rule.Pool
	var asking []nic
	for _, wish := range list {
		if wish.had != (macpool.MAC{}) {
			setMAC(&verdict.Patch, wish.nic, wish.had)
			continue
		}
		asking = append(asking, wish.nic)
		r.Asks = append(r.Asks, macpool.Ask{Interface: wish.nic.name, MAC: wish.nic.mac, Share: share})
	}
	if len(r.Asks) == 0 {
		return verdict, nil
	}
	answer := w.Ledger.Assign
	if request.DryRun != nil && *request.DryRun {
		answer = w.Ledger.Preview
	}
	grant, err := answer(ctx, r)
	if err != nil {
		return refusal(err, list)
	}
	for i, n := range asking {
		if n.text == "" {
			setMAC(&verdict.Patch, n, grant.MACs[i])
		}
	}
	if rule.Enforcement == v1alpha1.EnforcementWarn {
		for _, collision := range grant.Collisions {
			verdict.Warnings = append(verdict.Warnings, collision.Error())
		}
	}
	return verdict, nil
}

func setMAC(p *Patch, n nic, m macpool.MAC) {
	p.Set(pointer("spec", "template", "spec", "domain", "devices", "interfaces", n.index, "macAddress"), m.String())
}

// sharing says with whom the VM may share the addresses it asks for.
func sharing(vm *virtualMachine) (macpool.Sharing, *field.Error) {
	share := macpool.Sharing{Anyone: vm.Spec.RunStrategy == receiver}
	with, ok := vm.Metadata.Annotations[ShareAnnotation]
	if !ok {
		return share, nil
	}
	namespace, name, ok := strings.Cut(with, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return share, field.Invalid(field.NewPath("metadata", "annotations").Key(ShareAnnotation), with,
			"want the VM to share addresses with as <namespace>/<name>")
	}
	share.With = macpool.Object{Kind: macpool.KindVM, Namespace: namespace, Name: name}
	return share, nil
}

// claim is what tells this creation by generateName from others. It is taken from the object if an earlier look at the
// same creation left it there, else made up and added to the patch.
func (w VM) claim(vm *virtualMachine, p *Patch) string {
	now := w.Now()
	if given, ok := vm.Metadata.Annotations[ClaimAnnotation]; ok {
		stamp, _, _ := strings.Cut(given, "-")
		made, err := strconv.ParseInt(stamp, 36, 64)
		if age := now.Sub(time.UnixMilli(made)).Abs(); err == nil && age < claimGoodFor {
			return given
		}
	}
	claim := strconv.FormatInt(now.UnixMilli(), 36) + "-" + strconv.FormatUint(rand.Uint64(), 36)
	if vm.Metadata.Annotations == nil {
		p.Set(pointer("metadata", "annotations"), map[string]string{ClaimAnnotation: claim})
		return claim
	}
	p.Set(pointer("metadata", "annotations", ClaimAnnotation), claim)
	return claim
}

// refusal tells answers of the ledger, which go to the user with a field path, from failures to decide.
func refusal(err error, list []wish) (Verdict, error) {
	var verdict Verdict
	for _, err := range parts(err) {
		var taken *macpool.TakenError
		var busy *macpool.BusyError
		var exhausted *macpool.ExhaustedError
		var poolless *macpool.NoPoolError
		switch {
		case errors.As(err, &taken):
			verdict.Denied = append(verdict.Denied, field.Forbidden(pathOf(taken.MAC, list), taken.Error()))
		case errors.As(err, &busy):
			verdict.Denied = append(verdict.Denied, field.Forbidden(pathOf(busy.MAC, list), busy.Error()))
			verdict.RetryAfter = max(verdict.RetryAfter, int32(busy.After/time.Second), 1)
		case errors.As(err, &exhausted), errors.As(err, &poolless):
			verdict.Denied = append(verdict.Denied, field.Forbidden(interfacesPath(), err.Error()))
		default:
			return Verdict{}, fmt.Errorf("assign addresses: %w", err)
		}
	}
	return verdict, nil
}

// parts are the errors that were joined into one.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

func pathOf(m macpool.MAC, list []wish) *field.Path {
	for _, wish := range list {
		if wish.nic.mac == m {
			return wish.nic.macPath()
		}
	}
	return interfacesPath()
}
