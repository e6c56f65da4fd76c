// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DefaultPool is the name of the MACPool that the manager creates when there is none.
const DefaultPool = "default"

// Enforcement says what happens to a VM or a pod that asks for an address which another one holds, and to a template of
// VMs that has one.
//
// +kubebuilder:validation:Enum=Deny;Warn;Audit
type Enforcement string

const (
	// EnforcementDeny refuses it and names the holder. This is the default.
	EnforcementDeny Enforcement = "Deny"
	// EnforcementWarn admits it with an admission warning that names the holder.
	EnforcementWarn Enforcement = "Warn"
	// EnforcementAudit admits it and writes the holder to the manager's log only.
	EnforcementAudit Enforcement = "Audit"
)

// Types of MACPool conditions.
const (
	// ConditionImported is True once every address in use in the cluster is in the ledger. Its reason is Imported.
	ConditionImported = "Imported"
	// ConditionValid is False, with the problem as message, for a pool whose ranges cannot be read. Its reason is Valid or
	// Invalid.
	ConditionValid = "Valid"
	// ConditionCollided is True while several objects have an address of the pool, not on purpose. Its reason is
	// MACCollision or Unique.
	ConditionCollided = "Collided"
	// ConditionReadable is False, with their names as message, while MACBlocks have rows that cannot be read. The address
	// of such a row is nobody's to have until it is known who has it. Its reason is Readable or RowsLeftOut: the rows are
	// left out of what is read and lent, and stay in their blocks as they are written.
	ConditionReadable = "BlocksReadable"
	// ConditionServing is False for a pool that serves no namespace: none matches its selector, or pools before it by name
	// serve those that do. Its reason is Serving, NoNamespaceMatches or OtherPoolsServe.
	ConditionServing = "Serving"
)

// ReasonMACCollision is the reason of ConditionCollided, and of the events on the objects that have the address.
const ReasonMACCollision = "MACCollision"

// A MACRange is every 48-bit address from Start to End, both included. It may be one address long.
//
// +kubebuilder:validation:XValidation:rule="self.start.lowerAscii().replace('-', ':') <= self.end.lowerAscii().replace('-', ':')",message="start must not be greater than end: swap them"
// +kubebuilder:validation:XValidation:rule="self.start.lowerAscii().substring(0, 2) == self.end.lowerAscii().substring(0, 2)",message="start and end must share their first octet: every second one is multicast, so a range across first octets would hold multicast addresses; write one range per first octet"
// +kubebuilder:validation:XValidation:rule="!(self.start.replace('-', ':') == '00:00:00:00:00:00')",message="00:00:00:00:00:00 is no interface's address: start at 00:00:00:00:00:01"
type MACRange struct {
	// start is the first address of the range, as 02:4a:be:00:00:00 or 02-4a-be-00-00-00. Its first octet must be even:
	// odd ones are multicast.
	//
	// +kubebuilder:validation:Pattern=`^[0-9A-Fa-f][02468ACEace]((:[0-9A-Fa-f]{2}){5}|(-[0-9A-Fa-f]{2}){5})$`
	// +kubebuilder:validation:MaxLength=17
	Start string `json:"start"`
	// end is the last address of the range, written as start is.
	//
	// +kubebuilder:validation:Pattern=`^[0-9A-Fa-f][02468ACEace]((:[0-9A-Fa-f]{2}){5}|(-[0-9A-Fa-f]{2}){5})$`
	// +kubebuilder:validation:MaxLength=17
	End string `json:"end"`
}

// A LabelKey is the key of a label: a name, with a domain before it where it has one.
//
// +kubebuilder:validation:MaxLength=317
// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')",message="no label has this key: want a name of letters, digits, dashes, underscores and dots with a letter or digit first and last, as in tenant or example.com/tenant"
type LabelKey string

// A LabelValue is the value of a label, which may be empty.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",message="no label has this value: want letters, digits, dashes, underscores and dots with a letter or digit first and last, or nothing"
type LabelValue string

// A NamespaceSelector is a metav1.LabelSelector that the API server checks: namespaces must meet all of it.
//
// +structType=atomic
type NamespaceSelector struct {
	// matchLabels are labels that a namespace must have, with these values.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="no label has such a key: want names of letters, digits, dashes, underscores and dots with a letter or digit first and last, as in tenant or example.com/tenant"
	MatchLabels map[string]LabelValue `json:"matchLabels,omitempty"`
	// matchExpressions are other things that must be so of the labels of a namespace.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	MatchExpressions []NamespaceRequirement `json:"matchExpressions,omitempty"`
}

