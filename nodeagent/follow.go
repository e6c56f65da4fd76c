// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/netstate/render"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

// follow does what the policies ask for now, and returns when to look again at what has failed; zero for no need to.
func (a *Agent) follow(ctx context.Context) (wait time.Duration, err error) {
	policies, err := a.cluster.policies(ctx)
	if err != nil {
		return 0, err
	}
	soon := func(pause time.Duration) bool {
		if pause > 0 && (wait == 0 || pause < wait) {
			wait = pause
		}
		return pause > 0
	}
	again := func(p Policy) bool {
		yes, pause := a.again(p)
		soon(pause)
		return yes
	}
	var failed []error
	for _, t := range tasks(slices.Concat(policies, a.cluster.deleted.list()), a.keeper.Records(), again) {
		if a.publish.busy(t.policy.Name) || t.verb == revert && soon(a.keeper.RevertPause(t.key)) {
			continue
		}
		if err := a.do(ctx, t); err != nil {
			failed = append(failed, fmt.Errorf("%s policy %s: %w", t.verb, t.policy.Name, err))
		}
	}
	a.cluster.deleted.drop(a.keeper.Records())
	a.removeProfiles(policies)
	failed = append(failed, a.dropFallen(policies))
	return wait, errors.Join(failed...)
}

func (a *Agent) do(ctx context.Context, t task) error {
	defer a.committed()
	p := t.policy
	switch t.verb {
	case annotate:
		return a.keeper.Annotate(t.key, p.record())
	case orphan:
		a.options.Log.Info("The policy was deleted; what it configured stays", "policy", p.Name)
		return a.keeper.Orphan(t.key)
	case revert:
		if err := a.keeper.Revert(ctx, t.key); err != nil {
			return err
		}
		a.options.Log.Info("Reverted", "policy", p.Name)
		return nil
	case giveUp:
		a.publish.tell(Result{Policy: p.Name, Generation: p.Generation, Err: fmt.Errorf(
			"the agent or the node ended %d times while it applied this; change the policy to have it tried again",
			p.attempts())})
		return a.keeper.Refuse(p.key(), p.Generation)
	}
	how := claim{repeated: a.claims[p.key()] == p.Generation, again: t.again}
	a.claims[p.key()] = p.Generation
	err := a.cluster.begin(ctx, p, how, metav1.NewTime(a.options.Clock.Now()))
	if errors.Is(err, errFinished) {
		return nil
	}
	if err != nil {
		return err
	}
	delete(a.claims, p.key())
	begun := a.options.Clock.Now()
	result := a.apply(ctx, p)
	if note := a.keeper.fallback(p.key()); note != "" {
		result.Notes = append(result.Notes, note)
		if err := a.keeper.takeUp(p.key()); err != nil {
			a.options.Log.Error(err, "Cannot forget that a policy was given up at boot", "policy", p.Name)
		}
	}
	a.metrics.turn(result.Err, a.options.Clock.Since(begun))
	a.publish.tell(result)
	return nil
}

// apply takes a turn: it renders the policy and makes the node be so.
func (a *Agent) apply(ctx context.Context, p Policy) Result {
	result := Result{Policy: p.Name, Generation: p.Generation}
	record := p.record()
	current, err := a.keeper.Read()
	err = errors.Join(p.Invalid, err)
	if err == nil {
		var desired netstate.State
		now := metav1.NewTime(a.options.Clock.Now())
		desired, record.Captured, err = render.Policy(p.Spec, current, a.foundBefore(p), now)
		if err == nil {
			result.Desired, record.Desired = &desired, journal.State(desired)
			result.Notes = netstate.Unyielding(current, desired)
		}
	}
	result.Captured = record.Captured
	if err == nil {
		a.keepBootUnit(record)
		err = a.keeper.Apply(ctx, record)
	}
	a.note(p, err)
	result.Err = err
	if err != nil {
		result.Waits = waitsFor(err)
		a.options.Log.Info("Cannot apply the policy", "policy", p.Name, "generation", p.Generation, "error", err.Error())
		return result
	}
	if note := a.bootNote(netstate.State(record.Desired)); note != "" {
		result.Notes = append(result.Notes, note)
	}
	a.options.Log.Info("Policy applied", "policy", p.Name, "generation", p.Generation)
	return result
}

// NodeAddresses returns the internal addresses of the node's Node, as far as the API server told; nil if it has not. It
// may be called from any goroutine.
func (a *Agent) NodeAddresses() []netip.Addr {
	if addresses := a.cluster.addresses.Load(); addresses != nil {
		return *addresses
	}
	return nil
}

// foundBefore returns what the captures of a policy found before, by the journal or else by the enactment.
func (a *Agent) foundBefore(p Policy) map[string]nmstate.CapturedState {
	if r, ok := a.keeper.find(p.record()); ok && len(r.Captured) > 0 {
		return r.Captured
	}
	return p.Status.CapturedStates
}

func (a *Agent) committed() {
	if a.options.Committed != nil {
		a.options.Committed()
	}
}
