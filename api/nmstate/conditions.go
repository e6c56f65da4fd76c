// SPDX-License-Identifier: Apache-2.0

package nmstate

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Condition is one aspect of an object's state.
type Condition struct {
	// type is the aspect.
	Type ConditionType `json:"type"`
	// status is True, False or Unknown.
	Status corev1.ConditionStatus `json:"status"`
	// reason is one word for why.
	//
	// +optional
	Reason ConditionReason `json:"reason,omitempty"`
	// message says why in a sentence.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// lastHeartbeatTime is when the condition was looked at and found different in any way.
	//
	// +optional
	LastHeartbeatTime metav1.Time `json:"lastHeartbeatTime,omitempty"`
	// lastTransitionTime is when status changed last.
	//
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
}

// ConditionType is an aspect of a policy, an enactment or a node state.
type ConditionType string

// Types of the conditions of policies.
const (
	PolicyAvailable   ConditionType = "Available"
	PolicyDegraded    ConditionType = "Degraded"
	PolicyProgressing ConditionType = "Progressing"
	PolicyIgnored     ConditionType = "Ignored"
)

// Types of the conditions of enactments.
const (
	EnactmentAvailable   ConditionType = "Available"
	EnactmentFailing     ConditionType = "Failing"
	EnactmentProgressing ConditionType = "Progressing"
	EnactmentPending     ConditionType = "Pending"
	EnactmentAborted     ConditionType = "Aborted"
)

// Types of the conditions of node states.
const (
	NodeStateAvailable ConditionType = "Available"
	NodeStateFailing   ConditionType = "Failing"
)

// ConditionReason is one word for why a condition is as it is.
type ConditionReason string

// Reasons, in kubernetes-nmstate's words.
const (
	ReasonSuccessfullyConfigured   ConditionReason = "SuccessfullyConfigured"
	ReasonFailedToConfigure        ConditionReason = "FailedToConfigure"
	ReasonConfigurationProgressing ConditionReason = "ConfigurationProgressing"
	ReasonConfigurationAborted     ConditionReason = "ConfigurationAborted"
	ReasonNoMatchingNode           ConditionReason = "NoMatchingNode"
	ReasonMaxUnavailableReached    ConditionReason = "MaxUnavailableLimitReached"
)

// Find returns the condition of a type, or nil.
func Find(conditions []Condition, t ConditionType) *Condition {
	i := slices.IndexFunc(conditions, func(c Condition) bool { return c.Type == t })
	if i < 0 {
		return nil
	}
	return &conditions[i]
}

// IsTrue reports whether the condition of a type is True.
func IsTrue(conditions []Condition, t ConditionType) bool {
	c := Find(conditions, t)
	return c != nil && c.Status == corev1.ConditionTrue
}

// Set returns the conditions with one set, and whether anything but its times changed. The time of the last transition
// moves with the status, that of the last heartbeat with any change: an object that says the same is not to be written
// again.
func Set(conditions []Condition, c Condition, now metav1.Time) (next []Condition, changed bool) {
	c.LastHeartbeatTime, c.LastTransitionTime = now, now
	next = slices.Clone(conditions)
	old := Find(next, c.Type)
	if old == nil {
		return append(next, c), true
	}
	if old.Status == c.Status && old.Reason == c.Reason && old.Message == c.Message {
		return next, false
	}
	if old.Status == c.Status {
		c.LastTransitionTime = old.LastTransitionTime
	}
	*old = c
	return next, true
}
