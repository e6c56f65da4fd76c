// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/bridgehead-dev/bridgehead/nad"
)

// NADDefaulter gives NADs of bridges the annotation that names the resource for the bridge, unless they have one.
type NADDefaulter struct {
	// ResourceKeys are the annotations that name resources.
	ResourceKeys []string
}

// Review implements Reviewer.
func (w NADDefaulter) Review(_ context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
	if request.Operation != admissionv1.Create && request.Operation != admissionv1.Update {
		return Verdict{}, nil
	}
	n, problems := readNAD(request.Object.Raw)
	if len(problems) > 0 {
		return Verdict{Denied: problems}, nil
	}
	before := ""
	if request.Operation == admissionv1.Update {
		old, _ := readNAD(request.OldObject.Raw) // what cannot be read counts as not there
		before = nad.Read(old, w.ResourceKeys).Derived()
	}
	var verdict Verdict
	after := nad.Read(n, w.ResourceKeys)
	if name := missingResource(after, before); name != "" {
		set := map[string]string{nad.ResourceAnnotation: name}
		if _, said := n.Annotations[nad.OwnResourceAnnotation]; !said && len(after.Resources) == 0 {
			set[nad.OwnResourceAnnotation] = nad.DerivedResource
		}
		verdict.Patch.annotate(n.Annotations, set)
	}
	return verdict, nil
}

// missingResource returns the resource that a NAD is to name and does not: that of its bridge, where it names none, or
// still names the one before, which its bridge had before a change.
func missingResource(d nad.Definition, before string) string {
	name := d.Derived()
	kept := len(d.Resources) == 1 && d.Resources[0] == nad.Resource{Key: nad.ResourceAnnotation, Name: before}
	if len(d.Resources) > 0 && !kept || name == before && kept {
		return ""
	}
	return name
}
