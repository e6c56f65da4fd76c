// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// bridgeOnEth1 is what most tests wish for.
const bridgeOnEth1 = `
interfaces:
- name: br1
  type: linux-bridge
  state: up
  ipv4: {enabled: false}
  bridge:
    options: {stp: {enabled: false}}
    port: [{name: eth1}]`

// bondBelowBridge takes many steps of many kinds.
const bondBelowBridge = `
interfaces:
- name: bond0
  type: bond
  state: up
  link-aggregation: {mode: active-backup, port: [eth1, eth2]}
- name: bond0.100
  type: vlan
  state: up
  vlan: {base-iface: bond0, id: 100}
- name: br1
  type: linux-bridge
  state: up
  mtu: 1400
  ipv4: {enabled: true, dhcp: false, address: [{ip: 198.51.100.7, prefix-length: 24}]}
  bridge:
    port: [{name: bond0.100}]
- name: eth3
  type: ethernet
  state: up
  mtu: 9000
routes:
  config: [{destination: 203.0.113.0/24, next-hop-address: 198.51.100.1, next-hop-interface: br1}]`

// bare returns a node with four cards, of which eth0 is in use.
func bare(tb testing.TB) netstate.State {
	tb.Helper()
	text, err := os.ReadFile("../netstate/testdata/states/01-bare.yaml")
	require.NoError(tb, err)
	return parse(tb, string(text))
}

func parse(tb testing.TB, text string) netstate.State {
	tb.Helper()
	s, problems := netstate.Parse([]byte(text))
	require.Empty(tb, problems)
	return s
}

// wish returns a record that a policy may come to.
func wish(tb testing.TB, policy, text string) journal.Record {
	tb.Helper()
	return journal.Record{Policy: policy, Generation: 1, Heal: true, Desired: journal.State(parse(tb, text))}
}

// newKeeper returns a keeper of a node as it starts, before it has restored anything.
func newKeeper(tb testing.TB, node kernel.Node, dir string) *Keeper {
	tb.Helper()
	j, err := journal.Open(dir)
	require.NoError(tb, err)
	return &Keeper{
		Node:    node,
		Journal: j,
		Boot:    bootOf(node),
		Clock:   clocktesting.NewFakePassiveClock(time.Unix(0, 0)),
		Log:     logr.Discard(),
	}
}

// bootOf names the boot of a node: another model is a machine that was booted again.
func bootOf(node kernel.Node) string {
	switch n := node.(type) {
	case *mortal:
		return bootOf(n.Node)
	case *broken:
		return bootOf(n.Node)
	case *recording:
		return bootOf(n.Node)
	case *bonding:
		return bootOf(n.Model)
	}
	return fmt.Sprintf("%p", node)
}

// startKeeper returns a keeper that has restored.
func startKeeper(tb testing.TB, node kernel.Node, dir string) *Keeper {
	tb.Helper()
	k := newKeeper(tb, node, dir)
	require.NoError(tb, k.Restore())
	return k
}

// assertState compares a node with a state.
func assertState(tb testing.TB, want netstate.State, node kernel.Node, about string) {
	tb.Helper()
	got, err := node.Read()
	require.NoError(tb, err)
	if !netstate.Equal(want, got) {
		wanted, err := netstate.Marshal(want)
		require.NoError(tb, err)
		found, err := netstate.Marshal(got)
		require.NoError(tb, err)
		assert.Equal(tb, string(wanted), string(found), about+": the node is in another state")
		assert.Fail(tb, about+": the node is in another state")
	}
}

// assertDone checks that nothing is left to do about a wish.
func assertDone(tb testing.TB, r journal.Record, k *Keeper, about string) {
	tb.Helper()
	current, err := k.Read()
	require.NoError(tb, err)
	desired := netstate.State(r.Desired)
	left, err := netstate.Plan(netstate.Own(current, desired), desired)
	require.NoError(tb, err)
	assert.Empty(tb, netstate.Format(left), about)
}

func TestANodeBootsAsItIsCommitted(t *testing.T) {
	dir, policy := t.TempDir(), wish(t, "p", bondBelowBridge)
	require.NoError(t, startKeeper(t, kernel.NewModel(bare(t)), dir).Apply(t.Context(), policy))
	again := startKeeper(t, kernel.NewModel(bare(t)), dir)
	assertDone(t, policy, again, "restored")
	assert.Len(t, again.Records(), 1)
}

