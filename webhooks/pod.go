// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/nad"
)

// A podRule lists what is wrong in one respect with a pod whose networks are known.
type podRule func(n podNetworks) field.ErrorList

// podRules returns everything that can be wrong with what a pod and its networks ask of nodes. What cannot be read, and
// networks that do not exist, come before them; whether addresses are taken is for the ledger.
func podRules() []podRule {
	return []podRule{
		validateInterfaceFree,
		validateUnicast,
		validateLengths,
		validateIPCounts,
		validateResourceNames,
		validateNodeSelectors,
	}
}

const (
	// maxHints bounds how many namespaces are named where a NAD is looked for in the wrong one.
	maxHints = 3
	// hintTimeout bounds how long it may take to find out what a user may be told.
	hintTimeout = time.Second
)

// A NetworkFinder finds NADs; *nad.Cache is one.
type NetworkFinder interface {
	// Find is a NAD, or a *nad.MissingError. Any other error means that it is not known whether it exists.
	Find(ctx context.Context, ref nad.Ref) (nad.Definition, error)
}

// PodReviewer reviews pods that name networks as they are created: it has their containers ask for what the networks
// need of a node, and, if it lends, gives their interfaces addresses.
type PodReviewer struct {
	Networks NetworkFinder
	// MultusNamespace is where default networks are that are named without a namespace.
	MultusNamespace string
	// MayRead reports whether a user may read NADs of a namespace. It is asked before the namespace is named to the user;
	// nil names none.
	MayRead func(ctx context.Context, user authenticationv1.UserInfo, namespace string) (bool, error)
	// MayLaunch reports whether a user makes pods that VMs run in, as KubeVirt does. Nobody else is believed that a pod
	// is a VM's, whose addresses it may have then; nil believes everybody.
	MayLaunch func(ctx context.Context, user authenticationv1.UserInfo) (bool, error)
	// Offered reports whether a node has a bridge, or a policy declares it; nil for a cluster that offers every bridge.
	Offered func(bridge string) bool
	// Lending is where addresses come from; nil leaves addresses alone.
	Lending *Lending
}

// podNetworks is a pod with the networks that it names.
type podNetworks struct {
	pod *pod
	// additional is the annotation for additional networks as it is written.
	additional nad.Networks
	// attachments are the additional networks, in their order, and the one in place of the cluster's.
	attachments []attachment
	// warnings are about what is written in the annotations and means nothing.
	warnings []string
}

// An attachment is one network that a pod asks for.
type attachment struct {
	nad.Selection
	// path is where the pod names it.
	path *field.Path
	// network is the NAD, and wanted are the resources that it needs of a node.
	network nad.Definition
	wanted  []nad.Resource
}

// Review implements Reviewer.
func (w PodReviewer) Review(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
	if request.Operation != admissionv1.Create {
		return Verdict{}, nil // networks and resources of a pod cannot change any more
	}
	p, problems := readPod(request.Object.Raw)
	if len(problems) > 0 {
		return Verdict{Denied: problems}, nil
	}
	networks, verdict, err := w.judge(ctx, request, p)
	if err != nil || len(verdict.Denied) > 0 || networks.pod == nil {
		return verdict, err
	}
	topUp(p, wants(networks.attachments), &verdict.Patch)
	selectNodes(p, selectorOf(networks), &verdict.Patch)
	switch {
	case w.lends(p):
		return w.assign(ctx, request, networks, verdict)
	case w.Lending != nil:
		return w.checkLauncher(ctx, request, networks, verdict)
	}
	return verdict, nil
}

// judge reads the networks that a pod names, looks them up, and applies the rules. Of a pod that is attached to none
// there is no pod in what it returns.
func (w PodReviewer) judge(
	ctx context.Context, request *admissionv1.AdmissionRequest, p *pod,
) (podNetworks, Verdict, error) {
	var verdict Verdict
	if p.Spec.HostNetwork {
		verdict.warn("the pod uses hostNetwork: it is not attached to the networks in its annotation")
		return podNetworks{}, verdict, nil
	}
	networks, problems := w.networksOf(p, request.Namespace)
	if len(problems) > 0 {
		return networks, Verdict{Denied: problems}, nil
	}
	missing, err := w.find(ctx, request, networks.attachments)
	if err != nil || len(missing) > 0 {
		return networks, Verdict{Denied: missing}, err
	}
	for _, warning := range networks.warnings {
		verdict.warn("networks of the pod, %s", warning)
	}
	for i := range networks.attachments {
		a := &networks.attachments[i]
		var unoffered string
		a.wanted, unoffered = a.network.Wants(offeredBy(w.Offered))
		if unoffered != "" {
			verdict.warn("network %s: no policy declares bridge %s and no node has it: the pod does not request it", a.Ref, unoffered)
		}
		if a.MAC != "" && !a.network.TakesMAC() {
			verdict.warn("network %s: plugin %s does not set MAC addresses: %s is not used", a.Ref, a.network.Maker(), a.MAC)
		}
	}
	rules := podRules()
	switch {
	case w.lends(p):
		rules = append(rules, podAddressRules()...)
	case w.Lending != nil: // checkLauncher sees to the addresses
		rules = append(rules, validatePodArguments)
	}
	for _, rule := range rules {
		verdict.deny(rule(networks)...)
	}
	return networks, verdict, nil
}

