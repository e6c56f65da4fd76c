// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
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

// leasedAddress is what eth1 has then.
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

// managed is a bare node whose eth1 NetworkManager manages.
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
	assert.Equal(t, []string{"LinksNotHeld: links of policies are not kept from their managers or not given back, " +
		"which is tried again: NetworkManager does not answer"}, told)
}
