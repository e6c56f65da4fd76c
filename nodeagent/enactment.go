// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A Result is how a policy went on this node.
type Result struct {
	Policy     string
	Generation int64
	// Desired is the policy rendered for the node; nil if that failed.
	Desired *netstate.State
	// Captured are what the captures of the policy found.
	Captured map[string]nmstate.CapturedState
	// Err is why it failed; nil if it did not.
	Err error
	// Waits says what it waits for if it failed; "" for nothing.
	Waits string
	// Notes are what people have to see to themselves, failed or not.
	Notes []string
}

// begin returns the status of an enactment whose node begins with a generation.
func begin(status nmstate.EnactmentStatus, generation int64, now metav1.Time) nmstate.EnactmentStatus {
	key := strconv.FormatInt(generation, 10)
	attempts := status.RetryCount[key]
	status.PolicyGeneration = generation
	status.RetryCount = map[string]int{key: attempts + 1} // those of earlier generations are of no use
	reason := nmstate.ReasonConfigurationProgressing
	status.Conditions = conditions(status.Conditions, now,
		nmstate.Condition{Type: nmstate.EnactmentAvailable, Status: corev1.ConditionUnknown, Reason: reason},
		nmstate.Condition{Type: nmstate.EnactmentFailing, Status: corev1.ConditionUnknown, Reason: reason},
		nmstate.Condition{Type: nmstate.EnactmentProgressing, Status: corev1.ConditionTrue, Reason: reason,
			Message: "Applying desired state"},
		nmstate.Condition{Type: nmstate.EnactmentPending, Status: corev1.ConditionFalse, Reason: reason},
		nmstate.Condition{Type: nmstate.EnactmentAborted, Status: corev1.ConditionFalse, Reason: reason})
	return status
}

// end returns the status of an enactment after a result, in kubernetes-nmstate's words.
func end(status nmstate.EnactmentStatus, node string, r Result, now metav1.Time) (nmstate.EnactmentStatus, error) {
	status.PolicyGeneration = r.Generation
	if r.Desired != nil {
		text, err := json.Marshal(netstate.DefaultPortVLANs(*r.Desired))
		if err != nil {
			return status, fmt.Errorf("write desired state: %w", err)
		}
		status.DesiredState = &runtime.RawExtension{Raw: text}
		status.DesiredStateMetaInfo = &nmstate.StateMetaInfo{Version: strconv.FormatInt(r.Generation, 10), TimeStamp: now}
	}
	if len(r.Captured) > 0 {
		status.CapturedStates = maps.Clone(r.Captured)
	}
	status.Conditions = outcome(status.Conditions, node, r, now)
	return status, nil
}

// outcome returns the conditions after a result.
func outcome(old []nmstate.Condition, node string, r Result, now metav1.Time) []nmstate.Condition {
	if r.Err != nil {
		return failed(old, node, r, now)
	}
	reason := nmstate.ReasonSuccessfullyConfigured
	return conditions(old, now,
		nmstate.Condition{Type: nmstate.EnactmentAvailable, Status: corev1.ConditionTrue, Reason: reason,
			Message: strings.Join(append([]string{"successfully reconciled"}, r.Notes...), "; ")},
		nmstate.Condition{Type: nmstate.EnactmentFailing, Status: corev1.ConditionFalse, Reason: reason},
		nmstate.Condition{Type: nmstate.EnactmentProgressing, Status: corev1.ConditionFalse, Reason: reason},
		nmstate.Condition{Type: nmstate.EnactmentPending, Status: corev1.ConditionFalse, Reason: reason},
		nmstate.Condition{Type: nmstate.EnactmentAborted, Status: corev1.ConditionFalse, Reason: reason})
}

func failed(old []nmstate.Condition, node string, r Result, now metav1.Time) []nmstate.Condition {
	message := fmt.Sprintf("error reconciling NodeNetworkConfigurationPolicy on node %s at desired state apply: %s",
		node, oneLine(r.Err))
	if r.Desired == nil {
		message = "failure generating desiredState and capturedStates: " + oneLine(r.Err)
	}
	if r.Waits != "" {
		message += "; " + r.Waits
	}
	for _, note := range r.Notes {
		message += "; " + note
	}
	reason := nmstate.ReasonFailedToConfigure
	return conditions(old, now,
		nmstate.Condition{Type: nmstate.EnactmentAvailable, Status: corev1.ConditionFalse, Reason: reason},
		nmstate.Condition{Type: nmstate.EnactmentFailing, Status: corev1.ConditionTrue, Reason: reason, Message: message},
		nmstate.Condition{Type: nmstate.EnactmentProgressing, Status: corev1.ConditionFalse, Reason: reason},
		nmstate.Condition{Type: nmstate.EnactmentPending, Status: corev1.ConditionFalse, Reason: reason},
		// That reason is what kubernetes-nmstate gives here, and what scripts may look for.
		nmstate.Condition{Type: nmstate.EnactmentAborted, Status: corev1.ConditionFalse,
			Reason: nmstate.ReasonSuccessfullyConfigured})
}

// oneLine returns an error as one line, at most 1,000 bytes long: it is read in a table.
func oneLine(err error) string {
	const maxBytes = 1000
	text := strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "\n", "; ")), " ")
	if len(text) > maxBytes {
		text = strings.ToValidUTF8(text[:maxBytes], "") + "…"
	}
	return text
}

func conditions(old []nmstate.Condition, now metav1.Time, all ...nmstate.Condition) []nmstate.Condition {
	for _, c := range all {
		old, _ = nmstate.Set(old, c, now)
	}
	return old
}
