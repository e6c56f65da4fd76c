// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/nad"
)

// judgeChange judges and holds the addresses that a pod asks for and did not before. It gets them if it is not attached
// yet, as one that is not to be scheduled for now, or if something in the cluster attaches running pods.
func (w PodChecker) judgeChange(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
	r := w.Reviewer
	p, problems := readPod(request.Object.Raw)
	if len(problems) > 0 {
		return Verdict{Denied: problems}, nil
	}
	if r.Lending == nil || p.Spec.HostNetwork {
		return Verdict{}, nil
	}
	old, _ := readPod(request.OldObject.Raw) // what was let in is not judged again
	o := order{
		holder: macpool.Object{Kind: macpool.KindPod, Namespace: request.Namespace, Name: request.Name},
		path:   annotationPath(nad.NetworksAnnotation),
		asking: w.newlyAsked(request.Namespace, p, old),
	}
	var verdict Verdict
	var err error
	switch {
	case len(o.asking) == 0:
	case !r.lends(p):
		verdict, err = r.checkMachine(ctx, request, p, o.asking)
	default:
		err = r.Lending.hold(ctx, request, &o, &verdict)
	}
	if why := unchecked(verdict, err); why != "" {
		return Verdict{Notes: []string{"not checked: " + why}}, nil
	}
	return verdict, nil
}

// newlyAsked returns the interfaces of a pod that ask for an address which is ours to look after, and which they did
// not ask for before.
func (w PodChecker) newlyAsked(namespace string, p, old *pod) []nic {
	before := nad.Interfaces(namespace, old.Metadata.Annotations)
	var asking []nic
	for _, i := range nad.Interfaces(namespace, p.Metadata.Annotations) {
		m, err := macpool.ParseInterfaceMAC(i.Asked)
		asked := slices.ContainsFunc(before, func(was nad.Interface) bool {
			return was.Ref == i.Ref && sameAddress(was.Asked, i.Asked)
		})
		twice := slices.ContainsFunc(asking, func(n nic) bool { return n.mac == m })
		if err != nil || asked || twice || w.TakesMAC != nil && !w.TakesMAC(i) {
			continue
		}
		key := nad.NetworksAnnotation
		if i.Primary {
			key = nad.DefaultNetworkAnnotation
		}
		asking = append(asking, nic{name: i.Name, text: i.Asked, mac: m, path: annotationPath(key)})
	}
	return asking
}
