// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// named returns an interface of a node.
func named(t *testing.T, node kernel.Node, link string) (netstate.Interface, bool) {
	t.Helper()
	state, err := node.Read()
	require.NoError(t, err)
	return state.Interface(link)
}

// withoutLink returns a state without a link.
func withoutLink(s netstate.State, link string) netstate.State {
	var rest []netstate.Interface
	for _, i := range s.Interfaces {
		if i.Name != link {
			rest = append(rest, i)
		}
	}
	s.Interfaces = rest
	return s
}

const (
	bondOnly = `
interfaces:
- {name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, port: [eth1, eth2]}}`
	vlanOverBond = `
interfaces:
- {name: bond0.100, type: vlan, state: up, vlan: {base-iface: bond0, id: 100}}`
)

func TestAnAgentThatStartsAnewOnTheSameBootTouchesNothing(t *testing.T) {
	dir, model := t.TempDir(), kernel.NewModel(bare(t))
	policy := wish(t, "p", bridgeOnEth1)
	policy.Heal = false
	require.NoError(t, startKeeper(t, model, dir).Apply(t.Context(), policy))
	removeBridge(t, model)
	startKeeper(t, model, dir)
	_, found := named(t, model, "br1")
	assert.False(t, found, "what people changed is theirs")

	booted := kernel.NewModel(bare(t))
	startKeeper(t, booted, dir)
	_, found = named(t, booted, "br1")
	assert.True(t, found, "after a boot it is made, healing or not")
}

func TestAfterABootPoliciesFindEachOtherWhateverTheirNames(t *testing.T) {
	dir, model := t.TempDir(), kernel.NewModel(bare(t))
	k := startKeeper(t, model, dir)
	require.NoError(t, k.Apply(t.Context(), wish(t, "z", bondOnly)))
	require.NoError(t, k.Apply(t.Context(), wish(t, "a", vlanOverBond)))
	booted := kernel.NewModel(bare(t))
	require.NoError(t, newKeeper(t, booted, dir).Restore())
	_, found := named(t, booted, "bond0.100")
	assert.True(t, found)
}

func TestWhatCannotBeRestoredAtOnceIsRestoredWhenItCan(t *testing.T) {
	dir, model := t.TempDir(), kernel.NewModel(bare(t))
	k := startKeeper(t, model, dir)
	late := wish(t, "z", bondOnly)
	late.Heal = false
	require.NoError(t, k.Apply(t.Context(), late))
	require.NoError(t, k.Apply(t.Context(), wish(t, "a", vlanOverBond)))
	require.NoError(t, k.Apply(t.Context(), wish(t, "m", "interfaces: [{name: eth3, type: ethernet, state: up, mtu: 1400}]")))

	booted := &broken{Node: kernel.NewModel(withoutLink(bare(t), "eth2"))}
	k = newKeeper(t, booted, dir)
	require.Error(t, k.Restore())
	eth3, _ := named(t, booted, "eth3")
	assert.Equal(t, 1400, *eth3.MTU, "the rest is restored")
	_, found := named(t, booted, "bond0")
	assert.False(t, found)

	// The agent restarts, and then the NIC comes.
	k = newKeeper(t, booted, dir)
	require.Error(t, k.Restore())
	state, err := booted.Read()
	require.NoError(t, err)
	eth2, _ := bare(t).Interface("eth2")
	state.Interfaces = append(state.Interfaces, eth2)
	booted.Node = kernel.NewModel(state)
	k.Heal()
	_, found = named(t, booted, "bond0.100")
	assert.True(t, found)
	assert.Empty(t, k.left)
}

func TestAChangeThatABootEndedIsNotTakenBack(t *testing.T) {
	dir, model := t.TempDir(), kernel.NewModel(bare(t))
	k := startKeeper(t, model, dir)
	k.Probe = func(context.Context) func(context.Context) error {
		return func(context.Context) error { panic(death{}) }
	}
	require.True(t, dies(func() { _ = k.Apply(t.Context(), wish(t, "p", bondBelowBridge)) }))
	booted := &recording{Node: kernel.NewModel(bare(t))}
	k = startKeeper(t, booted, dir)
	assert.Nil(t, pending(t, k))
	assert.Empty(t, booted.done)
}

