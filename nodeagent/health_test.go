// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestAnAgentIsReadyWhenItDoesItsWork(t *testing.T) {
	var lacking error
	a := &Agent{health: new(health), options: Options{Access: func() error { return lacking }}}
	require.ErrorContains(t, a.Ready(), "not restored yet\nthe kernel is not watched yet\nthe API server has not taken a report yet")
	a.health.restored.Store(true)
	a.health.watching.Store(true)
	require.EqualError(t, a.Ready(), "the API server has not taken a report yet")
	a.health.reached.Store(true)
	require.NoError(t, a.Ready())
	lacking = errors.New("CAP_NET_ADMIN is missing")
	require.EqualError(t, a.Ready(), "CAP_NET_ADMIN is missing")
}

func TestAnAgentWhoseLoopIsStuckIsNotAlive(t *testing.T) {
	now := clocktesting.NewFakeClock(time.Unix(1_800_000_000, 0))
	a := &Agent{health: &health{clock: now}}
	require.NoError(t, a.Alive())
	end := a.health.beginPass()
	now.Step(maxPass)
	require.NoError(t, a.Alive(), "probes take their time")
	now.Step(time.Minute)
	require.EqualError(t, a.Alive(), "one pass of the main loop has taken 16m0s")
	end()
	assert.NoError(t, a.Alive())
}
