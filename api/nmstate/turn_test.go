// SPDX-License-Identifier: Apache-2.0

package nmstate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
)

func TestTurnOfAnEnactment(t *testing.T) {
	for name, c := range map[string]struct {
		annotations map[string]string
		want        int64
	}{
		"no annotations grant nothing":       {},
		"a generation is granted":            {map[string]string{TurnAnnotation: "7"}, 7},
		"what is written is read":            {map[string]string{TurnAnnotation: FormatTurn(1 << 40)}, 1 << 40},
		"what is no number grants nothing":   {map[string]string{TurnAnnotation: "soon"}, 0},
		"no policy has a generation below 1": {map[string]string{TurnAnnotation: "-1"}, 0},
		"a number with more behind it":       {map[string]string{TurnAnnotation: "7 "}, 0},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, TurnOf(c.annotations)) })
	}
}

func TestWhenAGenerationIsFinished(t *testing.T) {
	for name, c := range map[string]struct {
		is       []ConditionType
		of       int64
		finished bool
	}{
		"nothing was said":                 {of: 2},
		"the node has it":                  {[]ConditionType{EnactmentAvailable}, 2, true},
		"the node has another generation":  {[]ConditionType{EnactmentAvailable}, 1, false},
		"the node failed":                  {[]ConditionType{EnactmentFailing}, 2, true},
		"the node failed and tries again":  {[]ConditionType{EnactmentFailing, EnactmentProgressing}, 2, false},
		"the node gave it up":              {[]ConditionType{EnactmentAborted}, 2, true},
		"the node is at work":              {[]ConditionType{EnactmentProgressing}, 2, false},
		"the node waits":                   {[]ConditionType{EnactmentPending}, 2, false},
		"the node gave another one up":     {[]ConditionType{EnactmentAborted}, 3, false},
		"the node failed with another one": {[]ConditionType{EnactmentFailing}, 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			status := EnactmentStatus{PolicyGeneration: c.of}
			for _, kind := range c.is {
				status.Conditions = append(status.Conditions, Condition{Type: kind, Status: corev1.ConditionTrue})
			}
			assert.Equal(t, c.finished, status.Finished(2))
		})
	}
}

func TestEnactmentsAreNamedAfterNodeAndPolicy(t *testing.T) {
	assert.Equal(t, "node-a.br0", EnactmentName("node-a", "br0"))
}
