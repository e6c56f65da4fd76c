// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
)

const (
	// ClaimAnnotation is written on an object created by generateName, which has no other identity while it is admitted:
	// it lets a second look at the same creation be told from another creation. It means nothing once the object exists.
	ClaimAnnotation = "bridgehead.dev/claim"
	// claimLifetime is how old a claim may be to be believed.
	claimLifetime = time.Minute
)

// An AddressBook lends addresses; *macpool.Ledger is one.
type AddressBook interface {
	Assign(ctx context.Context, r macpool.Request) (macpool.Grant, error)
	Preview(ctx context.Context, r macpool.Request) (macpool.Grant, error)
}

// Lending is where reviewers get addresses from.
type Lending struct {
	Ledger AddressBook
	// PoolFor is the pool that serves a namespace; *macpool.NoPoolError if there is none.
	PoolFor func(namespace string) (cluster.PoolRule, error)
	Now     func() time.Time
	// NodeOf is the node that has a NIC with an address, empty if none has; nil knows of none.
	NodeOf func(macpool.MAC) string
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
}

// An order is all that the interfaces of one object ask for.
type order struct {
	holder macpool.Object
	// kept are the addresses of the object's other interfaces.
	kept   []macpool.MAC
	asking []nic
	// path is where the object has its interfaces.
	path *field.Path
	// hint completes the refusal of an address that another has.
	hint string
}

// pathOf is where an address is asked for.
func (o order) pathOf(m macpool.MAC) *field.Path {
	for _, n := range o.asking {
		if n.mac == m {
			return n.path
		}
	}
	return o.path
}

// lend has the ledger answer an order. Addresses are in the order of the interfaces. There are none if the verdict
// comes to deny.
func (l Lending) lend(
	ctx context.Context, request *admissionv1.AdmissionRequest, o order, verdict *Verdict,
) ([]macpool.MAC, error) {
	macs, err := l.ask(ctx, request, o, verdict)
	if err != nil {
		return nil, verdict.refuse(err, o)
	}
	return macs, nil
}

// ask is lend with the refusal of the ledger as an error.
func (l Lending) ask(
	ctx context.Context, request *admissionv1.AdmissionRequest, o order, verdict *Verdict,
) ([]macpool.MAC, error) {
	rule, err := l.poolFor(request.Namespace, o.asking)
	if err != nil {
		return nil, err
	}
	r := macpool.Request{Holder: o.holder, Pool: rule.Pool, Kept: o.kept}
	for _, n := range o.asking {
		r.Asks = append(r.Asks, macpool.Ask{Interface: n.name, MAC: n.mac, Share: n.share})
	}
	answer := l.Ledger.Assign
	if isDryRun(request) {
		answer = l.Ledger.Preview
	}
	grant, err := answer(ctx, r)
	if err != nil {
		return nil, err
	}
	verdict.note(grant.Collisions, o.asking, rule.Enforcement)
	l.warnOfNodes(o, verdict)
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

// poolFor is the pool that serves a namespace. Where there is none, interfaces that all bring an address need none: it
// is held for them wherever it comes from.
func (l Lending) poolFor(namespace string, asking []nic) (cluster.PoolRule, error) {
	rule, err := l.PoolFor(namespace)
	var poolless *macpool.NoPoolError
	if errors.As(err, &poolless) && !slices.ContainsFunc(asking, func(n nic) bool { return n.text == "" }) {
		return cluster.PoolRule{Enforcement: v1alpha1.EnforcementDeny}, nil
	}
	return rule, err
}

// holderOf names the object that addresses are for. One without a name yet goes by a claim, which is added to the patch
// if the object does not bring it.
func (l Lending) holderOf(
	kind string, request *admissionv1.AdmissionRequest, meta metadata, patch *Patch,
) (macpool.Object, field.ErrorList) {
	holder := macpool.Object{Kind: kind, Namespace: request.Namespace, Name: cmp.Or(request.Name, meta.Name)}
	switch {
	case holder.Name != "":
	case meta.GenerateName == "":
		return holder, field.ErrorList{field.Required(field.NewPath("metadata", "name"), "give it, or metadata.generateName")}
	default:
		holder.GenerateName, holder.Claim = meta.GenerateName, claim(meta.Annotations, l.Now(), patch)
	}
	return holder, nil
}

// claim is what tells this creation by generateName from others. It is taken from the object if an earlier look at the
// same creation left it there, else made up and added to the patch.
func claim(annotations map[string]string, now time.Time, p *Patch) string {
	if given := annotations[ClaimAnnotation]; fresh(given, now) {
		return given
	}
	claim := strconv.FormatInt(now.UnixMilli(), 36) + "-" + strconv.FormatUint(rand.Uint64(), 36)
	p.annotate(annotations, map[string]string{ClaimAnnotation: claim})
	return claim
}

// fresh reports whether a claim is one that we made, a moment ago.
func fresh(claim string, now time.Time) bool {
	stamp, number, _ := strings.Cut(claim, "-")
	made, err := strconv.ParseInt(stamp, 36, 64)
	if err != nil || now.Sub(time.UnixMilli(made)).Abs() >= claimLifetime {
		return false
	}
	n, err := strconv.ParseUint(number, 36, 64)
	return err == nil && claim == strconv.FormatInt(made, 36)+"-"+strconv.FormatUint(n, 36)
}

// parts are the errors that were joined into one.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
