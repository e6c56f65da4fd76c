// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/netstate/render"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// An attempt is a turn that failed for a reason that may pass.
type attempt struct {
	generation int64
	// pause is when the kernel refused it, and how long it is left alone since. Of what failed before the first step, a
	// plan reports whether it would fail again, so that there is no need to wait.
	pause healing
	// refusedOn is the node on which a plan failed, without what counts down: on one that is the same it fails again.
	refusedOn *netstate.State
}

// again reports whether a turn that is finished is to be taken once more: the node has lost what it knew of a policy
// that is Available, or a policy that failed may succeed by now. What cost the node its connectivity is never tried
// again. wait is how long to wait otherwise; zero if nothing but a change of the node helps.
func (a *Agent) again(p Policy) (yes bool, wait time.Duration) {
	if p.available() {
		r, recorded := a.keeper.find(p.record())
		return !recorded || r.Generation != p.Generation, 0
	}
	if !p.failed() || a.keeper.Refused(p.key(), p.Generation) {
		return false, 0
	}
	last := a.attempts[p.key()]
	if last.generation != p.Generation {
		last = attempt{generation: p.Generation}
	}
	if wait = last.pause.due(a.options.Clock.Now()); wait > 0 {
		return false, wait
	}
	current, err := a.keeper.Latest()
	if err != nil {
		return false, 0
	}
	still := netstate.WithoutClocks(current)
	if last.refusedOn != nil && reflect.DeepEqual(*last.refusedOn, still) {
		return false, 0
	}
	if a.succeeds(p, current) {
		return true, 0
	}
	last.refusedOn = &still
	a.attempts[p.key()] = last
	return false, 0
}

// succeeds reports whether there is a plan for a policy.
func (a *Agent) succeeds(p Policy, current netstate.State) bool {
	desired, _, err := render.Policy(p.Spec, current, a.foundBefore(p), metav1.NewTime(a.options.Clock.Now()))
	if err != nil {
		return false
	}
	_, err = netstate.Plan(netstate.Own(current, desired), desired)
	return err == nil
}

// note notes how an attempt went.
func (a *Agent) note(p Policy, err error) {
	if err == nil {
		delete(a.attempts, p.key())
		return
	}
	next := attempt{generation: p.Generation}
	if last := a.attempts[p.key()]; last.generation == p.Generation {
		next = attempt{generation: last.generation, pause: last.pause}
	}
	if len(missing(err)) == 0 {
		next.pause = next.pause.next(a.options.Clock.Now())
	}
	a.attempts[p.key()] = next
}

// missing returns the links that were not found, if an error says so.
func missing(err error) []string {
	var all utilerrors.Aggregate
	if !errors.As(err, &all) {
		return nil
	}
	var names []string
	for _, e := range all.Errors() {
		var one *field.Error
		if errors.As(e, &one) && one.Type == field.ErrorTypeNotFound {
			names = append(names, fmt.Sprint(one.BadValue))
		}
	}
	return names
}

// waitsFor returns what a policy that failed waits for.
func waitsFor(err error) string {
	var lost *LostError
	var refused *kernel.RefusedError
	switch names := missing(err); {
	case errors.As(err, &lost):
		return "it is tried again when the policy is changed"
	case len(names) > 0:
		return "it is tried again when the node has " + strings.Join(names, ", ")
	case errors.As(err, &refused):
		return "it is tried again after a while, and when the agent restarts"
	}
	return "it is tried again after a while, and when the node's network changes"
}
