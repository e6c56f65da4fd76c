// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// removeBridge takes the bridge away, as somebody would by hand.
func removeBridge(tb testing.TB, node kernel.Node) {
	tb.Helper()
	current, err := node.Read()
	require.NoError(tb, err)
	desired := netstate.State{Interfaces: []netstate.Interface{{Name: "br1", State: netstate.StateAbsent}}}
	steps, err := netstate.Plan(netstate.Own(current, desired), desired)
	require.NoError(tb, err)
	require.NotEmpty(tb, steps)
	require.NoError(tb, kernel.Apply(node, steps))
}

func TestWhatSomebodyRemovedIsPutBack(t *testing.T) {
	model, policy := kernel.NewModel(bare(t)), wish(t, "p", bridgeOnEth1)
	k := startKeeper(t, model, t.TempDir())
	require.NoError(t, k.Apply(t.Context(), policy))
	healed, again := k.Heal()
	assert.Empty(t, healed)
	assert.Zero(t, again)

	removeBridge(t, model)
	healed, again = k.Heal()
	require.Len(t, healed, 1)
	require.NoError(t, healed[0].Err)
	assert.Equal(t, "p", healed[0].Policy)
	assert.Contains(t, netstate.Format(healed[0].Steps), "+ bridge br1")
	assert.Equal(t, firstWait, again)
	assertDone(t, policy, k, "put back")
}

func TestNothingIsPutBackThatShouldNotBe(t *testing.T) {
	for name, unwanted := range map[string]func(k *Keeper) error{
		"the policy says so": func(k *Keeper) error { return k.Annotate("p", journal.Record{}) },
		"the policy is gone": func(k *Keeper) error { return k.Orphan("p") },
	} {
		t.Run(name, func(t *testing.T) {
			dir, model := t.TempDir(), kernel.NewModel(bare(t))
			k := startKeeper(t, model, dir)
			require.NoError(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)))
			require.NoError(t, unwanted(k))
			removeBridge(t, model)
			healed, again := k.Heal()
			assert.Empty(t, healed)
			assert.Zero(t, again)
		})
	}
}

func TestTheAgentDoesNotFightAnotherManager(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Unix(0, 0))
	model := kernel.NewModel(bare(t))
	k := startKeeper(t, model, t.TempDir())
	k.Clock = clock
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)))
	times := 0
	for second := range 3600 {
		clock.SetTime(time.Unix(int64(second), 0))
		current, err := model.Read()
		require.NoError(t, err)
		if _, there := current.Interface("br1"); there {
			removeBridge(t, model)
		}
		healed, again := k.Heal()
		times += len(healed)
		assert.Positive(t, again, "it looks again")
	}
	assert.Equal(t, 10+(3599-511)/300, times, "after 1, 3, 7 … 511 seconds, and then every 5 minutes")

	clock.SetTime(time.Unix(3600, 0).Add(time.Hour))
	_, _ = k.Heal()
	removeBridge(t, model)
	clock.SetTime(clock.Now().Add(maxWait))
	healed, _ := k.Heal()
	assert.Len(t, healed, 1)
}

func TestTheWaitBetweenHealings(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	for name, c := range map[string]struct {
		before healing
		now    time.Time
		want   healing
	}{
		"the first":                 {healing{}, at(100), healing{at(100), time.Second}},
		"another one soon":          {healing{at(100), time.Second}, at(101), healing{at(101), 2 * time.Second}},
		"another one much later":    {healing{at(100), time.Second}, at(200), healing{at(200), time.Second}},
		"again and again":           {healing{at(100), 256 * time.Second}, at(356), healing{at(356), 5 * time.Minute}},
		"at the limit it stays so":  {healing{at(100), 5 * time.Minute}, at(400), healing{at(400), 5 * time.Minute}},
		"quiet for long after that": {healing{at(100), 5 * time.Minute}, at(1000), healing{at(1000), time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, c.before.next(c.now))
			assert.Equal(t, c.want.wait, c.want.due(c.now))
			assert.Zero(t, c.want.due(c.now.Add(c.want.wait)))
		})
	}
}
