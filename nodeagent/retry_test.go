// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// follower returns an agent without an API server.
func follower(t *testing.T, node kernel.Node) (*Agent, *clocktesting.FakePassiveClock) {
	t.Helper()
	now := clocktesting.NewFakePassiveClock(time.Unix(1_800_000_000, 0))
	k := startKeeper(t, node, t.TempDir())
	k.Clock = now
	return &Agent{keeper: k, attempts: map[string]attempt{}, options: Options{Clock: now}}, now
}

// asked returns a policy with a turn.
func asked(t *testing.T, desired string, conditions ...nmstate.ConditionType) Policy {
	t.Helper()
	text, err := yaml.YAMLToJSON([]byte(desired))
	require.NoError(t, err)
	return Policy{
		Name: "p", UID: "one", Generation: 2, Turn: 2, Heal: true, Selected: true, Status: status(2, 1, conditions...),
		Spec: nmstate.PolicySpec{DesiredState: &runtime.RawExtension{Raw: text}},
	}
}

func TestPoliciesThatNeedEachOtherSucceedInAnyOrder(t *testing.T) {
	a, _ := follower(t, kernel.NewModel(bare(t)))
	vlan := asked(t, vlanOverBond)
	result := a.apply(t.Context(), vlan)
	require.Error(t, result.Err)
	assert.Equal(t, "it is tried again when the node has bond0", result.Waits)
	vlan = asked(t, vlanOverBond, nmstate.EnactmentFailing)
	yes, wait := a.again(vlan)
	assert.False(t, yes, "there is no bond yet")
	assert.Zero(t, wait, "and waiting does not help")

	require.NoError(t, a.keeper.Apply(t.Context(), wish(t, "bond", bondOnly)))
	yes, _ = a.again(vlan)
	require.True(t, yes)
	require.NoError(t, a.apply(t.Context(), vlan).Err)
	assert.Empty(t, a.attempts)
}

// Of a policy that failed no plan is made as long as the node is the same, whatever counts down meanwhile.
func TestAPolicyThatFailedIsPlannedAgainOnceTheNodeChanges(t *testing.T) {
	node := bare(t)
	for n := range node.Interfaces {
		node.Interfaces[n].IPv6.Address = append(node.Interfaces[n].IPv6.Address, netstate.Address{
			IP: netip.MustParseAddr("2001:db8::7"), PrefixLength: 64, ValidLifeTime: 3600, PreferredLifeTime: 1800})
	}
	a, _ := follower(t, kernel.NewModel(node))
	vlan := asked(t, vlanOverBond, nmstate.EnactmentFailing)
	first := testing.AllocsPerRun(1, func() {
		delete(a.attempts, vlan.key())
		a.again(vlan)
	})
	refused := a.attempts[vlan.key()].refusedOn
	require.NotNil(t, refused)
	later := testing.AllocsPerRun(1, func() { a.again(vlan) })
	assert.Less(t, later, first/2)
	require.Same(t, refused, a.attempts[vlan.key()].refusedOn)

	current, err := a.keeper.Latest()
	require.NoError(t, err)
	current.Interfaces[1].IPv6.Address[0].ValidLifeTime = 3599
	a.keeper.latest = &current
	a.again(vlan)
	assert.Same(t, refused, a.attempts[vlan.key()].refusedOn, "time passed")
	current.Interfaces[1].MTU = new(1400)
	a.again(vlan)
	assert.NotSame(t, refused, a.attempts[vlan.key()].refusedOn, "somebody changed an MTU")
}

func TestWhatTheKernelRefusedIsTriedAgainAfterAWhile(t *testing.T) {
	node := &broken{Node: kernel.NewModel(bare(t)), at: 2}
	a, now := follower(t, node)
	policy := asked(t, bridgeOnEth1, nmstate.EnactmentFailing)
	yes, _ := a.again(policy)
	require.True(t, yes, "an agent that restarts tries")
	require.ErrorIs(t, a.apply(t.Context(), policy).Err, errNoMemory)
	yes, wait := a.again(policy)
	assert.False(t, yes)
	require.Equal(t, firstWait, wait)
	now.SetTime(now.Now().Add(wait))
	yes, _ = a.again(policy)
	require.True(t, yes)
	require.NoError(t, a.apply(t.Context(), policy).Err)
}

func TestWhatCostConnectivityWaitsForAnotherGeneration(t *testing.T) {
	a, now := follower(t, kernel.NewModel(bare(t)))
	a.keeper.Probe = func(context.Context) func(context.Context) error {
		return func(context.Context) error { return errors.New("no answer") }
	}
	policy := asked(t, bridgeOnEth1, nmstate.EnactmentFailing)
	assert.Equal(t, "it is tried again when the policy is changed", a.apply(t.Context(), policy).Waits)
	now.SetTime(now.Now().Add(time.Hour))
	yes, wait := a.again(policy)
	assert.False(t, yes)
	assert.Zero(t, wait)
}

func TestANodeThatLostItsJournalTakesItsTurnAgain(t *testing.T) {
	a, _ := follower(t, kernel.NewModel(bare(t)))
	policy := asked(t, bridgeOnEth1, nmstate.EnactmentAvailable)
	yes, _ := a.again(policy)
	require.True(t, yes)
	require.NoError(t, a.apply(t.Context(), policy).Err)
	yes, _ = a.again(policy)
	assert.False(t, yes)
	require.NoError(t, a.keeper.Orphan("one"))
	yes, _ = a.again(policy)
	assert.True(t, yes, "one that was deselected and is selected again")
}

func TestAPolicySaysHowLongTheNodeHasToAnswer(t *testing.T) {
	a, _ := follower(t, kernel.NewModel(bare(t)))
	var left time.Duration
	a.keeper.Deadline = time.Second
	a.keeper.Probe = func(context.Context) func(context.Context) error {
		return func(ctx context.Context) error {
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			return nil
		}
	}
	policy := asked(t, bridgeOnEth1)
	policy.ProbeDeadline = time.Hour
	require.NoError(t, a.apply(t.Context(), policy).Err)
	assert.Greater(t, left, time.Minute)

	policy.Invalid = errors.New("no duration")
	require.ErrorContains(t, a.apply(t.Context(), policy).Err, "no duration")
}
