// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/netstate/capture"
	"github.com/bridgehead-dev/bridgehead/netstate/render"
)

// maxDesiredState is how long a desired state may be, in bytes: an enactment has it again, beside what was captured,
// and must fit into etcd.
const maxDesiredState = 512 << 10

// maxSampled is how many nodes are looked at for what they lack when a policy is written.
const maxSampled = 16

// reviewTimeout is how long a review looks at the cluster. It is well below the time-out of the webhooks in the
// manifests: an answer that comes too late is none, and what is wrong would be let in.
const reviewTimeout = 3 * time.Second

// A policyRule lists what is wrong with a policy in one respect.
type policyRule func(p judgedPolicy) field.ErrorList

// policyRules returns everything that can be wrong with a policy whatever node it meets. What contradicts other
// policies is for judgeConflicts.
func policyRules() []policyRule {
	return []policyRule{
		validateSize,
		validateCaptures,
		validateShape,
		validateState,
	}
}

// judge lists everything that is wrong with a policy by itself.
func (p judgedPolicy) judge() field.ErrorList {
	var problems field.ErrorList
	for _, rule := range policyRules() {
		problems = append(problems, rule(p)...)
	}
	return problems
}

// A PolicySource reads what policies are judged by; Cluster is one.
type PolicySource interface {
	// Look reads policies, the labels of nodes and which of them run an agent, all of which is small.
	Look(ctx context.Context) (PolicyView, error)
	// Report adds to a view what some nodes reported and how they took policies. Of nodes for which there is no time
	// until ctx is done it adds nothing. The error is of what failed for another reason.
	Report(ctx context.Context, view PolicyView, nodes []string) (PolicyView, error)
	// AppliedBy are the nodes that applied a policy, whatever came of it, in order.
	AppliedBy(ctx context.Context, policy string) ([]string, error)
}

// PolicyReviewer reviews policies: it refuses those that are wrong whatever node they meet, and those that contradict
// another policy of the same nodes. It warns of what some nodes lack, and answers a dry run with the plan of every
// node. What it looks at in the cluster may be nil.
type PolicyReviewer struct {
	// Source is nil where the cluster cannot be looked at.
	Source PolicySource
	// Networks are the networks that attach to a bridge.
	Networks func(bridge string) []string
	// Now is the time, for the age of what nodes reported.
	Now func() time.Time
}

// Review implements Reviewer.
func (w PolicyReviewer) Review(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
	if request.Operation == admissionv1.Delete {
		return w.reviewDeletion(ctx, request), nil
	}
	p, problems := readPolicy(request.Object.Raw)
	if len(problems) > 0 {
		return Verdict{Denied: brief(problems)}, nil
	}
	old := &v1.NodeNetworkConfigurationPolicy{}
	if request.Operation == admissionv1.Update {
		old, _ = readPolicy(request.OldObject.Raw) // what cannot be read counts as not there
	}
	if problems := validateDeadline(p.Annotations, old.Annotations); len(problems) > 0 {
		return Verdict{Denied: problems}, nil
	}
	changed := request.Operation == admissionv1.Create || !sameWish(p.Spec, old.Spec)
	if p.DeletionTimestamp != nil || !changed && !isDryRun(request) {
		return Verdict{}, nil // other changes must not fail for what was let in before
	}
	object := judgedPolicyOf(p.Spec)
	if problems := object.judge(); len(problems) > 0 && changed {
		return Verdict{Denied: brief(problems)}, nil
	}
	var verdict Verdict
	for _, warning := range netstate.Warnings(object.desired, nil) {
		verdict.warn("%s", warning)
	}
	w.warnNetworks(&verdict, object.desired)
	w.reviewInCluster(ctx, &verdict, p, old, object.desired, isDryRun(request))
	return verdict, nil
}

// reviewInCluster refuses a policy that contradicts others and warns of what nodes lack. For a dry run it says what
// every node would do.
func (w PolicyReviewer) reviewInCluster(
	ctx context.Context, verdict *Verdict, p, old *v1.NodeNetworkConfigurationPolicy, desired netstate.State, dryRun bool,
) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	view, ok := look(ctx, w.Source, verdict)
	if !ok {
		return
	}
	judgeConflicts(verdict, view, p, old, desired)
	if len(verdict.Denied) > 0 {
		return
	}
	nodes := view.selected(p.Spec.NodeSelector)
	if !dryRun {
		nodes = nodes[:min(len(nodes), maxSampled)] // of which problems are examples; the plan is for a dry run
	}
	view, reported := view.report(ctx, w.Source, nodes, verdict)
	plans, unseen := view.nodePlans(ctx, p, desired, nodes)
	warnProblems(verdict, plans)
	if dryRun {
		if unseen > 0 {
			verdict.warn("%d more nodes were not checked for lack of time", unseen)
		}
		if len(plans) > 0 || reported && unseen == 0 {
			warnPlans(verdict, plans, w.Now())
		}
	}
}

func readPolicy(raw []byte) (*v1.NodeNetworkConfigurationPolicy, field.ErrorList) {
	p := &v1.NodeNetworkConfigurationPolicy{}
	return p, decode(raw, p, nil)
}

// sameWish reports whether two specs want the same of the same nodes.
func sameWish(a, b nmstate.PolicySpec) bool {
	return string(wishOf(a)) == string(wishOf(b)) && fmt.Sprint(a.Capture) == fmt.Sprint(b.Capture) &&
		fmt.Sprint(a.NodeSelector) == fmt.Sprint(b.NodeSelector)
}

