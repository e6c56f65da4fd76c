package webhooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/macpool"
)

const (
	// ClaimAnnotation is written on a VM created by generateName, which has no other identity while it is admitted: it
	// lets a second look at the same creation be told from another creation. It means nothing once the VM exists.
	ClaimAnnotation = "bridgehead.dev/claim"
	// claimGoodFor is how old a claim may be to be believed.
	claimGoodFor = time.Minute
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
		if vm.Metadata.GenerateName == "" {
			return Verdict{Denied: field.ErrorList{field.Required(field.NewPath("metadata", "name"), "name the VM, or give metadata.generateName")}}, nil
		}
		holder.GenerateName, holder.Claim = vm.Metadata.GenerateName, claim(vm.Metadata.Annotations, w.Now(), &verdict.Patch)
	}
	return w.fulfil(ctx, request, verdict, list, macpool.Request{Holder: holder, Kept: kept}, share)
}

// fulfil has the ledger answer the wishes and writes the answers into the patch.
func (w VM) fulfil(ctx context.Context, request *admissionv1.AdmissionRequest, verdict Verdict, list []wish, r macpool.Request, share macpool.Sharing) (Verdict, error) {
	var asking []nic
	for _, wish := range list {
		if wish.had != (macpool.MAC{}) {
			setMAC(&verdict.Patch, wish.nic, wish.had)
			continue
		}
		ask := macpool.Ask{Interface: wish.nic.name, MAC: wish.nic.mac}
		if wish.nic.text != "" {
			ask.Share = share
		}
		asking = append(asking, wish.nic)
		r.Asks = append(r.Asks, ask)
	}
	if len(r.Asks) == 0 {
		return verdict, nil
	}
	rule, err := poolFor(w.PoolFor, request.Namespace, asking)
	if err != nil {
		return refusal(err, asking)
	}
	r.Pool = rule.Pool
	answer := w.Ledger.Assign
	if request.DryRun != nil && *request.DryRun {
		answer = w.Ledger.Preview
	}
	grant, err := answer(ctx, r)
	if err != nil {
		return refusal(err, asking)
	}
	for i, n := range asking {
		if n.text == "" {
			setMAC(&verdict.Patch, n, grant.MACs[i])
		}
	}
	verdict.note(grant.Collisions, asking, rule.Enforcement)
	return verdict, nil
}

// poolFor is the pool that serves a namespace. Where there is none, interfaces that all bring an address need none: it
// is held for them wherever it comes from.
func poolFor(find func(string) (macpool.PoolRule, error), namespace string, asking []nic) (macpool.PoolRule, error) {
	rule, err := find(namespace)
	var poolless *macpool.NoPoolError
	if errors.As(err, &poolless) && !slices.ContainsFunc(asking, func(n nic) bool { return n.text == "" }) {
		return macpool.PoolRule{Enforcement: v1alpha1.EnforcementDeny}, nil
	}
	return rule, err
}

// note adds the addresses that the pool lets a VM have although another has them.
func (v *Verdict) note(collisions []*macpool.TakenError, asking []nic, enforcement v1alpha1.Enforcement) {
	for _, collision := range collisions {
		text := collision.Error()
		if i := slices.IndexFunc(asking, func(n nic) bool { return n.mac == collision.MAC }); i >= 0 {
			text = "interface " + asking[i].name + ": " + text
		}
		v.Notes = append(v.Notes, text)
		if enforcement == v1alpha1.EnforcementWarn {
			v.Warnings = append(v.Warnings, text)
		}
	}
}

func setMAC(p *Patch, n nic, m macpool.MAC) {
	p.Set(pointer("spec", "template", "spec", "domain", "devices", "interfaces", n.index, "macAddress"), m.String())
}

// sharing says with whom the VM may share the addresses it asks for.
func sharing(vm *virtualMachine) (macpool.Sharing, *field.Error) {
	share, err := macpool.ReadSharing(vm.Spec.RunStrategy, vm.Metadata.Annotations)
	if err != nil {
		annotations := field.NewPath("metadata", "annotations")
		return share, field.Invalid(annotations.Key(macpool.ShareAnnotation), vm.Metadata.Annotations[macpool.ShareAnnotation], err.Error())
	}
	return share, nil
}

// claim is what tells this creation by generateName from others. It is taken from the object if an earlier look at the
// same creation left it there, else made up and added to the patch.
func claim(annotations map[string]string, now time.Time, p *Patch) string {
	if given := annotations[ClaimAnnotation]; fresh(given, now) {
		return given
	}
	claim := strconv.FormatInt(now.UnixMilli(), 36) + "-" + strconv.FormatUint(rand.Uint64(), 36)
	if annotations == nil {
		p.Set(pointer("metadata", "annotations"), map[string]string{ClaimAnnotation: claim})
		return claim
	}
	p.Set(pointer("metadata", "annotations", ClaimAnnotation), claim)
	return claim
}

// fresh says whether a claim is one that we made, a moment ago.
func fresh(claim string, now time.Time) bool {
	stamp, number, _ := strings.Cut(claim, "-")
	made, err := strconv.ParseInt(stamp, 36, 64)
	if err != nil || now.Sub(time.UnixMilli(made)).Abs() >= claimGoodFor {
		return false
	}
	n, err := strconv.ParseUint(number, 36, 64)
	return err == nil && claim == strconv.FormatInt(made, 36)+"-"+strconv.FormatUint(n, 36)
}

// refusal tells answers of the ledger, which go to the user with a field path, from failures to decide. It asks the
// client to try again if that can help with every reason.
func refusal(err error, asking []nic) (Verdict, error) {
	var verdict Verdict
	var busiest int32
	final := false
	for _, err := range parts(err) {
		var taken *macpool.TakenError
		var busy *macpool.BusyError
		var exhausted *macpool.ExhaustedError
		var poolless *macpool.NoPoolError
		switch {
		case errors.As(err, &taken):
			final = true
			verdict.Denied = append(verdict.Denied, field.Forbidden(pathOf(taken.MAC, asking),
				taken.Error()+"; choose another address, or leave it out to be given one"))
		case errors.As(err, &busy):
			busiest = max(busiest, int32((busy.After+time.Second-1)/time.Second), 1)
			verdict.Denied = append(verdict.Denied, field.Forbidden(pathOf(busy.MAC, asking), busy.Error()))
		case errors.As(err, &exhausted), errors.As(err, &poolless):
			final = true
			verdict.Denied = append(verdict.Denied, field.Forbidden(interfacesPath(), err.Error()))
		default:
			return Verdict{}, fmt.Errorf("assign addresses: %w", err)
		}
	}
	if !final {
		verdict.RetryAfter = busiest
	}
	// The parts come in the order they were decided in, which changes from one time to the next.
	slices.SortFunc(verdict.Denied, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
	return verdict, nil
}

// parts are the errors that were joined into one.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

func pathOf(m macpool.MAC, asking []nic) *field.Path {
	for _, n := range asking {
		if n.mac == m {
			return n.macPath()
		}
	}
	return interfacesPath()
}
