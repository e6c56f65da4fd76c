// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/chaosnode/faults"
	guests "github.com/bridgehead-dev/bridgehead/e2e/node"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

func TestNodesSurviveWhatTakesSecondsToDoToThem(t *testing.T) {
	c := guests.StartClusterForTest(t, guests.ClusterOptions{Nodes: 2, Suite: suite.Options{Replicas: 1}})
	field, err := faults.New(t.Context(), c)
	require.NoError(t, err)
	for _, fault := range field.All() {
		if !fault.Short {
			continue
		}
		figures, err := fault.Do(t.Context())
		require.NoError(t, err, fault.Title)
		t.Logf("%s: %s", fault.Title, figures)
	}
}