// wishOf returns the text of the desired state, nil if there is none.
func wishOf(spec nmstate.PolicySpec) []byte {
	if spec.DesiredState == nil {
		return nil
	}
	return spec.DesiredState.Raw
}

func desiredStatePath() *field.Path { return field.NewPath("spec", "desiredState") }

// A judgedPolicy is a policy as far as it can be read.
type judgedPolicy struct {
	spec nmstate.PolicySpec
	// wish is the text of the desired state, nil if there is none.
	wish []byte
	// desired has what could be read of the wish: where there are captures, their templates stand in it as they are
	// written. unreadable is what could not.
	desired    netstate.State
	unreadable field.ErrorList
	// program has the captures, miswritten what is wrong with them.
	program    capture.Program
	miswritten field.ErrorList
	// value is the wish as JSON, and templates are where captures stand in it; only where there are captures.
	value     any
	templates []string
}

func judgedPolicyOf(spec nmstate.PolicySpec) judgedPolicy {
	p := judgedPolicy{spec: spec, wish: wishOf(spec)}
	p.program, p.miswritten = capture.Parse(spec.Capture, field.NewPath("spec", "capture"))
	if len(p.wish) == 0 || len(p.wish) > maxDesiredState {
		return p
	}
	p.desired, p.unreadable = netstate.ParseAt(desiredStatePath(), p.wish)
	if len(spec.Capture) == 0 {
		return p
	}
	if value, err := render.DecodeJSON(p.wish); err == nil { // else unreadable says so
		p.value, p.templates = value, capture.Templates(value, desiredStatePath())
	}
	p.unreadable = except(p.unreadable, p.templates)
	return p
}

// validateSize refuses what would not fit into an enactment.
func validateSize(p judgedPolicy) field.ErrorList {
	if len(p.wish) > maxDesiredState {
		return field.ErrorList{field.TooLong(desiredStatePath(), "", maxDesiredState)}
	}
	return nil
}

// validateCaptures refuses captures that cannot be read, and templates that name none.
func validateCaptures(p judgedPolicy) field.ErrorList {
	if len(p.miswritten) > 0 || p.value == nil {
		return p.miswritten // templates would miss the captures that could not be read
	}
	return p.program.Check(p.value, desiredStatePath())
}

// validateShape refuses what is not nmstate's schema.
func validateShape(p judgedPolicy) field.ErrorList { return p.unreadable }

// validateState refuses what makes no sense on any node, but for entries that captures fill in.
func validateState(p judgedPolicy) field.ErrorList {
	if len(p.wish) > maxDesiredState {
		return nil
	}
	return except(
		netstate.Validate(p.desired, desiredStatePath()), append(entriesOf(p.templates), fieldsOf(p.unreadable)...),
	)
}

// look reads policies and nodes. What cannot be read is no reason to refuse, but it is said what was not looked for.
func look(ctx context.Context, source PolicySource, verdict *Verdict) (PolicyView, bool) {
	if source == nil {
		return PolicyView{}, false
	}
	view, err := source.Look(ctx)
	if err != nil {
		verdict.warn("policies and nodes could not be read in time: conflicts with other policies were not checked")
		verdict.Notes = append(verdict.Notes, fmt.Sprintf("conflicts were not checked: %v", err))
		return PolicyView{}, false
	}
	return view, true
}

// warnNetworks warns of bridges that go away under networks.
func (w PolicyReviewer) warnNetworks(verdict *Verdict, desired netstate.State) {
	if w.Networks == nil {
		return
	}
	for _, i := range desired.Interfaces {
		if i.State != netstate.StateAbsent {
			continue
		}
		networks := w.Networks(i.Name)
		for _, network := range networks[:min(len(networks), maxHints)] {
			verdict.warn("network %s attaches pods and VMs to %s, which this policy removes", network, i.Name)
		}
		if more := len(networks) - maxHints; more > 0 {
			verdict.warn("%d more networks attach to %s, which this policy removes", more, i.Name)
		}
	}
}

// reviewDeletion returns what becomes of what a policy configured. Controllers do not read warnings.
func (w PolicyReviewer) reviewDeletion(ctx context.Context, request *admissionv1.AdmissionRequest) Verdict {
	var verdict Verdict
	p, problems := readPolicy(request.OldObject.Raw)
	if len(problems) > 0 || !speaksForItself(request.UserInfo.Username, "") {
		return verdict
	}
	if w.Source == nil {
		return verdict
	}
	nodes, err := w.Source.AppliedBy(ctx, p.Name)
	if err != nil {
		verdict.Notes = append(verdict.Notes, fmt.Sprintf("cannot look up where the policy is applied: %v", err))
		return verdict
	}
	switch {
	case len(nodes) == 0:
	case p.Annotations[nmstate.OnDeleteAnnotation] != nmstate.OnDeleteRevert:
		verdict.warn("what the policy configured stays on %s", someOf(nodes))
		verdict.warn("to undo it, set annotation %s: %s before deleting", nmstate.OnDeleteAnnotation, nmstate.OnDeleteRevert)
	default:
		verdict.warn("what the policy configured is undone on %s", someOf(nodes))
		gone, _ := netstate.Parse(wishOf(p.Spec)) // it was let in; what cannot be read is not warned of
		for n := range gone.Interfaces {
			gone.Interfaces[n].State = netstate.StateAbsent
		}
		w.warnNetworks(&verdict, gone)
	}
	return verdict
}
