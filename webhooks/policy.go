package webhooks

import (
	"context"
	"fmt"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/netstate/capture"
	"github.com/bridgehead-dev/bridgehead/netstate/render"
)

// mostDesiredState is how long a desired state may be, in bytes: an enactment has it again, beside what was captured, and
// must fit into etcd.
const mostDesiredState = 512 << 10

// patience is how long a review looks at the cluster. It is well below the time-out of the webhooks in the manifests: an
// answer that comes too late is none, and what is wrong would be let in.
const patience = 3 * time.Second

// Policy reviews policies: it refuses those that are wrong whatever node they meet, and those that contradict another
// policy of the same nodes. It warns of what some nodes lack, and answers a dry run with the plan of every node. What it
// looks at in the cluster may be nil.
type Policy struct {
	// Look reads what there is of policies, and of nodes with an agent.
	Look func(ctx context.Context) (PolicyView, error)
	// Networks are the networks that attach to a bridge.
	Networks func(bridge string) []string
	// Now is the time, for the age of what nodes reported.
	Now func() time.Time
}

// Review implements Reviewer.
func (w Policy) Review(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
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
	changed := request.Operation == admissionv1.Create || !sameWish(p.Spec, old.Spec)
	if p.DeletionTimestamp != nil || !changed && !isDryRun(request) {
		return Verdict{}, nil // other changes must not fail for what was let in before
	}
	desired, problems := judgePolicy(p.Spec)
	if len(problems) > 0 && changed {
		return Verdict{Denied: brief(problems)}, nil
	}
	var verdict Verdict
	for _, warning := range netstate.Warnings(desired, nil) {
		verdict.warn("%s", warning)
	}
	w.warnNetworks(&verdict, desired)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	view, ok := w.look(ctx, &verdict)
	if !ok {
		return verdict, nil
	}
	judgeConflicts(&verdict, view, p, old, desired)
	if len(verdict.Denied) > 0 {
		return verdict, nil
	}
	prospects, unseen := view.prospects(ctx, p, desired)
	if unseen > 0 {
		verdict.warn("there was no time to look at %d nodes more", unseen)
	}
	warnProblems(&verdict, prospects)
	if isDryRun(request) && (len(prospects) > 0 || unseen == 0) {
		warnPlans(&verdict, prospects, w.Now())
	}
	verdict.fit()
	return verdict, nil
}

// PolicyPlan writes the plan of every node into the answer to a dry run.
type PolicyPlan struct {
	// Look reads what there is of policies, and of nodes with an agent.
	Look func(ctx context.Context) (PolicyView, error)
	// Now is the time, for the age of what nodes reported.
	Now func() time.Time
}

