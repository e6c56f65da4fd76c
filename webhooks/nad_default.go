// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/bridgehead-dev/bridgehead/nad"
)

// NADDefaulter gives NADs of bridges the annotation that names the resource for the bridge, unless they have one, and
// takes it away again where that is no more.
type NADDefaulter struct {
	// ResourceKeys are the annotations that name resources.
	ResourceKeys []string
	// Offered reports whether a node has a bridge, or a policy declares it; nil for a cluster that offers every bridge.
	Offered func(bridge string) bool
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
	var before nad.Definition
	if request.Operation == admissionv1.Update {
		old, _ := readNAD(request.OldObject.Raw) // what cannot be read counts as not there
		before = nad.Read(old, w.ResourceKeys)
	}
	var verdict Verdict
	after := nad.Read(n, w.ResourceKeys)
	if leftOver(before, after) {
		verdict.Patch.Remove(pointer("metadata", "annotations", nad.ResourceAnnotation))
		if after.Filled {
			verdict.Patch.Remove(pointer("metadata", "annotations", nad.OwnResourceAnnotation))
		}
	}
	if name := missingResource(after, before.Derived()); name != "" && !w.spares(request, after) {
		set := map[string]string{nad.ResourceAnnotation: name}
		if _, said := n.Annotations[nad.OwnResourceAnnotation]; !said && len(after.Resources) == 0 {
			set[nad.OwnResourceAnnotation] = nad.DerivedResource
		}
		verdict.Patch.annotate(n.Annotations, set)
	}
	return verdict, nil
}

// spares reports whether a NAD that was there before is not given the resource of its bridge, as nobody offers that.
// KubeVirt before 1.9 and other injectors ask for whatever is named: what runs on the network would wait for ever once
// it restarts.
func (w NADDefaulter) spares(request *admissionv1.AdmissionRequest, d nad.Definition) bool {
	_, unoffered := d.Wants(offeredBy(w.Offered))
	return request.Operation == admissionv1.Update && len(d.Resources) == 0 && unoffered != ""
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

// leftOver reports whether the resource that a NAD names was filled in for a bridge that nodes are not asked for any
// more: it has another plugin now, makes the bridge itself, or is told not to ask.
func leftOver(before, after nad.Definition) bool {
	unchanged := before.Filled && slices.Equal(before.Resources, after.Resources)
	return after.Derived() == "" && after.NamesBridgeOnly() && (after.Filled || unchanged)
}
