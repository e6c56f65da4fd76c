package nodeagent

import (
	"errors"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/netstate"
)

// A Renderer works out what a policy comes to on a node: it evaluates the captures against the current state, unless
// they were captured before, and puts what they found into the desired state. It returns the desired state as JSON.
type Renderer func(spec nmstate.PolicySpec, current netstate.State, captured map[string]nmstate.CapturedState) (
	desired []byte, now map[string]nmstate.CapturedState, err error)

// RenderPlain renders policies without captures.
func RenderPlain(spec nmstate.PolicySpec, _ netstate.State, _ map[string]nmstate.CapturedState) ([]byte, map[string]nmstate.CapturedState, error) {
	if len(spec.Capture) > 0 {
		return nil, nil, errors.New("spec.capture: this agent does not know captures")
	}
	if spec.DesiredState == nil {
		return nil, nil, nil
	}
	return spec.DesiredState.Raw, nil, nil
}

// render is the desired state of a policy on this node, parsed and checked.
func render(with Renderer, spec nmstate.PolicySpec, current netstate.State, captured map[string]nmstate.CapturedState) (
	netstate.State, map[string]nmstate.CapturedState, error,
) {
	text, captured, err := with(spec, current, captured)
	if err != nil || len(text) == 0 {
		return netstate.State{}, captured, err
	}
	at := field.NewPath("spec", "desiredState")
	desired, problems := netstate.ParseAt(at, text)
	if len(problems) == 0 {
		problems = netstate.Validate(desired, at)
	}
	return desired, captured, problems.ToAggregate()
}

// captured are what the captures of a policy found before, by the journal or else by the enactment.
func (a *Agent) captured(p Policy) map[string]nmstate.CapturedState {
	if r, ok := a.keeper.records[p.Name]; ok && len(r.Captured) > 0 {
		return r.Captured
	}
	return p.Status.CapturedStates
}
