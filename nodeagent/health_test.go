// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

func TestAnAgentIsReadyWhenItDoesItsWork(t *testing.T) {
	var lacking error
	a := &Agent{health: new(health), options: Options{Access: func() error { return lacking }}}
	require.ErrorContains(t, a.Ready(), "not restored yet\nthe watch of the kernel has not started yet\nno report has reached the API server yet")
	a.health.restored.Store(true)
	a.health.watching.Store(true)
	require.EqualError(t, a.Ready(), "no report has reached the API server yet")
	a.health.reached.Store(true)
	require.NoError(t, a.Ready())
	lacking = errors.New("CAP_NET_ADMIN is missing")
	require.EqualError(t, a.Ready(), "CAP_NET_ADMIN is missing")
}

func TestAnAgentWaitsForOthersThatConfigureNodesUnlessItWasHereFirst(t *testing.T) {
	there := errors.New("nmstate is installed")
	a := &Agent{health: new(health), keeper: new(Keeper), options: Options{
		Others: func(context.Context) error { return there }, Log: logr.Discard(),
	}}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, a.waitForOthers(ended), context.Canceled)
	require.ErrorContains(t, a.Ready(), "nmstate is installed")
	a.keeper.records = map[string]journal.Record{"uplink": {}}
	require.NoError(t, a.waitForOthers(ended), "the node is committed to something")
	a.keeper.records, there = nil, nil
	require.NoError(t, a.waitForOthers(t.Context()))
	assert.NotContains(t, a.Ready().Error(), "nmstate")
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