func TestAChangeThatCostsConnectivityIsUndone(t *testing.T) {
	dir, model := t.TempDir(), kernel.NewModel(bare(t))
	k := startKeeper(t, model, dir)
	k.Probe = func(context.Context) func(context.Context) error {
		return func(ctx context.Context) error {
			_, bounded := ctx.Deadline()
			assert.True(t, bounded, "a probe must not last for ever")
			return errors.New("no answer from the default gateway 192.0.2.1")
		}
	}
	err := k.Apply(t.Context(), wish(t, "p", bridgeOnEth1))
	var lost *LostError
	require.ErrorAs(t, err, &lost)
	assert.Equal(t, "the change was undone, because the node lost connectivity: no answer from the default gateway 192.0.2.1", oneLine(err))
	assertState(t, bare(t), model, "undone")
	assert.Empty(t, k.Records())
	assertState(t, bare(t), startKeeper(t, model, dir).Node, "and not tried by the next start")
}

// A deaf node takes a step and does nothing.
type deaf struct{ kernel.Node }

// Do implements kernel.Node.
func (deaf) Do(netstate.Step) error { return nil }

func TestAKernelThatDoesNotDoWhatItSaysIsNoticed(t *testing.T) {
	k := startKeeper(t, deaf{kernel.NewModel(bare(t))}, t.TempDir())
	err := k.Apply(t.Context(), wish(t, "p", bridgeOnEth1))
	require.ErrorContains(t, err, "the kernel accepted every step, but these are still needed: + bridge br1")
	assert.Empty(t, k.Records())
}

func TestNothingIsProbedWhereNothingChanges(t *testing.T) {
	k := startKeeper(t, kernel.NewModel(bare(t)), t.TempDir())
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)))
	k.Probe = func(context.Context) func(context.Context) error {
		assert.Fail(t, "probed")
		return func(context.Context) error { return nil }
	}
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)))
}

func TestAPolicyThatTheNodeCannotHaveChangesNothing(t *testing.T) {
	dir, model := t.TempDir(), kernel.NewModel(bare(t))
	k := startKeeper(t, model, dir)
	err := k.Apply(t.Context(), wish(t, "p", strings.ReplaceAll(bridgeOnEth1, "eth1", "eth9")))
	require.ErrorContains(t, err, "eth9")
	assertState(t, bare(t), model, "untouched")
	pending, err := k.Journal.Pending()
	require.NoError(t, err)
	assert.Nil(t, pending)
}

func TestRevertingLeavesTheNodeAsItWasBeforeThePolicy(t *testing.T) {
	dir, model := t.TempDir(), kernel.NewModel(bare(t))
	k := startKeeper(t, model, dir)
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)))
	later := wish(t, "p", bondBelowBridge)
	later.Generation = 2
	later.Desired.Interfaces[0].Bond.Port = []string{"eth2"}
	require.NoError(t, k.Apply(t.Context(), later))
	require.NoError(t, startKeeper(t, model, dir).Revert(t.Context(), "p"))
	assertState(t, bare(t), model, "reverted")
	assert.Empty(t, startKeeper(t, model, dir).Records())
}

func TestWhatAPolicyLeftBelongsToTheNextThatNamesIt(t *testing.T) {
	dir, model := t.TempDir(), kernel.NewModel(bare(t))
	k := startKeeper(t, model, dir)
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)))
	require.NoError(t, k.Orphan("p"))
	assert.Empty(t, k.Committed().Interfaces)
	assertDone(t, wish(t, "p", bridgeOnEth1), startKeeper(t, kernel.NewModel(bare(t)), dir), "what is left is restored too")

	gone := wish(t, "q", "interfaces: [{name: br1, type: linux-bridge, state: absent}]")
	require.NoError(t, k.Apply(t.Context(), gone))
	booted := kernel.NewModel(bare(t))
	startKeeper(t, booted, dir)
	assertState(t, bare(t), booted, "not restored any more")
}

func TestWhatIsAppliedAgainTakesNoStep(t *testing.T) {
	model := kernel.NewModel(bare(t))
	counting := &broken{Node: model}
	k := startKeeper(t, counting, t.TempDir())
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", bondBelowBridge)))
	require.Positive(t, counting.taken)
	counting.taken = 0
	again := wish(t, "p", bondBelowBridge)
	again.Generation = 2
	require.NoError(t, k.Apply(t.Context(), again))
	assert.Zero(t, counting.taken)
	assert.Equal(t, int64(2), k.Records()["p"].Generation, "and yet it is on record")
}

func TestAnnotationsAreKeptOverRestarts(t *testing.T) {
	dir, model := t.TempDir(), kernel.NewModel(bare(t))
	k := startKeeper(t, model, dir)
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)))
	require.NoError(t, k.Annotate("p", journal.Record{Revert: true, ProbeDeadline: time.Minute}))
	require.NoError(t, k.Annotate("nobody knows it", journal.Record{Revert: true}))
	records := startKeeper(t, model, dir).Records()
	require.Len(t, records, 1)
	assert.False(t, records["p"].Heal)
	assert.True(t, records["p"].Revert)
	assert.Equal(t, time.Minute, records["p"].ProbeDeadline, "the next boot goes by it")
}
