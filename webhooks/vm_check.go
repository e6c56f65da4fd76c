// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// VMChecker refuses updates of VMs that, when all webhooks are done, have an interface without an address, or with one
// that another has: VMReviewer would not have let them in. It comes to that if another webhook adds or changes
// interfaces after VMReviewer was not asked, as the user changed none, since the API server does not call again one
// that it did not call the first time. One that it called, as for each creation, it calls again (reinvocationPolicy).
type VMChecker struct {
	// Reviewer is what the VM should have met.
	Reviewer VMReviewer
}

// Review implements Reviewer. What cannot be decided is let in: the janitor sees what a VM has, too.
func (w VMChecker) Review(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
	if request.Operation != admissionv1.Update {
		return Verdict{}, nil
	}
	const why = "another webhook changed the interfaces after bridgehead did; " + comeBefore
	vm, problems := readVM(request.Object.Raw)
	if len(problems) > 0 {
		return Verdict{Denied: problems}, nil
	}
	stored, _ := readVM(request.OldObject.Raw) // what cannot be read of it counts as not there
	var verdict Verdict
	for _, n := range changeOf(&vm, &stored).missing() {
		verdict.deny(field.Required(n.path, fmt.Sprintf("interface %s was assigned no address: %s", n.name, why)))
	}
	if len(verdict.Denied) > 0 {
		return verdict, nil
	}
	asked := *request
	asked.DryRun = ptr.To(true) // what the VM may have was held for it by VMReviewer
	judged, err := w.Reviewer.Review(ctx, &asked)
	if why := unchecked(judged, err); why != "" {
		return Verdict{Notes: []string{"not checked: " + why}}, nil
	}
	for _, problem := range judged.Denied {
		problem.Detail += "; if the manifest does not say so: " + why
		verdict.deny(problem)
	}
	return verdict, nil // warnings were given before
}

// unchecked returns why a review has decided nothing; "" if it has.
func unchecked(judged Verdict, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case judged.RetryAfter > 0:
		return judged.Denied.ToAggregate().Error()
	}
	return ""
}