func TestWhatPoliciesLeftIsMadeAfterABootAndNothingTaken(t *testing.T) {
	dir, model := t.TempDir(), kernel.NewModel(bare(t))
	k := startKeeper(t, model, dir)
	require.NoError(t, k.Apply(t.Context(), wish(t, "gone", bondOnly)))
	require.NoError(t, k.Apply(t.Context(), wish(t, "removal", "interfaces: [{name: br7, state: absent}]")))
	require.NoError(t, k.Apply(t.Context(), wish(t, "next", "interfaces: [{name: br2, type: linux-bridge, state: up, bridge: {port: [{name: eth3}]}}]")))
	require.NoError(t, k.Apply(t.Context(), wish(t, "next", "interfaces: [{name: br3, type: linux-bridge, state: up}]")))
	require.NoError(t, errors.Join(k.Orphan("gone"), k.Orphan("removal")))

	// After the boot somebody has eth2 in a bridge, and a br7.
	booted := kernel.NewModel(bare(t))
	theirs := parse(t, `
interfaces:
- {name: br7, type: linux-bridge, state: up}
- {name: br8, type: linux-bridge, state: up, bridge: {port: [{name: eth2}]}}`)
	state, err := booted.Read()
	require.NoError(t, err)
	steps, err := netstate.Plan(netstate.Own(state, theirs), theirs)
	require.NoError(t, err)
	require.NoError(t, kernel.Apply(booted, steps))
	require.NoError(t, newKeeper(t, booted, dir).Restore())

	bond, _ := named(t, booted, "bond0")
	assert.Equal(t, []string{"eth1"}, bond.Ports())
	eth2, _ := named(t, booted, "eth2")
	assert.Equal(t, "br8", *eth2.Controller)
	_, found := named(t, booted, "br7")
	assert.True(t, found)
	br2, found := named(t, booted, "br2")
	require.True(t, found, "a later generation that does not mention a bridge leaves it")
	assert.Equal(t, []string{"eth3"}, br2.Ports())
	_, found = named(t, booted, "br3")
	assert.True(t, found)
}

func TestAPolicyWhoseNameIsUsedAgainIsAnotherOne(t *testing.T) {
	dir, model := t.TempDir(), kernel.NewModel(bare(t))
	k := startKeeper(t, model, dir)
	first, second := wish(t, "p", bridgeOnEth1), wish(t, "p", bondOnly)
	first.UID, second.UID = "one", "two"
	second.Desired.Interfaces[0].Bond.Port = []string{"eth2"}
	require.NoError(t, k.Apply(t.Context(), first))
	require.NoError(t, k.Orphan("one"))
	require.NoError(t, k.Apply(t.Context(), second))
	booted := kernel.NewModel(bare(t))
	require.NoError(t, newKeeper(t, booted, dir).Restore())
	for _, link := range []string{"br1", "bond0"} {
		_, found := named(t, booted, link)
		assert.True(t, found, link)
	}
}

func TestARecordOfBeforeThereWereUIDsIsTakenOver(t *testing.T) {
	dir, model := t.TempDir(), kernel.NewModel(bare(t))
	k := startKeeper(t, model, dir)
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)))
	next := wish(t, "p", bridgeOnEth1)
	next.UID, next.Generation = "one", 2
	require.NoError(t, k.Apply(t.Context(), next))
	records, err := k.Journal.Records()
	require.NoError(t, err)
	require.Len(t, records, 1)
	require.NoError(t, k.Revert(t.Context(), "one"))
	assertState(t, bare(t), model, "what was before the first generation counts")
}

