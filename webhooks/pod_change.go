// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/nad"
)

// judgeChange judges how a pod names networks, and judges and holds the addresses that it asks for, where it did not so
// before. It gets them if it is not attached yet, as one that is not to be scheduled for now, or if something in the
// cluster attaches running pods.
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
	if wrong := w.newlyWrong(ctx, request.Namespace, p, old); len(wrong) > 0 {
		return Verdict{Denied: wrong}, nil
	}
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

// newlyWrong returns what is wrong with how a pod names networks, where nothing was before: what was let in must not
// keep anybody from taking networks out, by which all that is left has other indexes.
func (w PodChecker) newlyWrong(ctx context.Context, namespace string, p, old *pod) field.ErrorList {
	wrong := w.miswritten(ctx, namespace, p)
	if len(wrong) > 0 && len(w.miswritten(ctx, namespace, old)) > 0 {
		return nil
	}
	return wrong
}

// miswritten returns what is wrong with how a pod names networks, by rules that hold when it is created as well:
// whether the pod of a VM has an address twice is the VM's matter.
func (w PodChecker) miswritten(ctx context.Context, namespace string, p *pod) field.ErrorList {
	networks, problems := w.Reviewer.networksOf(p, namespace)
	rules := []podRule{validateInterfaceFree, validateUnicast}
	if w.Reviewer.lends(p) {
		rules = append(rules, validatePodAddressesUnique)
		for i := range networks.attachments {
			a := &networks.attachments[i]
			a.network, _ = w.Reviewer.Networks.Find(ctx, a.Ref) // one that is not known may take addresses
		}
	}
	for _, rule := range rules {
		problems = append(problems, rule(networks)...)
	}
	return problems
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
