// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// errNoMemory is what a broken node says.
var errNoMemory = errors.New("no memory")

// A broken node fails at a step, counted from one. If it is stuck it fails from then on, until it is mended.
type broken struct {
	kernel.Node
	at    int
	stuck bool
	taken int
}

// Do implements kernel.Node.
func (b *broken) Do(step netstate.Step) error {
	b.taken++
	if b.taken == b.at || b.stuck && b.at > 0 && b.taken > b.at {
		return errNoMemory
	}
	return b.Node.Do(step)
}

// mend has the node work from now on.
func (b *broken) mend() { b.at = 0 }

// pending returns the change that the journal of a keeper says is under way.
func pending(t *testing.T, k *Keeper) *journal.Change {
	t.Helper()
	c, err := k.Journal.Pending()
	require.NoError(t, err)
	return c
}

func TestAChangeThatFailsAtAnyStepLeavesNothingBehind(t *testing.T) {
	for at := 1; ; at++ {
		dir, model := t.TempDir(), kernel.NewModel(bare(t))
		k := startKeeper(t, &broken{Node: model, at: at}, dir)
		err := k.Apply(t.Context(), wish(t, "p", bondBelowBridge))
		if err == nil {
			require.Greater(t, at, 3, "the change has steps")
			return
		}
		require.ErrorIs(t, err, errNoMemory)
		assertState(t, bare(t), model, "undone")
		assert.Empty(t, k.Records())
		assert.Nil(t, pending(t, k))
		assert.Empty(t, startKeeper(t, model, dir).Records())
	}
}

// A recording node notes the steps that are done.
type recording struct {
	kernel.Node
	done []netstate.Step
}

// Do implements kernel.Node.
func (r *recording) Do(step netstate.Step) error {
	err := r.Node.Do(step)
	if err == nil {
		r.done = append(r.done, step)
	}
	return err
}

func TestAChangeIsUndoneByTakingBackItsStepsNewestFirst(t *testing.T) {
	node := &recording{Node: kernel.NewModel(bare(t))}
	k := startKeeper(t, node, t.TempDir())
	k.Probe = func(context.Context) func(context.Context) error {
		return func(context.Context) error { return errors.New("no answer") }
	}
	require.Error(t, k.Apply(t.Context(), wish(t, "p", bondBelowBridge)))
	taken := node.done[:len(node.done)/2]
	require.NotEmpty(t, taken)
	assert.Equal(t, netstate.Format(netstate.Invert(taken)), netstate.Format(node.done[len(taken):]))
}

// What is not on disk could not be undone after a crash, so the node is not touched: the disk may be full.
func TestNoStepIsTakenOfAChangeThatIsNotOnDisk(t *testing.T) {
	node, dir := &recording{Node: kernel.NewModel(bare(t))}, t.TempDir()
	k := startKeeper(t, node, dir)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "change.json.new"), 0o700)) // where it would be written
	require.ErrorContains(t, k.Apply(t.Context(), wish(t, "p", bondBelowBridge)), "write journal")
	assert.Empty(t, node.done)
	assert.Empty(t, k.Records())
}

func TestARevertThatFailsAtAnyStepLeavesThePolicyAsItIs(t *testing.T) {
	policy := wish(t, "p", bondBelowBridge)
	for at := 1; ; at++ {
		dir, model := t.TempDir(), kernel.NewModel(bare(t))
		k := startKeeper(t, model, dir)
		require.NoError(t, k.Apply(t.Context(), policy))
		k.Node = &broken{Node: model, at: at}
		err := k.Revert(t.Context(), "p")
		if err == nil {
			require.Greater(t, at, 3, "the change has steps")
			return
		}
		require.ErrorIs(t, err, errNoMemory)
		assertDone(t, policy, k, "as before")
		assert.Contains(t, k.Records(), "p")
		assert.Nil(t, pending(t, k))
	}
}

func TestAChangeThatCouldNotBeUndoneIsUndoneBeforeTheNext(t *testing.T) {
	next := wish(t, "q", "interfaces: [{name: eth3, type: ethernet, state: up, mtu: 1400}]")
	want := kernel.NewModel(bare(t))
	require.NoError(t, startKeeper(t, want, t.TempDir()).Apply(t.Context(), next))
	for name, then := range map[string]func(k *Keeper) error{
		"by another policy": func(k *Keeper) error { return k.Apply(t.Context(), next) },
		"by the next start": func(k *Keeper) error { return errors.Join(k.Restore(), k.Apply(t.Context(), next)) },
	} {
		t.Run(name, func(t *testing.T) {
			model := kernel.NewModel(bare(t))
			node := &broken{Node: model, at: 4, stuck: true}
			k := startKeeper(t, node, t.TempDir())
			require.ErrorIs(t, k.Apply(t.Context(), wish(t, "p", bondBelowBridge)), errNoMemory)
			require.NotNil(t, pending(t, k), "the journal has it still")
			err := then(k)
			require.ErrorIs(t, err, errNoMemory, "nothing is begun on top of it")
			require.ErrorContains(t, err, "generation 1 of policy p is neither applied nor undone: undo: ")
			require.Equal(t, "p", pending(t, k).Policy)

			node.mend()
			require.NoError(t, then(k))
			assert.Nil(t, pending(t, k))
			reached, err := want.Read()
			require.NoError(t, err)
			assertState(t, reached, model, "the change is undone")
		})
	}
}

// A bonding node makes bond0 of its own when a bond is made for the first time, as the module of bonds does.
type bonding struct {
	*kernel.Model
	loaded bool
}

// Do implements kernel.Node.
func (b *bonding) Do(step netstate.Step) error {
	made := step.To.Link
	if step.Kind != netstate.StepLink || made == nil || made.Name != "bond0" || b.loaded {
		return b.Model.Do(step)
	}
	b.loaded = true
	theirs := *made
	theirs.Bond = &netstate.Bond{Mode: new("balance-rr")}
	theirs.State = netstate.StateDown
	if err := b.Model.Do(netstate.Step{Kind: netstate.StepLink, Link: "bond0", To: netstate.Value{Link: &theirs}}); err != nil {
		return err
	}
	return &kernel.StaleError{Operation: "make bond bond0", Difference: "a link of that name exists now"}
}

func TestABondThatItsModuleMadeMeanwhileIsReadAndPlannedAnew(t *testing.T) {
	model := &bonding{Model: kernel.NewModel(bare(t))}
	k := startKeeper(t, model, t.TempDir())
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", bondBelowBridge)))
	state, err := model.Read()
	require.NoError(t, err)
	bond, _ := state.Interface("bond0")
	assert.Equal(t, []string{"eth1", "eth2"}, bond.Bond.Port)
	assert.Equal(t, "active-backup", *bond.Bond.Mode)
}

func TestALinkThatSomebodyMadeMeanwhileIsNotTakenAway(t *testing.T) {
	model := &bonding{Model: kernel.NewModel(bare(t))}
	k := startKeeper(t, model, t.TempDir())
	wrong := wish(t, "p", bondBelowBridge)
	var stale *kernel.StaleError
	require.ErrorAs(t, k.applyOnce(t.Context(), wrong), &stale)
	state, err := model.Read()
	require.NoError(t, err)
	_, found := state.Interface("bond0")
	assert.True(t, found)
	assert.Nil(t, pending(t, k))
}
