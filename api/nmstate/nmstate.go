// SPDX-License-Identifier: Apache-2.0

// Package nmstate holds what all served versions of API group nmstate.io have in common: the specs and statuses of
// policies, enactments and node states, in the very fields kubernetes-nmstate gives them. The versions differ in
// nothing but their names, so objects need no conversion.
//
// +kubebuilder:object:generate=true
package nmstate

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Group is the API group of policies, enactments and node states.
const Group = "nmstate.io"

// Labels of enactments.
const (
	// PolicyLabel has the name of the enactment's policy.
	PolicyLabel = "nmstate.io/policy"
	// NodeLabel has the name of the enactment's node.
	NodeLabel = "nmstate.io/node"
)

// Annotations that extend kubernetes-nmstate.
const (
	// TurnAnnotation on an enactment has the generation of the policy that its node may apply. The controller grants
	// it, so that no more nodes than maxUnavailable change at a time.
	TurnAnnotation = "bridgehead.dev/turn"
	// PolicyUIDAnnotation on an enactment has the UID of the policy it was made for, which another one of the same name
	// does not have.
	PolicyUIDAnnotation = "bridgehead.dev/policy-uid"
	// OnDeleteAnnotation on a policy, with the value OnDeleteRevert, undoes what the policy did when it is deleted or no
	// longer selects the node. Without it the configuration stays, as with kubernetes-nmstate.
	OnDeleteAnnotation = "bridgehead.dev/on-delete"
	OnDeleteRevert     = "revert"
	// HealAnnotation on a policy, with the value HealOff, leaves alone what somebody else changed.
	HealAnnotation = "bridgehead.dev/heal"
	HealOff        = "false"
	// ProbeDeadlineAnnotation on a policy says how long its nodes have to answer after the change, as "60s": bonds with
	// LACP below a bridge with STP take longer than others. ParseProbeDeadline reads it.
	ProbeDeadlineAnnotation = "bridgehead.dev/probe-deadline"
	// BootUnitAnnotation on a policy, with the value BootUnitOff, keeps agents from installing a unit on the hosts of its
	// nodes, where they else do so because the policy holds the link by which a node reaches others.
	BootUnitAnnotation = "bridgehead.dev/boot-unit"
	BootUnitOff        = "false"
	// ProfilesAnnotation on a policy, with the value ProfilesRemove, has agents delete the profiles that
	// kubernetes-nmstate left with NetworkManager for the links of the policy, once it is applied. Without it they stay on
	// disk and have no effect.
	ProfilesAnnotation = "bridgehead.dev/nmstate-profiles"
	ProfilesRemove     = "remove"
	// PlanAnnotation is in the answer to a dry run of a policy: the plan of every node. It is never stored.
	PlanAnnotation = "bridgehead.dev/plan"
)

// DefaultMaxUnavailable is how many nodes apply a policy at a time if it does not say.
const DefaultMaxUnavailable = "50%"

// PolicySpec says what the network of which nodes is to be.
//
// +kubebuilder:validation:XValidation:rule="has(self.capture) == has(oldSelf.capture) && (!has(self.capture) || self.capture == oldSelf.capture)",message="invalid policy operation: capture field cannot be modified"
type PolicySpec struct {
	// nodeSelector are labels that a node must have for the policy to apply to it. Empty selects every node that runs
	// the agent.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=256
	// +kubebuilder:validation:XValidation:rule="self.all(key, !format.qualifiedName().validate(key).hasValue())",message="nodeSelector keys must be valid qualified names"
	// +kubebuilder:validation:XValidation:rule="self.all(key, self[key].size() <= 63 && self[key].matches('^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$'))",message="nodeSelector values must be valid label values"
	NodeSelector map[string]LabelValue `json:"nodeSelector,omitempty"`
	// capture names expressions over the current state of a node, for use in desiredState as
	// {{ capture.<name>.<path> }}. What they find first is kept, so it cannot be changed afterwards.
	//
	// +optional
	Capture map[string]string `json:"capture,omitempty"`
	// desiredState is what the network is to be, in nmstate's schema. What it does not mention stays.
	//
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	DesiredState *runtime.RawExtension `json:"desiredState,omitempty"`
	// maxUnavailable is how many of the matching nodes may be configured or have failed at a time, as a number or a
	// percentage. It is 50% if absent or not readable, and at least one node.
	//
	// +optional
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
}

