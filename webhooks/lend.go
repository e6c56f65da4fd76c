// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"cmp"
	"context"
	"errors"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
)

// An AddressBook lends addresses; *ledger.Ledger is one.
type AddressBook interface {
	Assign(ctx context.Context, r macpool.Request) (macpool.Grant, error)
	Preview(ctx context.Context, r macpool.Request) (macpool.Grant, error)
}

// Lending is where reviewers get addresses from.
type Lending struct {
	Ledger AddressBook
	// PoolFor is the pool that serves a namespace; *macpool.NoPoolError if there is none.
	PoolFor func(namespace string) (cluster.PoolRule, error)
	// Claims tell the creations of objects without a name apart.
	Claims *ClaimKeys
	// NodeOf is the node that has a NIC with an address, empty if none has; nil knows of none.
	NodeOf func(macpool.MAC) string
	// Having returns those of the addresses that a VM has, or its instance, by a read that is never old. Nil returns all.
	Having func(ctx context.Context, o macpool.Object, macs ...macpool.MAC) ([]macpool.MAC, error)
}

// A nic is one interface of a VM or a pod as the ledger's rules see it.
type nic struct {
	// name is that of the interface.
	name string
	// text is the address as written, empty for any; mac is what it spells, zero if it is empty.
	text string
	mac  macpool.MAC
	// path is where the object has the address.
	path *field.Path
	// share says with whom the interface may have an address that is asked for.
	share macpool.Sharing
	// ofPod is true for an interface that the pod of a VM has beside those of the VM.
	ofPod bool
}

// An order is all that the interfaces of one object ask for.
type order struct {
	holder macpool.Object
	// again says that the ledger has seen the holder, which has no name, before. Should that turn out to be
	// untrue, other makes it a holder of its own.
	again bool
	other func(p *Patch) (macpool.Object, error)
	// kept are the addresses of the object's other interfaces, left those that it had on interfaces that it loses, where
	// nothing uses them meanwhile.
	kept   []macpool.MAC
	left   []macpool.MAC
	asking []nic
	// path is where the object has its interfaces.
	path *field.Path
	// strict has an address that another has refused also where the pool tolerates it.
	strict bool
	// advise completes the refusal of an address that another has; nil leaves it.
	advise func(*macpool.TakenError) string
}

// advice returns what completes the refusal of an address that another has.
func (o order) advice(t *macpool.TakenError) string {
	if o.advise == nil {
		return ""
	}
	return o.advise(t)
}

// pathOf returns where an address is asked for.
func (o order) pathOf(m macpool.MAC) *field.Path {
	for _, n := range o.asking {
		if n.mac == m {
			return n.path
		}
	}
	return o.path
}

// claimHint completes the refusal of an address that another creation like this one, which brings no claim, was given a
// moment ago: the two may be one creation that lost its claim between two looks, and is refused at every attempt then.
func (o order) claimHint(other macpool.Object) string {
	other.Claim = o.holder.Claim
	if o.again || other != o.holder {
		return ""
	}
	return "; if that never helps, another webhook removes annotation " + macpool.ClaimAnnotation +
		", by which bridgehead knows an object without a name again: have it keep the annotation, or set metadata.name"
}

// lend has the ledger answer an order. Addresses are in the order of the interfaces. There are none if the verdict
// comes to deny.
func (l Lending) lend(
	ctx context.Context, request *admissionv1.AdmissionRequest, o order, verdict *Verdict,
) ([]macpool.MAC, error) {
	macs, err := l.ask(ctx, request, &o, verdict)
	if err != nil {
		return nil, verdict.refuse(err, o)
	}
	return macs, nil
}

// hold is lend for addresses that are all asked for.
func (l Lending) hold(ctx context.Context, request *admissionv1.AdmissionRequest, o *order, verdict *Verdict) error {
	_, err := l.ask(ctx, request, o, verdict)
	if errors.Is(err, macpool.ErrNotReady) { // nothing can be held now, but what others have is known
		only := *request
		only.DryRun = ptr.To(true)
		_, err = l.ask(ctx, &only, o, verdict)
	}
	if err != nil {
		err = verdict.refuse(err, *o)
	}
	return err
}

