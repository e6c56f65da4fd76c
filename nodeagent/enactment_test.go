// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

// condition returns one condition as text.
func condition(t *testing.T, conditions []nmstate.Condition, kind nmstate.ConditionType) string {
	t.Helper()
	for _, c := range conditions {
		if c.Type == kind {
			return string(c.Status) + " " + string(c.Reason) + " " + c.Message
		}
	}
	require.Fail(t, "no such condition", kind)
	return ""
}

func TestAnEnactmentFromBeginToEnd(t *testing.T) {
	now, desired := metav1.NewTime(time.Unix(100, 0)), parse(t, bridgeOnEth1)
	begun := begin(status(1, 2, nmstate.EnactmentAvailable), 2, now)
	assert.Equal(t, map[string]int{"2": 1}, begun.RetryCount, "attempts at older generations are forgotten")
	assert.Equal(t, "True ConfigurationProgressing Applying desired state", condition(t, begun.Conditions, nmstate.EnactmentProgressing))
	for kind, want := range map[nmstate.ConditionType]string{
		nmstate.EnactmentAvailable: "Unknown ConfigurationProgressing ",
		nmstate.EnactmentFailing:   "Unknown ConfigurationProgressing ",
		nmstate.EnactmentPending:   "False ConfigurationProgressing ",
		nmstate.EnactmentAborted:   "False ConfigurationProgressing ",
	} {
		assert.Equal(t, want, condition(t, begun.Conditions, kind), kind)
	}
	assert.False(t, Policy{Generation: 2, Status: begun}.finished())
	assert.Equal(t, map[string]int{"2": 2}, begin(begun, 2, now).RetryCount)

	for name, c := range map[string]struct {
		result                          Result
		available, failing, progressing string
		others                          string // Pending and Aborted
		desired                         string
	}{
		"it worked": {
			result:      Result{Policy: "p", Generation: 2, Desired: &desired},
			available:   "True SuccessfullyConfigured successfully reconciled",
			failing:     "False SuccessfullyConfigured ",
			progressing: "False SuccessfullyConfigured ",
			others:      "False SuccessfullyConfigured , False SuccessfullyConfigured ",
			desired:     "br1",
		},
		"it could not be applied": {
			result:      Result{Policy: "p", Generation: 2, Desired: &desired, Err: errors.New("one\n  two")},
			available:   "False FailedToConfigure ",
			failing:     "True FailedToConfigure error reconciling NodeNetworkConfigurationPolicy on node n1 at desired state apply: one; two",
			progressing: "False FailedToConfigure ",
			others:      "False FailedToConfigure , False SuccessfullyConfigured ",
			desired:     "br1",
		},
		"it could not be rendered": {
			result:      Result{Policy: "p", Generation: 2, Err: errors.New("no default gateway")},
			available:   "False FailedToConfigure ",
			failing:     "True FailedToConfigure failure generating desiredState and capturedStates: no default gateway",
			progressing: "False FailedToConfigure ",
			others:      "False FailedToConfigure , False SuccessfullyConfigured ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			ended, err := end(*begun.DeepCopy(), "n1", c.result, now)
			require.NoError(t, err)
			assert.Equal(t, int64(2), ended.PolicyGeneration)
			assert.Equal(t, c.available, condition(t, ended.Conditions, nmstate.EnactmentAvailable))
			assert.Equal(t, c.failing, condition(t, ended.Conditions, nmstate.EnactmentFailing))
			assert.Equal(t, c.progressing, condition(t, ended.Conditions, nmstate.EnactmentProgressing))
			assert.Equal(t, c.others, condition(t, ended.Conditions, nmstate.EnactmentPending)+", "+condition(t, ended.Conditions, nmstate.EnactmentAborted))
			assert.True(t, Policy{Generation: 2, Status: ended}.finished())
			assert.Equal(t, begun.RetryCount, ended.RetryCount)
			if c.desired == "" {
				assert.Nil(t, ended.DesiredState)
				return
			}
			assert.Contains(t, string(ended.DesiredState.Raw), c.desired)
			assert.Equal(t, "2", ended.DesiredStateMetaInfo.Version)
		})
	}
}

func TestAnErrorIsOneLineOfSomeLength(t *testing.T) {
	text := oneLine(errors.New(strings.Repeat("é\n", 1000)))
	assert.NotContains(t, text, "\n")
	assert.LessOrEqual(t, len(text), 1000+len("…"))
	assert.True(t, strings.HasPrefix(text, "é; é; "))
	assert.Equal(t, text, strings.ToValidUTF8(text, "?"))
}

func TestWhatPeopleHaveToSeeToIsInTheEnactment(t *testing.T) {
	const note = "eth1 is managed by ifupdown, which cannot be told to leave it alone"
	for name, test := range map[string]struct {
		result Result
		want   string
	}{
		"applied": {Result{Notes: []string{note}}, "successfully reconciled; " + note},
		"failed":  {Result{Notes: []string{note}, Desired: &netstate.State{}, Err: errNoMemory}, "no memory; " + note},
		"failed, and waiting": {
			Result{Waits: "it is tried again when the node has bond0", Desired: &netstate.State{}, Err: errNoMemory},
			"no memory; it is tried again when the node has bond0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := false
			for _, c := range outcome(nil, "node01", test.result, metav1.Time{}) {
				found = found || c.Status == corev1.ConditionTrue && strings.HasSuffix(c.Message, test.want)
			}
			assert.True(t, found)
		})
	}
}
