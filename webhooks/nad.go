// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"fmt"
	"slices"
	"strings"

	netv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/nad"
)

// A nadRule lists what is wrong with a NAD in one respect.
type nadRule func(n nadObject) field.ErrorList

// nadRules returns everything that can be wrong with a NAD by itself.
func nadRules() []nadRule {
	return []nadRule{
		validateConfig,
		validateOwnName,
		validateResourceAnnotations,
		validateNodeSelector,
		validateOwnResource,
	}
}

// A nadObject is a NAD with its configuration read.
type nadObject struct {
	*netv1.NetworkAttachmentDefinition
	// keys are the annotations that name resources.
	keys []string
	// config is what could be read of the configuration, problems what is wrong with it.
	config   nad.Config
	problems field.ErrorList
}

func objectOf(n *netv1.NetworkAttachmentDefinition, keys []string) nadObject {
	o := nadObject{NetworkAttachmentDefinition: n, keys: keys}
	o.config, o.problems = nad.ParseConfig(n.Spec.Config)
	return o
}

// NADReviewer reviews NADs: it refuses those to which no pod could be attached, and warns of those that some nodes
// cannot serve, and of changes to those in use. What it looks at in the cluster is for warnings only; each may be nil.
type NADReviewer struct {
	// ResourceKeys are the annotations that name resources.
	ResourceKeys []string
	// Offered reports whether a node has a bridge, or a policy declares it.
	Offered func(bridge string) bool
	// Advertising is how many nodes have a resource.
	Advertising func(ctx context.Context, resource string) (int, error)
	// Unserved are the nodes whose bridge does not take the VLANs of a network to its uplink, each with the reason.
	Unserved func(ctx context.Context, bridge nad.Bridge) ([]string, error)
	// Users are pods and VMs that name a NAD; not all of them, if there are many.
	Users func(ctx context.Context, ref nad.Ref) ([]string, error)
}

// Review implements Reviewer.
func (w NADReviewer) Review(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
	if !speaksForItself(request.UserInfo.Username, request.Namespace) {
		// No controller reads warnings: a namespace goes with all it has.
		w.Offered, w.Advertising, w.Unserved, w.Users = nil, nil, nil, nil
	}
	if request.Operation == admissionv1.Delete {
		var verdict Verdict
		w.warnUsers(ctx, &verdict, nad.Ref{Namespace: request.Namespace, Name: request.Name}, "is deleted")
		return verdict, nil
	}
	n, problems := readNAD(request.Object.Raw)
	if len(problems) > 0 {
		return Verdict{Denied: problems}, nil
	}
	old := &netv1.NetworkAttachmentDefinition{}
	if request.Operation == admissionv1.Update {
		old, _ = readNAD(request.OldObject.Raw) // what cannot be read counts as not there
		if n.DeletionTimestamp != nil || n.Spec == old.Spec && sameText(n.Annotations, old.Annotations, w.ResourceKeys) {
			return Verdict{}, nil // other changes must not fail for what was let in before
		}
	}
	var verdict Verdict
	judged := objectOf(n, w.ResourceKeys)
	for _, rule := range nadRules() {
		verdict.deny(rule(judged)...)
	}
	if len(verdict.Denied) > 0 {
		return verdict, nil
	}
	ref := nad.Ref{Namespace: request.Namespace, Name: request.Name}
	before, after := nad.Read(old, w.ResourceKeys), nad.Read(n, w.ResourceKeys)
	if request.Operation == admissionv1.Update && !sameBridges(before.Bridges, after.Bridges) {
		w.warnUsers(ctx, &verdict, ref, "changes its bridge or VLAN")
	}
	for _, warning := range judged.config.Warnings {
		verdict.warn("spec.config: %s", warning)
	}
	if p := judged.config.Plugins; len(p) > 0 && p[0].Deviceless && n.Annotations[nad.ResourceAnnotation] == "" {
		verdict.warn("plugin %s is told no device: pods have none unless annotation %s names the resource of the devices",
			p[0].Type, nad.ResourceAnnotation)
	}
	w.warnNodes(ctx, &verdict, after)
	if strings.Contains(n.Name, ".") {
		verdict.warn("a name with a dot can only be written in the JSON form of %s", nad.NetworksAnnotation)
	}
	return verdict, nil
}

