// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
)

func TestDeadlinesOfProbes(t *testing.T) {
	policy := func(deadline string) runtime.RawExtension {
		p := v1.NodeNetworkConfigurationPolicy{}
		p.Name = "p"
		require.NoError(t, json.Unmarshal(asJSON(t, bridgeOnEth1), &p.Spec))
		if deadline != "" {
			p.Annotations = map[string]string{nmstate.ProbeDeadlineAnnotation: deadline}
		}
		raw, err := json.Marshal(p)
		require.NoError(t, err)
		return runtime.RawExtension{Raw: raw}
	}
	for name, tc := range map[string]struct {
		deadline, before string
		updated, refused bool
	}{
		"none":                           {},
		"one that agents keep":           {deadline: "60s"},
		"the longest":                    {deadline: "10m"},
		"one that is too long":           {deadline: "11m", refused: true},
		"one that is too short":          {deadline: "10ms", refused: true},
		"one without a unit":             {deadline: "60", refused: true},
		"one that is written later":      {deadline: "soon", updated: true, refused: true},
		"one that was let in before":     {deadline: "soon", before: "soon", updated: true},
		"one that is taken away is fine": {before: "soon", updated: true},
	} {
		t.Run(name, func(t *testing.T) {
			request := &admissionv1.AdmissionRequest{Operation: admissionv1.Create, Object: policy(tc.deadline)}
			if tc.updated {
				request.Operation, request.OldObject = admissionv1.Update, policy(tc.before)
			}
			verdict, err := PolicyReviewer{}.Review(t.Context(), request)
			require.NoError(t, err)
			if !tc.refused {
				assert.Empty(t, verdict.Denied)
				return
			}
			require.Len(t, verdict.Denied, 1)
			assert.Equal(t, "metadata.annotations["+nmstate.ProbeDeadlineAnnotation+"]", verdict.Denied[0].Field)
			assert.Contains(t, verdict.Denied[0].Detail, "a duration from 1s to 10m0s, such as 60s")
		})
	}
}
