// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
)

// enactment returns one of a policy with a UID, with a turn.
func enactment(uid string, status nmstate.EnactmentStatus) v1beta1.NodeNetworkConfigurationEnactment {
	return v1beta1.NodeNetworkConfigurationEnactment{
		ObjectMeta: metav1.ObjectMeta{
			Annotations: map[string]string{nmstate.PolicyUIDAnnotation: uid, nmstate.TurnAnnotation: "1"},
		},
		Status: status,
	}
}

// finished returns the status of an enactment that has the last word on a generation.
func finished(generation int64) nmstate.EnactmentStatus {
	return nmstate.EnactmentStatus{PolicyGeneration: generation, Conditions: []nmstate.Condition{
		{Type: nmstate.EnactmentAvailable, Status: corev1.ConditionTrue},
		{Type: nmstate.EnactmentProgressing, Status: corev1.ConditionFalse},
		{Type: nmstate.EnactmentPending, Status: corev1.ConditionFalse},
	}}
}

func TestTheEnactmentOfAPolicyThatHadThisNameBeforeSaysNothing(t *testing.T) {
	status := finished(1)
	status.CapturedStates = map[string]nmstate.CapturedState{"nic": {}}
	own := Policy{Name: "p", UID: "new", Generation: 1}.enacted(enactment("new", status))
	assert.Equal(t, int64(1), own.Turn)
	assert.NotEmpty(t, own.Status.CapturedStates)
	other := Policy{Name: "p", UID: "new", Generation: 1}.enacted(enactment("old", status))
	assert.Zero(t, other.Turn, "it was another's turn")
	assert.Empty(t, other.Status)
}

func TestTheCacheKeepsWhatTheAgentReads(t *testing.T) {
	p := &v1.NodeNetworkConfigurationPolicy{}
	p.Name, p.UID, p.Generation = "p", "uid", 3
	p.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	p.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: "{}", nmstate.OnDeleteAnnotation: "revert"}
	p.Spec.NodeSelector = map[string]nmstate.LabelValue{"zone": "a"}
	p.Spec.DesiredState = &runtime.RawExtension{Raw: []byte(`{"interfaces":[]}`)}
	p.Status.Conditions = []nmstate.Condition{{Type: "Available"}}
	read := readPolicy(p, labels.Set{"zone": "a"})
	kept, err := stripPolicy(p.DeepCopy())
	require.NoError(t, err)
	stripped, ok := kept.(*v1.NodeNetworkConfigurationPolicy)
	require.True(t, ok)
	assert.Equal(t, read, readPolicy(stripped, labels.Set{"zone": "a"}))
	assert.Empty(t, stripped.Status)
	assert.Empty(t, stripped.ManagedFields)
	assert.NotContains(t, stripped.Annotations, corev1.LastAppliedConfigAnnotation)

	e := enactment("uid", finished(3))
	e.Status.CapturedStates = map[string]nmstate.CapturedState{"nic": {}}
	e.Status.RetryCount = map[string]int{"3": 1}
	e.Status.DesiredState = &runtime.RawExtension{Raw: []byte(`{"interfaces":[]}`)}
	kept, err = stripEnactment(e.DeepCopy())
	require.NoError(t, err)
	own, ok := kept.(*v1beta1.NodeNetworkConfigurationEnactment)
	require.True(t, ok)
	assert.Nil(t, own.Status.DesiredState)
	want := Policy{UID: "uid"}.enacted(e)
	want.Status.DesiredState = nil
	assert.Equal(t, want, Policy{UID: "uid"}.enacted(*own))
}

func TestWhatChangesNothingWakesNobody(t *testing.T) {
	begun := nmstate.EnactmentStatus{PolicyGeneration: 1, RetryCount: map[string]int{"1": 1}}
	tests := map[string]struct {
		old, new v1beta1.NodeNetworkConfigurationEnactment
		wakes    bool
	}{
		"a turn that was begun":      {enactment("a", nmstate.EnactmentStatus{}), enactment("a", begun), false},
		"a turn that ended":          {enactment("a", begun), enactment("a", finished(1)), true},
		"the next generation's end":  {enactment("a", finished(1)), enactment("a", finished(2)), true},
		"the enactment of another":   {enactment("a", finished(1)), enactment("b", finished(1)), true},
		"the same, said again":       {enactment("a", finished(1)), enactment("a", finished(1)), false},
		"an end that was taken back": {enactment("a", finished(1)), enactment("a", nmstate.EnactmentStatus{}), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.wakes, enactmentChanged(&test.old, &test.new)) })
	}
	policy := func(generation int64, annotations map[string]string, nodes int) *v1.NodeNetworkConfigurationPolicy {
		p := &v1.NodeNetworkConfigurationPolicy{
			ObjectMeta: metav1.ObjectMeta{UID: "a", Generation: generation, Annotations: annotations},
		}
		p.Status.UnavailableNodeCount = nodes
		return p
	}
	assert.False(t, policyChanged(policy(1, nil, 0), policy(1, nil, 7)), "the status of a policy")
	assert.True(t, policyChanged(policy(1, nil, 0), policy(2, nil, 0)), "another generation")
	unhealed := map[string]string{nmstate.HealAnnotation: nmstate.HealOff}
	assert.True(t, policyChanged(policy(1, nil, 0), policy(1, unhealed, 0)))
	heard := &corev1.Node{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "1"}}
	again := &corev1.Node{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "2"}}
	assert.False(t, nodeChanged(heard, again), "kubelet says the same again")
	again.Status.Capacity = corev1.ResourceList{"cpu": {}}
	assert.True(t, nodeChanged(heard, again))
}
