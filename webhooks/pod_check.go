// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodChecker refuses pods that name networks and, when all webhooks are done, ask for less than the networks need: they
// would be bound to nodes that lack it. It comes to that if another webhook names the networks after PodReviewer was
// asked, or not asked, since the API server does not call again one that it did not call the first time.
type PodChecker struct {
	// Reviewer is what the pod should have met.
	Reviewer PodReviewer
}

// Review implements Reviewer.
func (w PodChecker) Review(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
	if request.Operation != admissionv1.Create {
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
			"the networks of the pod need %s, which it does not request: another webhook added networks after bridgehead did; "+
				"rename its configuration so that it sorts before zz-bridgehead",
			strings.Join(short, ", "),
		))}}, nil
	}
	return Verdict{}, nil
}
