// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
)

// An Enactment is what a rollout has to know of an enactment. All its methods take a nil Enactment for one that does
// not exist: it has no turn and says nothing.
type Enactment struct {
	Name string
	// Node is the node it is labelled with, NodeUID that of the Node that owns it, and PolicyUID that of the policy it
	// was made for. The UIDs are empty where it does not say.
	Node               string
	NodeUID, PolicyUID types.UID
	// Turn is the generation that its node may apply; zero if it has no turn.
	Turn int64
	// Generation and Conditions are its status, and what generation that speaks of.
	Generation int64
	Conditions []nmstate.Condition
}

func (e *Enactment) is(t nmstate.ConditionType) bool {
	return e != nil && nmstate.IsTrue(e.Conditions, t)
}

// failed reports whether the node could not be configured, and does not try again.
func (e *Enactment) failed() bool {
	return e.status().Failed()
}

// finished reports whether the status is the last word on a generation.
func (e *Enactment) finished(generation int64) bool {
	return e.status().Finished(generation)
}

// status returns what the enactment says, in the API's type. What does not exist says nothing.
func (e *Enactment) status() nmstate.EnactmentStatus {
	if e == nil {
		return nmstate.EnactmentStatus{}
	}
	return nmstate.EnactmentStatus{PolicyGeneration: e.Generation, Conditions: e.Conditions}
}

// done reports whether the node needs no turn for the policy as it is now. What is finished without ever having had a
// turn is another program's word: the agent of this one has yet to see to the node.
func (e *Enactment) done(p Policy) bool {
	return e.finished(p.Generation) && (e.Turn == p.Generation || e.is(nmstate.EnactmentAborted))
}

// outdated reports whether a turn would be taken for finished, because of another program's word.
func (e *Enactment) outdated(p Policy) bool { return e.finished(p.Generation) && !e.done(p) }

// open reports whether the enactment has a turn that is not finished. A status that speaks of a later generation closes
// the turns of earlier ones.
func (e *Enactment) open() bool {
	return e != nil && e.Turn != 0 && e.Generation <= e.Turn && !e.finished(e.Turn)
}

// begun reports whether the node is at work, with or without a turn.
func (e *Enactment) begun() bool { return e.is(nmstate.EnactmentProgressing) }

// waiting reports whether the enactment says that it waits.
func (e *Enactment) waiting(p Policy) bool {
	return e.is(nmstate.EnactmentPending) && e.Generation == p.Generation
}

// Status returns what the enactment is to say after an action of verb Wait or Abort, in kubernetes-nmstate's words.
func (e *Enactment) Status(verb Verb, now metav1.Time) []nmstate.Condition {
	t, reason := nmstate.EnactmentPending, nmstate.ReasonMaxUnavailableReached
	message := "Waiting for progressing nodes to finish"
	if verb == Abort {
		t, reason = nmstate.EnactmentAborted, nmstate.ReasonConfigurationAborted
		message = abortedMessage(e.Name)
	}
	conditions := e.Conditions
	for _, each := range []nmstate.ConditionType{
		nmstate.EnactmentFailing, nmstate.EnactmentAvailable, nmstate.EnactmentProgressing,
		nmstate.EnactmentPending, nmstate.EnactmentAborted,
	} {
		c := nmstate.Condition{Type: each, Status: corev1.ConditionFalse, Reason: reason}
		if each == t {
			c.Status, c.Message = corev1.ConditionTrue, message
		}
		if verb == Wait && each == nmstate.EnactmentProgressing {
			c.Message = message
		}
		conditions, _ = nmstate.Set(conditions, c, now)
	}
	return conditions
}

func abortedMessage(enactment string) string {
	return fmt.Sprintf("reconciliation of enactment %q has aborted", enactment)
}