func readNAD(raw []byte) (*netv1.NetworkAttachmentDefinition, field.ErrorList) {
	n := &netv1.NetworkAttachmentDefinition{}
	problems := decode(raw, n, nil)
	for _, problem := range problems {
		if problem.Field == "spec.config" {
			problem.Detail += ": it is JSON as text: write config: | and indent the JSON below it"
		}
	}
	return n, problems
}

// sameText reports whether the annotations that are judged are the same.
func sameText(a, b map[string]string, keys []string) bool {
	for _, key := range append([]string{nad.NodeSelectorAnnotation, nad.OwnResourceAnnotation}, keys...) {
		if a[key] != b[key] {
			return false
		}
	}
	return true
}

func sameBridges(a, b []nad.Bridge) bool {
	return slices.EqualFunc(a, b, func(x, y nad.Bridge) bool {
		return x.Name == y.Name && x.VLAN == y.VLAN && slices.Equal(x.Trunk, y.Trunk)
	})
}

// validateConfig refuses a configuration with which no pod could be attached.
func validateConfig(n nadObject) field.ErrorList { return n.problems }

// validateOwnName refuses a configuration that names another NAD than the one that it is in, where the plugin looks at
// that: one that was copied, most likely.
func validateOwnName(n nadObject) field.ErrorList {
	own := nad.Ref{Namespace: n.Namespace, Name: n.Name}.String()
	for _, p := range n.config.Plugins {
		if p.OwnName && p.NAD != own && n.Name != "" {
			return field.ErrorList{field.Invalid(field.NewPath("spec", "config"), field.OmitValueType{}, fmt.Sprintf(
				"netAttachDefName is %q: OVN-Kubernetes attaches no pod unless it is %q", p.NAD, own))}
		}
	}
	return nil
}

// validateResourceAnnotations refuses names that no resource can have, and the resource of another bridge than the
// network's.
func validateResourceAnnotations(n nadObject) field.ErrorList {
	var problems field.ErrorList
	bridges := n.config.Bridges()
	for _, key := range n.keys {
		written, given := n.Annotations[key]
		if !given {
			continue
		}
		path := annotationPath(key)
		if written == "" {
			problems = append(problems, field.Required(path, "name a resource, or leave the annotation out"))
			continue
		}
		if err := nad.CheckResourceName(written); err != nil {
			problems = append(problems, field.Invalid(path, written, err.Error()))
			continue
		}
		bridge, ok := strings.CutPrefix(written, nad.BridgePrefix)
		if ok && len(bridges) > 0 && !slices.ContainsFunc(bridges, func(b nad.Bridge) bool { return b.Name == bridge }) {
			problems = append(problems, field.Invalid(path, written, contradiction(bridge, bridges[0].Name)))
		}
	}
	return problems
}

// validateNodeSelector refuses what is no list of labels.
func validateNodeSelector(n nadObject) field.ErrorList {
	written := n.Annotations[nad.NodeSelectorAnnotation]
	if _, err := nad.ParseNodeSelector(written); err != nil {
		return field.ErrorList{field.Invalid(annotationPath(nad.NodeSelectorAnnotation), written, err.Error())}
	}
	return nil
}

// validateOwnResource refuses anything but the values that the annotation may have.
func validateOwnResource(n nadObject) field.ErrorList {
	written, given := n.Annotations[nad.OwnResourceAnnotation]
	values := []string{nad.NoResource, nad.DerivedResource}
	if !given || slices.Contains(values, written) {
		return nil
	}
	return field.ErrorList{field.NotSupported(annotationPath(nad.OwnResourceAnnotation), written, values)}
}

