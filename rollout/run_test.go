// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
)

func TestNodeMatters(t *testing.T) {
	node := func(uid, label string, status corev1.ConditionStatus, version string) *corev1.Node {
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{
				UID:             types.UID(uid),
				Labels:          map[string]string{"zone": label},
				ResourceVersion: version,
			},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}},
		}
	}
	before := node("1", "a", corev1.ConditionTrue, "10")
	for name, tc := range map[string]struct {
		after *corev1.Node
		want  bool
	}{
		"a heartbeat":                     {node("1", "a", corev1.ConditionTrue, "11"), false},
		"another label":                   {node("1", "b", corev1.ConditionTrue, "11"), true},
		"it is not ready":                 {node("1", "a", corev1.ConditionFalse, "11"), true},
		"nobody knows how it is":          {node("1", "a", corev1.ConditionUnknown, "11"), true},
		"it is another node by that name": {node("2", "a", corev1.ConditionTrue, "11"), true},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tc.want, nodeMatters(event.UpdateEvent{ObjectOld: before, ObjectNew: tc.after}))
		})
	}
}

func TestWhichChangesOfEnactmentsMatter(t *testing.T) {
	before := &v1beta1.NodeNetworkConfigurationEnactment{}
	before.Name, before.ResourceVersion = "a.p", "1"
	before.Labels = map[string]string{nmstate.PolicyLabel: "p", nmstate.NodeLabel: "a"}
	before.Annotations = map[string]string{nmstate.TurnAnnotation: "2"}
	before.Status.PolicyGeneration = 2
	before.Status.Conditions = []nmstate.Condition{{Type: working, Status: corev1.ConditionTrue, Message: "1 of 3"}}
	for name, tc := range map[string]struct {
		change func(e *v1beta1.NodeNetworkConfigurationEnactment)
		want   bool
	}{
		"another message and time": {func(e *v1beta1.NodeNetworkConfigurationEnactment) {
			e.Status.Conditions[0].Message, e.Status.Conditions[0].LastHeartbeatTime = "2 of 3", metav1.NewTime(noon())
		}, false},
		"another attempt":    {func(e *v1beta1.NodeNetworkConfigurationEnactment) { e.Status.RetryCount = map[string]int{"2": 1} }, false},
		"another annotation": {func(e *v1beta1.NodeNetworkConfigurationEnactment) { e.Annotations["note"] = "x" }, false},
		"it has ended": {func(e *v1beta1.NodeNetworkConfigurationEnactment) {
			e.Status.Conditions[0].Status = corev1.ConditionFalse
		}, true},
		"it says one thing more": {func(e *v1beta1.NodeNetworkConfigurationEnactment) {
			e.Status.Conditions = append(e.Status.Conditions, nmstate.Condition{Type: available, Status: corev1.ConditionTrue})
		}, true},
		"another generation":     {func(e *v1beta1.NodeNetworkConfigurationEnactment) { e.Status.PolicyGeneration = 3 }, true},
		"the turn is gone":       {func(e *v1beta1.NodeNetworkConfigurationEnactment) { e.Annotations = nil }, true},
		"it is another policy's": {func(e *v1beta1.NodeNetworkConfigurationEnactment) { e.Labels[nmstate.PolicyLabel] = "q" }, true},
		"it is another node's": {func(e *v1beta1.NodeNetworkConfigurationEnactment) {
			e.OwnerReferences = []metav1.OwnerReference{{Kind: "Node", UID: "b-uid"}}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			after := before.DeepCopy()
			after.ResourceVersion = "2"
			tc.change(after)
			assert.Equal(t, tc.want, enactmentMatters(event.UpdateEvent{ObjectOld: before, ObjectNew: after}))
		})
	}
}

func TestCacheKeepsWhatDecisionsNeed(t *testing.T) {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "a-uid", ResourceVersion: "7", Labels: map[string]string{"zone": "a"}},
		Status: corev1.NodeStatus{
			Images:     make([]corev1.ContainerImage, 50),
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Message: "long"}},
		},
	}
	kept, err := stripNode(n)
	require.NoError(t, err)
	want := n.DeepCopy()
	want.Status = corev1.NodeStatus{
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse}},
	}
	assert.Equal(t, want, kept)

	e := &v1beta1.NodeNetworkConfigurationEnactment{
		ObjectMeta: metav1.ObjectMeta{
			Name:            "a.p",
			Labels:          map[string]string{nmstate.PolicyLabel: "p", nmstate.NodeLabel: "a"},
			Annotations:     map[string]string{nmstate.TurnAnnotation: "3", nmstate.PolicyUIDAnnotation: "p-uid"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Node", Name: "a", UID: "a-uid"}},
		},
		Status: nmstate.EnactmentStatus{
			DesiredState:     &runtime.RawExtension{Raw: []byte(`{"interfaces":[]}`)},
			CapturedStates:   map[string]nmstate.CapturedState{"c": {}},
			PolicyGeneration: 3,
			Conditions:       []nmstate.Condition{{Type: available, Status: corev1.ConditionTrue}},
		},
	}
	whole := enactmentOf(e)
	kept, err = stripEnactment(e.DeepCopy())
	require.NoError(t, err)
	stripped, ok := kept.(*v1beta1.NodeNetworkConfigurationEnactment)
	require.True(t, ok)
	assert.Equal(t, whole, enactmentOf(stripped))
	assert.Equal(t, enactment("a", 3, 3, available), whole)
	assert.Nil(t, stripped.Status.DesiredState)
	assert.Nil(t, stripped.Status.CapturedStates)
}

func TestWhatIsNoNumberIsNoTurn(t *testing.T) {
	for _, turn := range []string{"", "x", "-1", "0", "99999999999999999999"} {
		e := &v1beta1.NodeNetworkConfigurationEnactment{}
		e.Annotations = map[string]string{nmstate.TurnAnnotation: turn}
		assert.Zero(t, enactmentOf(e).Turn, "%q", turn)
	}
}