// A NamespaceRequirement is what must be so of one label of a namespace.
//
// +kubebuilder:validation:XValidation:rule="!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)",message="In and NotIn need values: write at least one, or take Exists or DoesNotExist"
// +kubebuilder:validation:XValidation:rule="!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || size(self.values) == 0",message="Exists and DoesNotExist take no values: leave them out, or take In or NotIn"
type NamespaceRequirement struct {
	// key is the key of the label.
	Key LabelKey `json:"key"`
	// operator says whether its value is to be one of values, none of them, any, or whether there is to be no such label.
	//
	// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
	Operator metav1.LabelSelectorOperator `json:"operator"`
	// values are those of In and NotIn.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Values []LabelValue `json:"values,omitempty"`
}

// LabelSelector returns the selector as Kubernetes has it; nil is nil.
func (s *NamespaceSelector) LabelSelector() *metav1.LabelSelector {
	if s == nil {
		return nil
	}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{}}
	for key, value := range s.MatchLabels {
		selector.MatchLabels[key] = string(value)
	}
	for _, r := range s.MatchExpressions {
		requirement := metav1.LabelSelectorRequirement{Key: string(r.Key), Operator: r.Operator}
		for _, value := range r.Values {
			requirement.Values = append(requirement.Values, string(value))
		}
		selector.MatchExpressions = append(selector.MatchExpressions, requirement)
	}
	return selector
}

// MACPoolSpec says which addresses a pool lends, to whom, and how strictly.
//
// +kubebuilder:validation:XValidation:rule="!has(self.exclude) || !self.ranges.all(r, self.exclude.exists(x, x.start.lowerAscii().replace('-', ':') <= r.start.lowerAscii().replace('-', ':') && r.end.lowerAscii().replace('-', ':') <= x.end.lowerAscii().replace('-', ':')))",message="exclude leaves no address of ranges: exclude less, or add a range"
type MACPoolSpec struct {
	// ranges are the addresses of the pool. They may be changed at any time: an address in use stays with its holder.
	// Those of VRRP routers (00:00:5e:00:01 and 00:00:5e:00:02) are never lent, nor is the one that KubeVirt's bridge for
	// masquerade has (02:00:00:00:00:00).
	//
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Ranges []MACRange `json:"ranges"`
	// exclude are addresses inside ranges that are never lent, such as those of a router.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Exclude []MACRange `json:"exclude,omitempty"`
	// namespaceSelector limits the pool to namespaces with matching labels. A namespace draws from the first pool by
	// name whose selector matches it, else from the first pool without a selector.
	//
	// +optional
	NamespaceSelector *NamespaceSelector `json:"namespaceSelector,omitempty"`
	// enforcement says what happens to a VM or a pod in a namespace of this pool that asks for an address which another
	// one holds, and to a template of VMs that has one.
	//
	// +optional
	// +kubebuilder:default=Deny
	Enforcement Enforcement `json:"enforcement,omitempty"`
}

// MACPoolStatus counts the addresses of a pool. It is written by the janitor a few seconds after a change.
type MACPoolStatus struct {
	// total is the number of addresses in the ranges that are not excluded, but for those that a NIC of a node has, which
	// are never lent.
	//
	// +optional
	Total int64 `json:"total,omitempty"`
	// used is the number of those that somebody holds.
	//
	// +optional
	Used int64 `json:"used"`
	// reserved is the number of those that a replica of the webhook has set aside for its next admissions.
	//
	// +optional
	Reserved int64 `json:"reserved"`
	// free is the number of the others, but for those whose row in a MACBlock cannot be read: the condition BlocksReadable
	// tells of these.
	//
	// +optional
	Free int64 `json:"free"`
	// range is the first range of addresses that the pool lends, and how many more there are, for people to read. What is
	// excluded parts a range.
	//
	// +optional
	Range string `json:"range,omitempty"`
	// importedBy is the janitor that last saw to it that every address in use in the cluster is in the ledger.
	//
	// +optional
	ImportedBy string `json:"importedBy,omitempty"`
	// importTransitions is how often the lease of the janitor had changed hands when that import was done: it counts for
	// as long as the janitor keeps the lease.
	//
	// +optional
	ImportTransitions *int32 `json:"importTransitions,omitempty"`
	// conditions tell what the pool is ready for.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// A MACPool is a set of addresses that interfaces in a namespace may be given, and the rules for asking for one.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=macpools,scope=Cluster
// +kubebuilder:printcolumn:name="Range",type=string,JSONPath=`.status.range`
// +kubebuilder:printcolumn:name="Used",type=integer,JSONPath=`.status.used`
// +kubebuilder:printcolumn:name="Reserved",type=integer,JSONPath=`.status.reserved`,priority=1
// +kubebuilder:printcolumn:name="Free",type=integer,JSONPath=`.status.free`
// +kubebuilder:printcolumn:name="Enforcement",type=string,JSONPath=`.spec.enforcement`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MACPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MACPoolSpec `json:"spec"`
	// +optional
	Status MACPoolStatus `json:"status,omitempty"`
}

// MACPoolList is a list of MACPools.
//
// +kubebuilder:object:root=true
type MACPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MACPool `json:"items"`
}