// Review implements Reviewer. It refuses nothing: that is left to Policy, which sees the same object.
func (w PolicyPlan) Review(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
	if !isDryRun(request) || request.Operation == admissionv1.Delete {
		return Verdict{}, nil
	}
	var verdict Verdict
	p, problems := readPolicy(request.Object.Raw)
	if len(problems) > 0 {
		return verdict, nil
	}
	desired, problems := judgePolicy(p.Spec)
	if len(problems) > 0 {
		return verdict, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	view, ok := Policy{Look: w.Look}.look(ctx, &verdict)
	if !ok {
		return verdict, nil
	}
	prospects, unseen := view.prospects(ctx, p, desired)
	text := planText(prospects, unseen, w.Now())
	if p.Annotations == nil {
		verdict.Patch.Set(pointer("metadata", "annotations"), map[string]string{nmstate.PlanAnnotation: text})
	} else {
		verdict.Patch.Set(pointer("metadata", "annotations", nmstate.PlanAnnotation), text)
	}
	return verdict, nil
}

func isDryRun(request *admissionv1.AdmissionRequest) bool {
	return request.DryRun != nil && *request.DryRun
}

func readPolicy(raw []byte) (*v1.NodeNetworkConfigurationPolicy, field.ErrorList) {
	p := &v1.NodeNetworkConfigurationPolicy{}
	return p, decode(raw, p, nil)
}

// sameWish says whether two specs want the same of the same nodes.
func sameWish(a, b nmstate.PolicySpec) bool {
	return string(wishOf(a)) == string(wishOf(b)) && fmt.Sprint(a.Capture) == fmt.Sprint(b.Capture) &&
		fmt.Sprint(a.NodeSelector) == fmt.Sprint(b.NodeSelector)
}

// wishOf is the text of the desired state, nil if there is none.
func wishOf(spec nmstate.PolicySpec) []byte {
	if spec.DesiredState == nil {
		return nil
	}
	return spec.DesiredState.Raw
}

func desiredStatePath() *field.Path { return field.NewPath("spec", "desiredState") }

// judgePolicy is everything that is wrong with a policy by itself. The state has what could be read of the wish: where
// there are captures, their templates stand in it as they are written.
func judgePolicy(spec nmstate.PolicySpec) (netstate.State, field.ErrorList) {
	if len(wishOf(spec)) > mostDesiredState {
		return netstate.State{}, field.ErrorList{field.TooLong(desiredStatePath(), "", mostDesiredState)}
	}
	program, problems := capture.Parse(spec.Capture, field.NewPath("spec", "capture"))
	wish := wishOf(spec)
	if len(wish) == 0 {
		return netstate.State{}, problems
	}
	at := desiredStatePath()
	desired, wrong := netstate.ParseAt(at, wish)
	senseless := netstate.Validate(desired, at)
	if len(spec.Capture) == 0 {
		return desired, append(wrong, except(senseless, fieldsOf(wrong))...)
	}
	value, err := render.DecodeJSON(wish)
	if err != nil {
		return desired, append(problems, wrong...)
	}
	if len(problems) == 0 {
		problems = program.Check(value, at) // else it would miss the captures that could not be read
	}
	templates := capture.Templates(value, at)
	wrong = except(wrong, templates)
	return desired, append(append(problems, wrong...), except(senseless, append(entriesOf(templates), fieldsOf(wrong)...))...)
}

// except leaves out the problems at some paths and below them.
func except(problems field.ErrorList, paths []string) field.ErrorList {
	var left field.ErrorList
	known := map[string]bool{}
	for _, path := range paths {
		known[path] = true
	}
	for _, problem := range problems {
		if !covered(problem.Field, known) {
			left = append(left, problem)
		}
	}
	return left
}

// covered says whether a path, or one above it, is known.
func covered(path string, known map[string]bool) bool {
	for path != "" {
		if known[path] {
			return true
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return false
}

func fieldsOf(problems field.ErrorList) []string {
	var paths []string
	for _, problem := range problems {
		paths = append(paths, problem.Field)
	}
	return paths
}

// entriesOf are the outermost list entries that paths lead into: interfaces[2] of interfaces[2].bridge.port[0].name.
func entriesOf(paths []string) []string {
	var entries []string
	for _, path := range paths {
		if end := strings.IndexByte(path, ']'); end >= 0 {
			path = path[:end+1]
		}
		entries = append(entries, path)
	}
	return entries
}

const (
	// mostProblems is how many problems a refusal has.
	mostProblems = 20
	// longestValue is how much of a wrong value a refusal repeats.
	longestValue = 60
)

// brief is what a person reads of many problems.
func brief(problems field.ErrorList) field.ErrorList {
	var shown field.ErrorList
	for _, problem := range problems[:min(len(problems), mostProblems)] {
		short := *problem
		if text, ok := short.BadValue.(string); ok && len(text) > longestValue && !strings.Contains(short.Field, "capture") {
			short.BadValue = strings.ToValidUTF8(text[:longestValue], "") + "…"
		}
		shown = append(shown, &short)
	}
	if more := len(problems) - len(shown); more > 0 {
		shown = append(shown, field.Invalid(desiredStatePath(), field.OmitValueType{}, fmt.Sprintf("%d more problems", more)))
	}
	return shown
}

// look reads the cluster. What cannot be read is no reason to refuse.
func (w Policy) look(ctx context.Context, verdict *Verdict) (PolicyView, bool) {
	if w.Look == nil {
		return PolicyView{}, false
	}
	view, err := w.Look(ctx)
	if err != nil {
		verdict.Notes = append(verdict.Notes, fmt.Sprintf("what the nodes have is not known: %v", err))
		return PolicyView{}, false
	}
	return view, true
}

// warnNetworks warns of bridges that go away under networks.
func (w Policy) warnNetworks(verdict *Verdict, desired netstate.State) {
	if w.Networks == nil {
		return
	}
	for _, i := range desired.Interfaces {
		if i.State != netstate.StateAbsent {
			continue
		}
		networks := w.Networks(i.Name)
		for _, network := range networks[:min(len(networks), mostHints)] {
			verdict.warn("network %s attaches pods and VMs to %s, which this policy removes", network, i.Name)
		}
		if more := len(networks) - mostHints; more > 0 {
			verdict.warn("%d more networks attach to %s, which this policy removes", more, i.Name)
		}
	}
}

// reviewDeletion says what becomes of what a policy configured. Controllers do not read warnings.
func (w Policy) reviewDeletion(ctx context.Context, request *admissionv1.AdmissionRequest) Verdict {
	var verdict Verdict
	p, problems := readPolicy(request.OldObject.Raw)
	if len(problems) > 0 || !speaksForItself(request.UserInfo.Username, "") {
		return verdict
	}
	view, ok := w.look(ctx, &verdict)
	if !ok {
		return verdict
	}
	nodes := view.configuredBy(p.Name)
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