// A LabelValue is the value of a node's label.
//
// +kubebuilder:validation:MaxLength=256
type LabelValue string

// PolicyStatus sums up the enactments of a policy.
type PolicyStatus struct {
	// conditions are Available, Degraded, Progressing and Ignored.
	//
	// +optional
	Conditions []Condition `json:"conditions,omitempty"`
	// observedGeneration is the generation of the policy that the conditions speak of: kubectl wait does not take those
	// of an earlier one for those of this.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// unavailableNodeCount is kept for readers of older versions. It counts the nodes that have a turn.
	//
	// +optional
	UnavailableNodeCount int `json:"unavailableNodeCount,omitempty"`
	// unavailableNodeCountMap has the same count by generation of the policy. Nothing is decided by it.
	//
	// +optional
	UnavailableNodeCountMap map[string]int `json:"unavailableNodeCountMap,omitempty"`
	// lastUnavailableNodeCountUpdate is when the count changed last.
	//
	// +optional
	LastUnavailableNodeCountUpdate *metav1.Time `json:"lastUnavailableNodeCountUpdate,omitempty"`
}

// EnactmentStatus is how one node took one policy.
type EnactmentStatus struct {
	// desiredState is what the policy comes to on this node: captures substituted, defaults filled in.
	//
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	DesiredState *runtime.RawExtension `json:"desiredState,omitempty"`
	// desiredStateMetaInfo says when that was worked out.
	//
	// +optional
	DesiredStateMetaInfo *StateMetaInfo `json:"desiredStateMetaInfo,omitempty"`
	// capturedStates are what the captures of the policy found first.
	//
	// +optional
	CapturedStates map[string]CapturedState `json:"capturedStates,omitempty"`
	// policyGeneration is the generation of the policy that the conditions speak of.
	//
	// +optional
	PolicyGeneration int64 `json:"policyGeneration,omitempty"`
	// conditions are Failing, Available, Progressing, Pending and Aborted.
	//
	// +optional
	Conditions []Condition `json:"conditions,omitempty"`
	// features are kept for readers of kubernetes-nmstate.
	//
	// +optional
	Features []string `json:"features,omitempty"`
	// retryCount has, by generation, how often the node tried again.
	//
	// +optional
	RetryCount map[string]int `json:"retryCount,omitempty"`
}

// A StateMetaInfo says which version of a state this is.
type StateMetaInfo struct {
	// version is the generation of the policy.
	//
	// +optional
	Version string `json:"version,omitempty"`
	// time is when the state was worked out.
	//
	// +optional
	TimeStamp metav1.Time `json:"time,omitempty"`
}

// A CapturedState is what a capture found.
type CapturedState struct {
	// state is the part of the node's state that was found.
	//
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	State *runtime.RawExtension `json:"state,omitempty"`
	// metaInfo says when it was found.
	//
	// +optional
	MetaInfo *StateMetaInfo `json:"metaInfo,omitempty"`
}

// NodeStateStatus is the network of a node as it is.
type NodeStateStatus struct {
	// currentState has interfaces, routes and dns-resolver in nmstate's schema.
	//
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	CurrentState *runtime.RawExtension `json:"currentState,omitempty"`
	// lastSuccessfulUpdateTime is when currentState changed last.
	//
	// +optional
	LastSuccessfulUpdateTime metav1.Time `json:"lastSuccessfulUpdateTime,omitempty"`
	// handlerNetworkManagerVersion is kept for readers of kubernetes-nmstate.
	//
	// +optional
	HandlerNetworkManagerVersion string `json:"handlerNetworkManagerVersion,omitempty"`
	// handlerNmstateVersion names the agent.
	//
	// +optional
	HandlerNmstateVersion string `json:"handlerNmstateVersion,omitempty"`
	// hostNetworkManagerVersion says that the kernel is configured without NetworkManager.
	//
	// +optional
	HostNetworkManagerVersion string `json:"hostNetworkManagerVersion,omitempty"`
	// conditions are Available and Failing: whether the state could be read.
	//
	// +optional
	Conditions []Condition `json:"conditions,omitempty"`
}
