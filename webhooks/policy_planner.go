// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
)

// PolicyPlanner writes the plan of every node into the answer to a dry run.
type PolicyPlanner struct {
	// Source is nil where the cluster cannot be looked at.
	Source PolicySource
	// Now is the time, for the age of what nodes reported.
	Now func() time.Time
}

// Review implements Reviewer. It refuses nothing: that is left to PolicyReviewer, which sees the same object.
func (w PolicyPlanner) Review(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
	if !isDryRun(request) || request.Operation == admissionv1.Delete {
		return Verdict{}, nil
	}
	var verdict Verdict
	p, problems := readPolicy(request.Object.Raw)
	if len(problems) > 0 {
		return verdict, nil
	}
	object := judgedPolicyOf(p.Spec)
	if len(object.judge()) > 0 {
		return verdict, nil
	}
	desired := object.desired
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	view, ok := look(ctx, w.Source, &verdict)
	if !ok {
		return verdict, nil
	}
	nodes := view.selected(p.Spec.NodeSelector)
	view, _ = view.report(ctx, w.Source, nodes, &verdict)
	plans, unseen := view.nodePlans(ctx, p, desired, nodes)
	text := planText(plans, unseen, w.Now())
	verdict.Patch.annotate(p.Annotations, map[string]string{nmstate.PlanAnnotation: text})
	return verdict, nil
}
