// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// A leasing node is one whose manager gets a lease for eth1 at the moment in which it is told to let go of it.
type leasing struct{ *kernel.Model }

// leasedAddress returns what eth1 has then.
func leasedAddress() netstate.Value {
	return netstate.Value{Address: &netstate.Address{IP: netip.MustParseAddr("192.0.2.7"), PrefixLength: 24}}
}

// Do implements kernel.Node.
func (l leasing) Do(step netstate.Step) error {
	if step.Kind == netstate.StepManager && step.To.Manager == "" {
		lease := netstate.Step{Kind: netstate.StepAddress, Link: step.Link, To: leasedAddress()}
		if err := l.Model.Do(lease); err != nil {
			return err
		}
	}
	return l.Model.Do(step)
}

// managed returns a bare node whose eth1 NetworkManager manages.
func managed(t *testing.T) netstate.State {
	t.Helper()
	state := bare(t)
	state.Interfaces = slices.Clone(state.Interfaces)
	for n := range state.Interfaces {
		if state.Interfaces[n].Name == "eth1" {
			state.Interfaces[n].Manager = netstate.NetworkManager
		}
	}
	return state
}

func TestWhatAManagerDoesWhileItIsToldToLetGoIsUndoneToo(t *testing.T) {
	model := kernel.NewModel(managed(t))
	k := startKeeper(t, leasing{model}, t.TempDir())
	policy := wish(t, "p", bridgeOnEth1)
	require.NoError(t, k.Apply(t.Context(), policy))
	assertDone(t, policy, k, "with the lease that came meanwhile")
	current, err := k.Read()
	require.NoError(t, err)
	eth1, _ := current.Interface("eth1")
	assert.Empty(t, eth1.IPv4.Address, "a port has no address")
}

func TestLinksAreHeldUntilTheyAreGivenBack(t *testing.T) {
	k := startKeeper(t, kernel.NewModel(managed(t)), t.TempDir())
	var holds [][]string
	k.HoldLinks = func(links []string) error {
		holds = append(holds, links)
		return nil
	}
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)))
	require.NoError(t, k.Revert(t.Context(), "p"))
	assert.Equal(t, [][]string{{"br1", "eth1"}, nil, nil}, holds, "given back before the removal is probed")
}

func TestAChangeThatIsNotUndoneYetKeepsItsLinks(t *testing.T) {
	node := &broken{Node: kernel.NewModel(managed(t)), at: 3, stuck: true}
	k := startKeeper(t, node, t.TempDir())
	var held []string
	k.HoldLinks = func(links []string) error {
		held = links
		return nil
	}
	require.ErrorIs(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)), errNoMemory)
	require.NotNil(t, pending(t, k))
	assert.Equal(t, []string{"eth1"}, held)
	node.mend()
	clock := clocktesting.NewFakePassiveClock(k.Clock.Now().Add(maxWait))
	k.Clock = clock
	k.Heal()
	assert.Nil(t, pending(t, k))
	assert.Empty(t, held)
}

func TestPeopleAreToldOnceThatLinksAreNotHeld(t *testing.T) {
	k := newKeeper(t, kernel.NewModel(bare(t)), t.TempDir())
	clock := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	k.Clock = clock
	tried := 0
	failure := errors.New("NetworkManager does not answer")
	k.HoldLinks = func([]string) error {
		tried++
		return failure
	}
	var told []string
	k.Event = func(policy, reason, note string) { told = append(told, policy+reason+": "+note) }
	require.NoError(t, k.Restore())
	k.hold()
	assert.Equal(t, 1, tried, "it is given time")
	k.records["p"] = journal.Record{Policy: "p", Desired: journal.State(parse(t, bridgeOnEth1))}
	k.hold()
	assert.Equal(t, 2, tried, "another list is another matter")
	clock.SetTime(clock.Now().Add(maxWait))
	failure = nil
	k.hold()
	assert.Equal(t, 3, tried)
	assert.Equal(t, []string{"LinksNotHeld: cannot take links over from network managers or give them back; " +
		"trying again: NetworkManager does not answer"}, told)
}

// A meddling node is one whose manager reads its files again before a step, counted from one, and then has eth1 as it
// thinks right: in no bridge and with an address.
type meddling struct {
	*kernel.Model
	at, taken int
}

// Do implements kernel.Node.
func (m *meddling) Do(step netstate.Step) error {
	if m.taken++; m.taken == m.at {
		if err := m.meddle(); err != nil {
			return err
		}
	}
	return m.Model.Do(step)
}

func (m *meddling) meddle() error {
	state, err := m.Model.Read()
	if err != nil {
		return err
	}
	if eth1, _ := state.Interface("eth1"); eth1.Manager == "" {
		return nil // it was told to let go
	}
	steps, err := netstate.Plan(state, netstate.State{Interfaces: []netstate.Interface{{
		Name: "eth1", State: netstate.StateUp, Controller: new(""),
	}}})
	if err != nil {
		return err
	}
	steps = append(withoutManagers(steps), netstate.Step{Kind: netstate.StepAddress, Link: "eth1", To: leasedAddress()})
	return kernel.Apply(m.Model, steps)
}

func TestAManagerThatReadsItsFilesWhileAChangeIsUndoneHasItsLink(t *testing.T) {
	for _, manager := range []netstate.Manager{netstate.NetworkManager, netstate.Networkd} {
		for at := 1; ; at++ {
			state := managed(t)
			for n := range state.Interfaces {
				if state.Interfaces[n].Manager != "" {
					state.Interfaces[n].Manager = manager
				}
			}
			node := &meddling{Model: kernel.NewModel(state), at: at}
			k := startKeeper(t, node, t.TempDir())
			k.Probe = func(context.Context) func(context.Context) error {
				return func(context.Context) error { return errors.New("no answer") }
			}
			var lost *LostError
			require.ErrorAs(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)), &lost)
			after, err := node.Read()
			require.NoError(t, err)
			eth1, _ := after.Interface("eth1")
			assert.Equal(t, manager, eth1.Manager, "given back, whatever it did before step %d", at)
			assert.Nil(t, eth1.Controller)
			_, left := after.Interface("br1")
			assert.False(t, left)
			assert.Nil(t, pending(t, k))
			if at > node.taken {
				break
			}
		}
	}
}
