// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
)

// noon returns when the tests begin.
func noon() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

// row returns what conditions say, without messages and times.
func row(conditions []nmstate.Condition, types ...nmstate.ConditionType) []string {
	var cells []string
	for _, t := range types {
		if c := nmstate.Find(conditions, t); c != nil {
			cells = append(cells, string(t)+" "+string(c.Status)+" "+string(c.Reason))
		}
	}
	return cells
}

// The rows are kubernetes-nmstate's, with their one oddity: what has failed does not progress for the reason that it
// progresses.
func TestPolicyConditionMatrix(t *testing.T) {
	for state, want := range map[nmstate.ConditionType][]string{
		nmstate.PolicyProgressing: {
			"Available Unknown ConfigurationProgressing", "Degraded Unknown ConfigurationProgressing",
			"Progressing True ConfigurationProgressing", "Ignored False ConfigurationProgressing",
		},
		nmstate.PolicyAvailable: {
			"Available True SuccessfullyConfigured", "Degraded False SuccessfullyConfigured",
			"Progressing False SuccessfullyConfigured", "Ignored False SuccessfullyConfigured",
		},
		nmstate.PolicyDegraded: {
			"Available False FailedToConfigure", "Degraded True FailedToConfigure",
			"Progressing False ConfigurationProgressing", "Ignored False FailedToConfigure",
		},
		nmstate.PolicyIgnored: {
			"Available False NoMatchingNode", "Degraded False NoMatchingNode",
			"Progressing False NoMatchingNode", "Ignored True NoMatchingNode",
		},
	} {
		t.Run(string(state), func(t *testing.T) {
			s, change := Summary{State: state, Message: "so it is"}.Status(nmstate.PolicyStatus{}, metav1.NewTime(noon()))
			assert.Equal(t, Turnover, change)
			assert.Equal(t, want, row(s.Conditions,
				nmstate.PolicyAvailable, nmstate.PolicyDegraded, nmstate.PolicyProgressing, nmstate.PolicyIgnored))
			for _, c := range s.Conditions {
				assert.Equal(t, c.Status == corev1.ConditionTrue, c.Message == "so it is", c.Type)
			}
		})
	}
}

func TestEnactmentConditionMatrix(t *testing.T) {
	e := enactment("a", 0, 1, available)
	for verb, want := range map[Verb]struct {
		row     []string
		message string
	}{
		Wait: {
			row: []string{
				"Available False MaxUnavailableLimitReached", "Failing False MaxUnavailableLimitReached",
				"Progressing False MaxUnavailableLimitReached", "Pending True MaxUnavailableLimitReached",
				"Aborted False MaxUnavailableLimitReached",
			},
			message: "Waiting for progressing nodes to finish",
		},
		Abort: {
			row: []string{
				"Available False ConfigurationAborted", "Failing False ConfigurationAborted",
				"Progressing False ConfigurationAborted", "Pending False ConfigurationAborted",
				"Aborted True ConfigurationAborted",
			},
			message: `reconciliation of enactment "a.p" has aborted`,
		},
	} {
		t.Run(string(verb), func(t *testing.T) {
			conditions := e.Status(verb, metav1.NewTime(noon()))
			assert.Equal(t, want.row, row(conditions, available, failing, working, pending, aborted))
			for _, c := range conditions {
				if c.Status == corev1.ConditionTrue {
					assert.Equal(t, want.message, c.Message)
				}
			}
		})
	}
}

func TestSummaryChangesAStatus(t *testing.T) {
	progress := Summary{Generation: 2, State: nmstate.PolicyProgressing, Message: "0/2", Unavailable: 1}
	at := metav1.NewTime(noon())
	before, _ := progress.Status(nmstate.PolicyStatus{}, at)
	later := metav1.NewTime(noon().Add(time.Minute))
	for name, tc := range map[string]struct {
		next   Summary
		change Change
		counts map[string]int
	}{
		"the same":              {progress, Same, map[string]int{"2": 1}},
		"another message":       {Summary{Generation: 2, State: nmstate.PolicyProgressing, Message: "1/2", Unavailable: 1}, Detail, map[string]int{"2": 1}},
		"another count":         {Summary{Generation: 2, State: nmstate.PolicyProgressing, Message: "0/2", Unavailable: 2}, Detail, map[string]int{"2": 2}},
		"another generation":    {Summary{Generation: 3, State: nmstate.PolicyProgressing, Message: "0/2", Unavailable: 1}, Turnover, map[string]int{"3": 1}},
		"a failure":             {Summary{Generation: 2, State: nmstate.PolicyDegraded, Message: "1/2", Unavailable: 1}, Turnover, map[string]int{"2": 1}},
		"success clears counts": {Summary{Generation: 2, State: nmstate.PolicyAvailable, Message: "2/2", Unavailable: 0}, Turnover, nil},
	} {
		t.Run(name, func(t *testing.T) {
			after, change := tc.next.Status(before, later)
			assert.Equal(t, tc.change, change)
			assert.Equal(t, tc.next.Generation, after.ObservedGeneration)
			assert.Equal(t, tc.counts, after.UnavailableNodeCountMap)
			assert.Equal(t, tc.next.Unavailable, after.UnavailableNodeCount)
			ignored := nmstate.Find(after.Conditions, nmstate.PolicyIgnored)
			assert.Equal(t, at, ignored.LastTransitionTime, "what stays false has not turned over")
		})
	}
}