// ask returns lend with the refusal of the ledger as an error.
func (l Lending) ask(
	ctx context.Context, request *admissionv1.AdmissionRequest, o *order, verdict *Verdict,
) ([]macpool.MAC, error) {
	rule, err := l.poolFor(request.Namespace, o.asking)
	if err != nil {
		return nil, err
	}
	r := macpool.Request{Holder: o.holder, Again: o.again, Pool: rule.Pool, Kept: o.kept, Left: o.left}
	r.Pool.Tolerate = rule.Tolerate && !o.strict
	for _, n := range o.asking {
		r.Asks = append(r.Asks, macpool.Ask{Interface: n.name, MAC: n.mac, Share: n.share})
	}
	answer := l.Ledger.Assign
	if isDryRun(request) {
		answer = l.Ledger.Preview
	}
	grant, err := answer(ctx, r)
	if errors.Is(err, macpool.ErrStaleClaim) {
		// The claim came with a copy of an object that is gone.
		if o.holder, err = o.other(&verdict.Patch); err != nil {
			return nil, err
		}
		r.Holder, r.Again, o.again = o.holder, false, false
		grant, err = answer(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	verdict.note(grant.Collisions, o.asking, rule.Enforcement)
	l.warnOfNodes(*o, verdict)
	return grant.MACs, nil
}

// warnOfNodes warns of addresses that are asked for and that the NIC of a node has.
func (l Lending) warnOfNodes(o order, verdict *Verdict) {
	if l.NodeOf == nil {
		return
	}
	for _, n := range o.asking {
		if n.text == "" {
			continue
		}
		if node := l.NodeOf(n.mac); node != "" {
			verdict.warn("interface %s: %s is the address of a NIC of node %s: choose another", n.name, n.mac, node)
		}
	}
}

// poolFor returns the pool that serves a namespace. Where there is none, interfaces that all bring an address need
// none: it is held for them wherever it comes from.
func (l Lending) poolFor(namespace string, asking []nic) (cluster.PoolRule, error) {
	rule, err := l.PoolFor(namespace)
	var poolless *macpool.NoPoolError
	if errors.As(err, &poolless) && !slices.ContainsFunc(asking, func(n nic) bool { return n.text == "" }) {
		return cluster.PoolRule{Enforcement: v1alpha1.EnforcementDeny}, nil
	}
	return rule, err
}

// identify names the object that an order is for. One without a name yet goes by a claim, which is added to the patch
// if the object does not bring it.
func (l Lending) identify(
	ctx context.Context, o *order, kind string, request *admissionv1.AdmissionRequest, meta metadata, patch *Patch,
) (field.ErrorList, error) {
	o.holder = macpool.Object{Kind: kind, Namespace: request.Namespace, Name: cmp.Or(request.Name, meta.Name)}
	at := field.NewPath("metadata")
	if len(o.holder.Name) > maxName { // the API server says so only after admission
		return field.ErrorList{field.TooLong(at.Child("name"), "", maxName)}, nil
	}
	if o.holder.Name != "" {
		return nil, nil
	}
	if len(meta.GenerateName) > maxName {
		return field.ErrorList{field.TooLong(at.Child("generateName"), "", maxName)}, nil
	}
	if meta.GenerateName == "" {
		return field.ErrorList{field.Required(at.Child("name"), "set it, or metadata.generateName")}, nil
	}
	scope := claimScopeOf(kind, request, meta)
	o.holder.GenerateName = meta.GenerateName
	o.other = func(p *Patch) (macpool.Object, error) {
		nonce, claim, err := l.Claims.New(scope)
		if err != nil {
			return macpool.Object{}, err
		}
		p.annotate(meta.Annotations, map[string]string{macpool.ClaimAnnotation: claim})
		holder := o.holder
		holder.Claim = nonce
		return holder, nil
	}
	nonce, again, err := l.Claims.Read(ctx, meta.Annotations[macpool.ClaimAnnotation], scope)
	if err != nil {
		return nil, err
	}
	if again {
		o.holder.Claim, o.again = nonce, true
		return nil, nil
	}
	o.holder, err = o.other(patch)
	return nil, err
}

// parts returns the errors that were joined into one.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
