// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whatever the webhook for pods lets in as it leaves it, the check lets in too; and what it would have changed is
// refused as it came.
func TestTheCheckOfPodsAgreesWithTheirReview(t *testing.T) {
	for name, c := range readCases[podCase](t, "pods") {
		if !c.Want.Allowed || c.Operation != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			defer w.flush()
			c.Addresses = false
			reviews := w.pods(c)
			checks := Handler{Log: w.handler.Log, Reviewer: PodChecker{Reviewer: reviews.Reviewer.(PodReviewer)}}
			reviewed := post(t, reviews, podReview(t, c, c.Object))
			require.True(t, reviewed.Allowed)

			assert.True(t, post(t, checks, podReview(t, c, patched(t, c.Object, reviewed))).Allowed)

			unreviewed := post(t, checks, podReview(t, c, c.Object))
			require.Equal(t, len(reviewed.Patch) == 0, unreviewed.Allowed, "%s", reviewed.Patch)
			if !unreviewed.Allowed {
				assert.Contains(t, unreviewed.Result.Message, "which it does not request: another webhook added networks after bridgehead did")
			}
		})
	}
}