func TestAChangeThatCannotBeUndoneIsSetAsideAtLast(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Unix(0, 0))
	dir, node := t.TempDir(), &broken{Node: kernel.NewModel(bare(t)), at: 4, stuck: true}
	k := startKeeper(t, node, dir)
	k.Clock = clock
	var events []string
	k.Event = func(policy, reason, note string) { events = append(events, policy+" "+reason+": "+note) }
	require.ErrorIs(t, k.Apply(t.Context(), wish(t, "p", bondBelowBridge)), errNoMemory)
	for tries := 1; pending(t, k) != nil; tries++ {
		require.Less(t, tries, 100)
		clock.SetTime(clock.Now().Add(time.Second))
		k.Heal()
	}
	require.Len(t, events, 1)
	assert.Contains(t, events[0], "p NotUndone: generation 1 of policy p is neither applied nor undone")
	assert.Contains(t, events[0], "giving up after 5 tries")
	aside, err := k.Journal.Aside()
	require.NoError(t, err)
	assert.Equal(t, []string{"p"}, aside)

	node.mend()
	require.NoError(t, k.Apply(t.Context(), wish(t, "q", "interfaces: [{name: eth3, type: ethernet, state: up, mtu: 1400}]")))
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)))
	aside, err = k.Journal.Aside()
	require.NoError(t, err)
	assert.Empty(t, aside, "it is in order again")
}

// A leaving node loses a NIC when a step is done, and refuses the step.
type leaving struct {
	kernel.Node
	at, taken int
	link      string
}

// Do implements kernel.Node.
func (l *leaving) Do(step netstate.Step) error {
	l.taken++
	if l.taken == l.at {
		state, err := l.Node.Read()
		if err != nil {
			return err
		}
		state = withoutLink(state, l.link)
		for n, i := range state.Interfaces {
			state.Interfaces[n] = i.WithoutPorts(func(port string) bool { return port == l.link })
		}
		l.Node = kernel.NewModel(state)
		return errNoMemory
	}
	return l.Node.Do(step)
}

func TestWhatCannotBeUndoneSinceANICIsGoneIsDropped(t *testing.T) {
	for at := 1; ; at++ {
		node := &leaving{Node: kernel.NewModel(bare(t)), at: at, link: "eth2"}
		k := startKeeper(t, node, t.TempDir())
		err := k.Apply(t.Context(), wish(t, "p", bondBelowBridge))
		if err == nil {
			require.Greater(t, at, 3)
			return
		}
		require.ErrorIs(t, err, errNoMemory)
		require.Nil(t, pending(t, k), "step %d: %v", at, err)
		assertState(t, withoutLink(bare(t), "eth2"), node, "all else is undone")
	}
}

func TestWhatCostConnectivityIsRememberedOverStarts(t *testing.T) {
	dir, model := t.TempDir(), kernel.NewModel(bare(t))
	k := startKeeper(t, model, dir)
	k.Probe = func(context.Context) func(context.Context) error {
		return func(context.Context) error { return errors.New("no answer") }
	}
	require.Error(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)))
	k = startKeeper(t, model, dir)
	assert.True(t, k.Refused("p", 1))
	assert.False(t, k.Refused("p", 2))
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)))
	assert.False(t, startKeeper(t, model, dir).Refused("p", 1))
}

// A crash between the commit of a record with a UID and the end of the one without leaves both; the newer one counts.
func TestARecordFromBeforeUIDsThatWasReplacedIsDropped(t *testing.T) {
	dir := t.TempDir()
	k := startKeeper(t, kernel.NewModel(bare(t)), dir)
	old := wish(t, "p", bridgeOnEth1)
	require.NoError(t, k.Journal.Keep(old))
	replaced := old
	replaced.UID, replaced.Generation = "uid1", 2
	require.NoError(t, k.Journal.Keep(replaced))
	k = startKeeper(t, kernel.NewModel(bare(t)), dir)
	assert.Equal(t, []string{"uid1"}, slices.Collect(maps.Keys(k.Records())))
	records, err := k.Journal.Records()
	require.NoError(t, err)
	assert.Len(t, records, 1, "on disk as well")
}
