// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/nad"
)

// PodChecker refuses pods that name networks and, when all webhooks are done, ask for less than the networks need: they
// would be bound to nodes that lack it; and, where the reviewer lends, for addresses that others have. It comes to that
// if another webhook names the networks after PodReviewer was asked, or not asked, since the API server does not call
// again one that it did not call the first time. As a pod is changed, it judges how that names networks, and the
// addresses that it asks for then.
type PodChecker struct {
	// Reviewer is what the pod should have met.
	Reviewer PodReviewer
	// TakesMAC reports whether an interface of a pod has an address that can be given; nil says so of all.
	TakesMAC func(nad.Interface) bool
}

// Review implements Reviewer.
func (w PodChecker) Review(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
	switch request.Operation {
	case admissionv1.Create:
	case admissionv1.Update:
		return w.judgeChange(ctx, request)
	default:
		return Verdict{}, nil
	}
	p, problems := readPod(request.Object.Raw)
	if len(problems) > 0 {
		return Verdict{Denied: problems}, nil
	}
	networks, verdict, err := w.Reviewer.judge(ctx, request, p)
	if err != nil || len(verdict.Denied) > 0 || networks.pod == nil {
		return Verdict{Denied: verdict.Denied}, err // warnings were given before
	}
	var short []string
	for name, want := range wants(networks.attachments) {
		if p.asks(name, want) < want {
			short = append(short, fmt.Sprintf("%s: %d", name, want))
		}
	}
	for key, value := range selectorOf(networks) {
		short = append(short, "nodes with "+key+"="+value)
	}
	if len(short) > 0 {
		slices.Sort(short)
		return Verdict{Denied: field.ErrorList{field.Forbidden(field.NewPath("spec"), fmt.Sprintf(
			"the networks of the pod need %s, which it does not request: %s", strings.Join(short, ", "), namedLater,
		))}}, nil
	}
	verdict, err = w.judgeAddresses(ctx, request, networks)
	if why := unchecked(verdict, err); why != "" { // the janitor sees what a pod asks for, too
		return Verdict{Notes: []string{"not checked: " + why}}, nil
	}
	for _, problem := range verdict.Denied {
		problem.Detail += "; if the manifest does not say so: " + namedLater
	}
	return verdict, nil
}

const (
	// namedLater says how a pod came to name networks that PodReviewer has not seen, and what to do about it.
	namedLater = "another webhook added networks after bridgehead did; " + comeBefore
	// comeBefore says what to do about a webhook that changes something after ours.
	comeBefore = "rename its configuration so that it sorts before zz-bridgehead; " +
		"or there is no MutatingWebhookConfiguration zz-bridgehead, which bridgehead makes as soon as it is ready"
)

// judgeAddresses judges the addresses that a pod asks for, and holds none.
func (w PodChecker) judgeAddresses(
	ctx context.Context, request *admissionv1.AdmissionRequest, networks podNetworks,
) (Verdict, error) {
	r, meta := w.Reviewer, networks.pod.Metadata
	switch {
	case r.Lending == nil:
		return Verdict{}, nil
	case !r.lends(networks.pod):
		return r.checkLauncher(ctx, request, networks, Verdict{})
	case meta.GenerateName != "": // it has got its name by now, and holds what it was given without one
		scope := claimScopeOf(macpool.KindPod, request, meta)
		_, reviewed, err := r.Lending.Claims.Read(ctx, meta.Annotations[macpool.ClaimAnnotation], scope)
		if err != nil || reviewed {
			return Verdict{}, err
		}
	}
	o := order{
		holder: macpool.Object{Kind: macpool.KindPod, Namespace: request.Namespace, Name: cmp.Or(meta.Name, request.Name)},
		path:   annotationPath(nad.NetworksAnnotation),
	}
	for _, n := range networks.nics() {
		if n.name != "" && n.mac != (macpool.MAC{}) {
			o.asking = append(o.asking, n)
		}
	}
	var verdict Verdict
	if len(o.asking) == 0 {
		return verdict, nil
	}
	asked := *request
	asked.DryRun = ptr.To(true) // what the pod may have was held for it by PodReviewer
	_, err := r.Lending.lend(ctx, &asked, o, &verdict)
	return verdict, err
}