func contradiction(named, attached string) string {
	if attached == "" {
		return fmt.Sprintf(
			"is the resource of bridge %s, but the configuration names no bridge: add \"bridge\": %q to it", named, named,
		)
	}
	return fmt.Sprintf(
		"is the resource of bridge %s, but the configuration attaches to bridge %s: want %s%s", named, attached,
		nad.BridgePrefix, attached,
	)
}

// warnUsers warns if pods or VMs use a NAD.
func (w NADReviewer) warnUsers(ctx context.Context, verdict *Verdict, ref nad.Ref, what string) {
	if w.Users == nil {
		return
	}
	users, err := w.Users(ctx, ref)
	if err != nil {
		verdict.Notes = append(verdict.Notes, fmt.Sprintf("cannot look up who uses %s: %v", ref, err))
		return
	}
	for _, user := range users[:min(len(users), maxHints)] {
		verdict.warn("%s uses this network, which %s: the change takes effect when it restarts", user, what)
	}
	if more := len(users) - maxHints; more > 0 {
		verdict.warn("at least %d more use this network", more)
	}
}

// warnNodes warns of resources that no node has, and of nodes whose bridge does not take the VLANs of the network.
func (w NADReviewer) warnNodes(ctx context.Context, verdict *Verdict, d nad.Definition) {
	wanted, unoffered := d.Wants(offeredBy(w.Offered))
	if unoffered != "" {
		verdict.warn(
			"no policy declares bridge %s and no node has it: the plugin will create one without an uplink", unoffered,
		)
		step := "set annotation " + nad.ResourceAnnotation
		if d.Filled {
			step = "remove annotation " + nad.OwnResourceAnnotation
		}
		verdict.warn("pods do not request it; to have them wait for it, %s", step)
	}
	for _, b := range d.Bridges {
		if b.Name != "" && !nad.Requestable(b.Name) {
			verdict.warn("no resource can be named after bridge %s: its pods may start on nodes without it", b.Name)
		}
	}
	w.warnLacking(ctx, verdict, d, wanted)
	for _, b := range d.Bridges {
		if w.Unserved == nil || b.VLAN == 0 && len(b.Trunk) == 0 {
			continue
		}
		nodes, err := w.Unserved(ctx, b)
		if err != nil {
			verdict.Notes = append(verdict.Notes, fmt.Sprintf("cannot look up whether bridge %s takes the VLANs: %v", b.Name, err))
		}
		for _, node := range nodes[:min(len(nodes), maxHints)] {
			verdict.warn("%s", node)
		}
		if more := len(nodes) - maxHints; more > 0 {
			verdict.warn("%d more nodes do not take the VLANs of this network on bridge %s", more, b.Name)
		}
	}
}

// warnLacking warns of resources that no node has.
func (w NADReviewer) warnLacking(ctx context.Context, verdict *Verdict, d nad.Definition, wanted []nad.Resource) {
	if w.Advertising == nil {
		return
	}
	for _, r := range wanted {
		nodes, err := w.Advertising(ctx, r.Name)
		named := "resource " + r.Name
		if bridge, ok := strings.CutPrefix(r.Name, nad.BridgePrefix); ok {
			named = "bridge " + bridge
		}
		switch derived := d.Derived(); {
		case err != nil:
			verdict.Notes = append(verdict.Notes, fmt.Sprintf("cannot look up which nodes have %s: %v", r.Name, err))
		case nodes > 0:
		case derived != "" && r.Name != derived && strings.HasSuffix(r.Name, "/"+d.Bridges[0].Name):
			verdict.warn("no node has %s: did you mean %s?", named, derived)
		default:
			verdict.warn("no node has %s now: pods on this network wait until one has", named)
		}
	}
}

// offeredBy returns a function for which nil stands for a cluster that offers every bridge.
func offeredBy(offered func(bridge string) bool) func(bridge string) bool {
	if offered == nil {
		return func(string) bool { return true }
	}
	return offered
}
