// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// A death ends the agent in the middle of something.
type death struct{}

// A mortal node has the agent die at a step: before it is taken, or right after.
type mortal struct {
	kernel.Node
	at    int
	after bool
	taken int
}

// Do implements kernel.Node.
func (m *mortal) Do(step netstate.Step) error {
	m.taken++
	if m.taken == m.at && !m.after {
		panic(death{})
	}
	err := m.Node.Do(step)
	if m.taken == m.at && m.after {
		panic(death{})
	}
	return err
}

// dies reports whether the agent died while it did something.
func dies(do func()) (died bool) {
	defer func() {
		if cause := recover(); cause != nil {
			if _, died = cause.(death); !died {
				panic(cause)
			}
		}
	}()
	do()
	return false
}

// atEveryStep calls crash for every step of a change, before and after it, until the change outlives its steps.
func atEveryStep(t *testing.T, crash func(t *testing.T, at int, after bool) (died bool)) {
	for at := 1; ; at++ {
		died := false
		for moment, after := range map[string]bool{"before": false, "after": true} {
			t.Run(moment+" step "+strconv.Itoa(at), func(t *testing.T) { died = crash(t, at, after) })
		}
		if !died {
			require.Greater(t, at, 3, "the change has steps")
			return
		}
	}
}

func TestAnAgentKilledAtAnyStepUndoesTheChangeWhenItStarts(t *testing.T) {
	atEveryStep(t, func(t *testing.T, at int, after bool) bool {
		dir, model, policy := t.TempDir(), kernel.NewModel(bare(t)), wish(t, "p", bondBelowBridge)
		k := startKeeper(t, &mortal{Node: model, at: at, after: after}, dir)
		if !dies(func() { require.NoError(t, k.Apply(t.Context(), policy)) }) {
			return false
		}
		again := startKeeper(t, model, dir)
		assertState(t, bare(t), model, "undone")
		assert.Empty(t, again.Records())
		require.NoError(t, again.Apply(t.Context(), policy))
		assertDone(t, policy, again, "applied by the next one")
		return true
	})
}

func TestAnAgentKilledWhileItUndoesIsFollowedByOneThatFinishes(t *testing.T) {
	atEveryStep(t, func(t *testing.T, at int, after bool) bool {
		dir, model := t.TempDir(), kernel.NewModel(bare(t))
		k := startKeeper(t, model, dir)
		k.Probe = func(context.Context) func(context.Context) error {
			return func(context.Context) error { panic(death{}) }
		}
		require.True(t, dies(func() { _ = k.Apply(t.Context(), wish(t, "p", bondBelowBridge)) }))
		second := newKeeper(t, &mortal{Node: model, at: at, after: after}, dir)
		died := dies(func() { require.NoError(t, second.Restore()) })
		third := startKeeper(t, model, dir)
		assertState(t, bare(t), model, "undone")
		assert.Empty(t, third.Records())
		return died
	})
}

func TestANodeThatLosesPowerAtAnyStepBootsAsItWasCommittedBefore(t *testing.T) {
	first := wish(t, "p", bridgeOnEth1)
	atEveryStep(t, func(t *testing.T, at int, after bool) bool {
		dir, model, second := t.TempDir(), kernel.NewModel(
			bare(t),
		), wish(t, "q", strings.ReplaceAll(bondBelowBridge, "br1", "br2"))
		second.Desired.Interfaces[0].Bond.Port = []string{"eth2", "eth3"}
		k := startKeeper(t, model, dir)
		require.NoError(t, k.Apply(t.Context(), first))
		k.Node = &mortal{Node: model, at: at, after: after}
		if !dies(func() { require.NoError(t, k.Apply(t.Context(), second)) }) {
			return false
		}
		booted := kernel.NewModel(bare(t))
		again := startKeeper(t, booted, dir)
		assertDone(t, first, again, "restored")
		current, err := booted.Read()
		require.NoError(t, err)
		_, found := current.Interface("br2")
		assert.False(t, found, "what was not committed is not made")
		return true
	})
}

func TestAnAgentKilledWhileItRevertsLeavesThePolicyAsItIs(t *testing.T) {
	policy := wish(t, "p", bondBelowBridge)
	atEveryStep(t, func(t *testing.T, at int, after bool) bool {
		dir, model := t.TempDir(), kernel.NewModel(bare(t))
		k := startKeeper(t, model, dir)
		require.NoError(t, k.Apply(t.Context(), policy))
		k.Node = &mortal{Node: model, at: at, after: after}
		if !dies(func() { require.NoError(t, k.Revert(t.Context(), "p")) }) {
			return false
		}
		again := startKeeper(t, model, dir)
		assertDone(t, policy, again, "as before")
		require.NoError(t, again.Revert(t.Context(), "p"))
		assertState(t, bare(t), model, "reverted by the next one")
		return true
	})
}