// networksOf reads the annotations of a pod.
func (w PodReviewer) networksOf(p *pod, namespace string) (podNetworks, field.ErrorList) {
	path := annotationPath(nad.NetworksAnnotation)
	additional, problems := nad.ParseNetworks(p.Metadata.Annotations[nad.NetworksAnnotation], namespace, path)
	attachments := attached(additional, path)
	path = annotationPath(nad.DefaultNetworkAnnotation)
	written, given := p.Metadata.Annotations[nad.DefaultNetworkAnnotation]
	standard, wrong := nad.ParseNetworks(written, w.MultusNamespace, path)
	switch n := len(standard.Selections); {
	case n > 1:
		wrong = append(wrong, field.TooMany(path, n, 1))
	case n == 0 && len(wrong) == 0 && given: // Multus starts no pod with an empty one
		wrong = append(wrong, field.Required(path, "name a network, or leave the annotation out"))
	}
	return podNetworks{
		pod: p, additional: additional, attachments: append(attachments, attached(standard, path)...),
		warnings: slices.Concat(additional.Warnings, standard.Warnings),
	}, append(problems, wrong...)
}

func attached(networks nad.Networks, path *field.Path) []attachment {
	var list []attachment
	for i, s := range networks.Selections {
		list = append(list, attachment{Selection: s, path: path.Index(i)})
	}
	return list
}

// find looks the networks up. Those that do not exist are problems of the pod.
func (w PodReviewer) find(
	ctx context.Context, request *admissionv1.AdmissionRequest, attachments []attachment,
) (field.ErrorList, error) {
	var problems field.ErrorList
	for i := range attachments {
		a := &attachments[i]
		var err error
		a.network, err = w.Networks.Find(ctx, a.Ref)
		var missing *nad.MissingError
		if errors.As(err, &missing) {
			problems = append(
				problems, field.Invalid(a.path, a.Ref.String(), missing.Error()+w.elsewhere(ctx, request, missing)),
			)
		} else if err != nil {
			return nil, err
		}
	}
	return problems, nil
}

// elsewhere completes the message about a network that does not exist: it names namespaces that have one of that name,
// if the user may read them. A controller that creates pods for others is told nothing, since they read what it is
// told.
func (w PodReviewer) elsewhere(
	ctx context.Context, request *admissionv1.AdmissionRequest, missing *nad.MissingError,
) string {
	if w.MayRead == nil || !speaksForItself(request.UserInfo.Username, request.Namespace) {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, hintTimeout)
	defer cancel()
	var known []string
	for _, namespace := range missing.Namespaces[:min(len(missing.Namespaces), maxHints)] {
		if may, err := w.MayRead(ctx, request.UserInfo, namespace); err == nil && may {
			known = append(known, namespace)
		}
	}
	if len(known) == 0 {
		return ""
	}
	return fmt.Sprintf("; there is one in %s: write the namespace too, as in %s/%s, or \"namespace\": %q in JSON",
		strings.Join(known, ", "), known[0], missing.Name, known[0])
}

// speaksForItself reports whether a user is a person, or a service account of the namespace itself.
func speaksForItself(user, namespace string) bool {
	if account, ok := strings.CutPrefix(user, "system:serviceaccount:"); ok {
		return strings.HasPrefix(account, namespace+":")
	}
	return !strings.HasPrefix(user, "system:") || user == "system:admin" // whom k3s and OpenShift give administrators
}

// validateInterfaceFree refuses names of interfaces that every pod has already, and another name for the one on a
// default network: the runtime looks for the address of the pod on that.
func validateInterfaceFree(n podNetworks) field.ErrorList {
	var problems field.ErrorList
	for i, a := range n.attachments {
		taken := a.Interface == nad.PrimaryInterface || a.Interface == "lo"
		switch standard := i >= len(n.additional.Selections); {
		case standard && a.Interface != "" && a.Interface != nad.PrimaryInterface:
			problems = append(problems, field.Invalid(a.path.Child("interface"), a.Interface,
				"the interface of a default network is "+nad.PrimaryInterface+": leave the name out"))
		case taken && !standard:
			problems = append(problems, field.Invalid(a.path.Child("interface"), a.Interface,
				"every pod has an interface of this name already: choose another, or leave it out"))
		}
	}
	return problems
}

// validatePodInterfaceCount refuses more interfaces than can be given addresses in time.
func validatePodInterfaceCount(n podNetworks) field.ErrorList {
	if count := len(n.additional.Selections); count > maxInterfaces {
		return field.ErrorList{field.TooMany(annotationPath(nad.NetworksAnnotation), count, maxInterfaces)}
	}
	return nil
}

// validatePodBlocks refuses addresses of more blocks than can be looked up in time.
func validatePodBlocks(n podNetworks) field.ErrorList {
	return tooManyBlocks(annotationPath(nad.NetworksAnnotation), n.nics())
}

func annotationPath(key string) *field.Path {
	return field.NewPath("metadata", "annotations").Key(key)
}

// sortedKeys returns the keys of a map, in order.
func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
