// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// A shifting node is a model that others change too.
type shifting struct {
	kernel.Node
	meanwhile func(netstate.State) netstate.State
}

// Read implements kernel.Node.
func (s *shifting) Read() (netstate.State, error) {
	state, err := s.Node.Read()
	if err == nil && s.meanwhile != nil {
		s.Node, s.meanwhile = kernel.NewModel(s.meanwhile(state)), nil
		return s.Node.Read()
	}
	return state, err
}

// plugPod puts a pod's veth into every bridge.
func plugPod(s netstate.State) netstate.State {
	s.Interfaces = slices.Clone(s.Interfaces)
	for n, i := range s.Interfaces {
		if i.Bridge == nil {
			continue
		}
		name := "veth" + i.Name
		bridge := *i.Bridge
		bridge.Port = append(slices.Clone(bridge.Port), netstate.BridgePort{Name: name})
		s.Interfaces[n].Bridge = &bridge
		s.Interfaces = append(s.Interfaces, netstate.Interface{
			Name: name, Type: netstate.TypeVeth, State: netstate.StateIgnore, Controller: &i.Name,
			IPv4: &netstate.IP{Enabled: new(false), DHCP: new(false)}, IPv6: &netstate.IP{Enabled: new(false), DHCP: new(false)},
		})
	}
	return s
}

// pull takes NICs away, with all that stood on them.
func pull(names ...string) func(netstate.State) netstate.State {
	return func(s netstate.State) netstate.State {
		gone := map[string]bool{}
		for _, name := range names {
			gone[name] = true
		}
		for known := -1; known < len(gone); {
			known = len(gone)
			for _, i := range s.Interfaces {
				if gone[i.Base()] && i.Base() != "" {
					gone[i.Name] = true
				}
			}
		}
		s.Interfaces = slices.DeleteFunc(slices.Clone(s.Interfaces), func(i netstate.Interface) bool { return gone[i.Name] })
		for n, i := range s.Interfaces {
			s.Interfaces[n] = i.WithoutPorts(func(port string) bool { return gone[port] })
			if i.Controller != nil && gone[*i.Controller] {
				s.Interfaces[n].Controller = nil
			}
		}
		through := func(r netstate.Route) bool { return gone[r.NextHopInterface] }
		s.Routes.Config = slices.DeleteFunc(slices.Clone(s.Routes.Config), through)
		s.Routes.Running = slices.DeleteFunc(slices.Clone(s.Routes.Running), through)
		return s
	}
}

// A policy that goes is undone whatever the node was before it, and whatever others have done since.
func TestARemovedPolicyIsReverted(t *testing.T) {
	const nics = `
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01"}
- {name: eth2, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:02"}
`
	const bridge = `interfaces: [{name: br1, type: linux-bridge, state: up, bridge: {port: [{name: eth1, vlan: {}}]}},
  {name: eth2, mtu: 1400}]`
	type example struct {
		before, policy string
		meanwhile      func(netstate.State) netstate.State
		after          string // empty for as it was before
		told           []string
	}
	tests := map[string]example{
		"where a NIC is gone": {
			before: nics, policy: bridge, meanwhile: pull("eth1"),
			after: `interfaces: [{name: eth2, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:02"}]`,
		},
		"where a pod is plugged into its bridge": {
			before: nics, policy: bridge, meanwhile: plugPod,
			after: nics + `
- {name: br1, type: linux-bridge, state: up, mtu: 1500,
   bridge: {options: {stp: {enabled: false}}, port: [{name: vethbr1}]}}
- {name: vethbr1, type: veth, state: ignore, controller: br1}`,
			told: []string{"RevertedInPart: policy p is reverted except for br1, which is still used by vethbr1"},
		},
	}
	for name, node := range unsayable(t) {
		tests["where there was "+name] = example{before: node.before, policy: node.policy}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before, after := parse(t, test.before), parse(t, test.before)
			if test.after != "" {
				after = parse(t, test.after)
			}
			node := &shifting{Node: kernel.NewModel(before)}
			k := startKeeper(t, node, t.TempDir())
			var told []string
			k.Event = func(_, reason, note string) { told = append(told, reason+": "+note) }
			require.NoError(t, k.Apply(t.Context(), wish(t, "p", test.policy)))
			node.meanwhile = test.meanwhile
			require.NoError(t, k.Revert(t.Context(), "p"))
			assertState(t, after, node, "reverted")
			assert.Empty(t, k.Records())
			assert.Equal(t, test.told, told)
		})
	}
}

// hostile returns states that no policy may ask for and that Read returns all the same, made of others.
func hostile() map[string]func(*netstate.Interface) {
	return map[string]func(*netstate.Interface){
		"as it is": func(*netstate.Interface) {},
		"VLANs of id 0": func(i *netstate.Interface) {
			if i.VLAN != nil && *i.VLAN.ID == 100 { // one a base, or they would be the same
				i.VLAN = &netstate.VLAN{BaseIface: i.VLAN.BaseIface, ID: new(0)}
			}
		},
		"bonds that take the MAC of their active port": func(i *netstate.Interface) {
			if i.Bond != nil && *i.Bond.Mode == "active-backup" {
				bond := *i.Bond
				bond.Options = &netstate.BondOptions{FailOverMAC: new("active"), Miimon: new(100), Primary: new("")}
				i.Bond = &bond
			}
		},
		"options of spanning trees that are off": func(i *netstate.Interface) {
			if i.Bridge != nil {
				bridge := *i.Bridge
				bridge.Options = &netstate.BridgeOptions{STP: &netstate.STP{Enabled: new(false), Priority: new(7)}}
				bridge.VLANFiltering = new(true)
				i.Bridge = &bridge
			}
		},
		"small MTUs": func(i *netstate.Interface) {
			if i.Type != netstate.TypeLoopback {
				i.MTU = new(576)
			}
		},
	}
}

// every tries a test with every state, as hostile as it can be, and a policy for every other.
func every(t *testing.T, test func(t *testing.T, before, other netstate.State)) {
	t.Helper()
	files, err := filepath.Glob("../netstate/testdata/states/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 10)
	states := map[string]netstate.State{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		state := netstate.Merge(parse(t, string(text)), netstate.State{}) // complete, as Read returns it
		states[strings.TrimSuffix(filepath.Base(file), ".yaml")] = state
	}
	for _, name := range slices.Sorted(maps.Keys(states)) {
		for about, change := range hostile() {
			before := states[name]
			before.Interfaces = slices.Clone(before.Interfaces)
			for n := range before.Interfaces {
				change(&before.Interfaces[n])
			}
			for other := range states {
				t.Run(name+" "+about+", policy for "+other, func(t *testing.T) { test(t, before, states[other]) })
			}
		}
	}
}

// Whatever state the node was in before a policy, and whatever has happened since, the way back is planned, and the
// node takes every step of it. Where nothing has happened it leads back to the letter.
func TestTheRemovalOfAnyPolicyIsPlannedFromAnyStateToAnyState(t *testing.T) {
	meanwhile := []func(netstate.State) netstate.State{nil, plugPod, pull("eth1"), pull("eth2", "eth3")}
	applied := 0
	every(t, func(t *testing.T, before, other netstate.State) {
		change := meanwhile[applied%len(meanwhile)]
		node := &shifting{Node: kernel.NewModel(before)}
		k := startKeeper(t, node, t.TempDir())
		policy := wish(t, "p", "interfaces: []")
		policy.Desired.Interfaces = removals(before, other)
		policy.Desired.Routes.Config = other.Routes.Config
		if k.Apply(t.Context(), policy) != nil {
			assertState(t, before, node, "a policy that the node refuses")
			return
		}
		applied++
		node.meanwhile = change
		require.NoError(t, k.Revert(t.Context(), "p"))
		assert.Empty(t, k.Records())
		if change == nil {
			assertState(t, before, node, "reverted")
		}
	})
	assert.Greater(t, applied, 400, "policies were applied")
}

// removals returns wishes for the links of a state, and for the absence of all others that can go.
func removals(from, to netstate.State) []netstate.Interface {
	desired := slices.Clone(to.Interfaces)
	for _, i := range from.Interfaces {
		if _, stays := to.Interface(i.Name); !stays && i.State != netstate.StateIgnore {
			desired = append(desired, netstate.Interface{Name: i.Name, State: netstate.StateAbsent})
		}
	}
	return desired
}

func TestARemovalThatFailsIsTriedSoOftenAndThenSetAside(t *testing.T) {
	dir := t.TempDir()
	node := &broken{Node: kernel.NewModel(bare(t))}
	k := startKeeper(t, node, dir)
	clock := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	var told []string
	listen := func() {
		k.Clock = clock
		k.Event = func(policy, reason, note string) { told = append(told, policy+reason+": "+note) }
	}
	listen()
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)))
	for try := 1; try <= maxUndos; try++ {
		assert.Zero(t, k.RevertPause("p"))
		node.at, node.taken = 1, 0
		require.ErrorIs(t, k.Revert(t.Context(), "p"), errNoMemory)
		assert.Equal(t, try == maxUndos, k.Records()["p"].Orphan, "try %d", try)
		if try == 2 { // what is counted is on disk
			k = startKeeper(t, node, dir)
			listen()
		} else if try < maxUndos {
			assert.Positive(t, k.RevertPause("p"), "try %d", try)
		}
		clock.SetTime(clock.Now().Add(maxWait))
	}
	require.Len(t, told, 1)
	assert.Contains(t, told[0], "NotReverted: policy p was deleted and could not be reverted; what it configured stays: ")
	aside, err := k.Journal.Aside()
	require.NoError(t, err)
	assert.Equal(t, []string{"p"}, aside, "the condition of the node says so")
	assert.Nil(t, pending(t, k), "other policies go on")
	assertDone(t, wish(t, "p", bridgeOnEth1), k, "what it made stays")
}

func TestARemovalThatCostsConnectivityIsNotTriedAgain(t *testing.T) {
	k := startKeeper(t, kernel.NewModel(bare(t)), t.TempDir())
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", bridgeOnEth1)))
	k.Probe = func(context.Context) func(context.Context) error {
		return func(context.Context) error { return errors.New("no answer") }
	}
	var lost *LostError
	require.ErrorAs(t, k.Revert(t.Context(), "p"), &lost)
	assertDone(t, wish(t, "p", bridgeOnEth1), k, "what it made stays")
	assert.True(t, k.Records()["p"].Orphan)
	aside, err := k.Journal.Aside()
	require.NoError(t, err)
	assert.Equal(t, []string{"p"}, aside)
}

// A NIC whose address is its manager's to lease has none until it is given back: the node is asked after that.
func TestARemovalIsProbedWhenLinksAreGivenBack(t *testing.T) {
	for name, answers := range map[string]bool{"and the node answers": true, "and the node does not answer": false} {
		t.Run(name, func(t *testing.T) {
			k := startKeeper(t, kernel.NewModel(managed(t)), t.TempDir())
			var events []string
			k.HoldLinks = func(links []string) error {
				events = append(events, "hold "+strings.Join(links, " "))
				return nil
			}
			policy := wish(t, "p", bridgeOnEth1)
			require.NoError(t, k.Apply(t.Context(), policy))
			k.Probe = func(context.Context) func(context.Context) error {
				return func(context.Context) error {
					events = append(events, "probe")
					if answers {
						return nil
					}
					return errors.New("no answer")
				}
			}
			err := k.Revert(t.Context(), "p")
			if answers {
				require.NoError(t, err)
				assert.Equal(t, []string{"hold br1 eth1", "hold ", "probe", "hold "}, events)
				return
			}
			require.Error(t, err)
			assert.Equal(t, []string{"hold br1 eth1", "hold ", "probe", "hold br1 eth1", "hold br1 eth1"}, events,
				"taken again before the removal is undone")
			assertDone(t, policy, k, "undone")
		})
	}
}

// What NetworkManager has of the links that a removal changes is taken over first.
func TestARemovalTakesLinksOverThatItChanges(t *testing.T) {
	state := managed(t)
	model := &recording{Node: kernel.NewModel(state)}
	k := startKeeper(t, model, t.TempDir())
	require.NoError(t, k.Apply(t.Context(), wish(t, "p", "interfaces: [{name: eth1, type: ethernet, state: absent}]")))
	require.NoError(t, model.Do(netstate.Step{Kind: netstate.StepManager, Link: "eth1",
		To: netstate.Value{Manager: netstate.NetworkManager}}))
	model.done = nil
	require.NoError(t, k.Revert(t.Context(), "p"))
	require.NotEmpty(t, model.done)
	assert.Equal(t, "~ eth1 taken over from NetworkManager\n", netstate.Format(model.done[:1]))
}

func TestWhatAnotherPolicyNamesIsNotReverted(t *testing.T) {
	tests := map[string]struct{ before, one, other, after string }{
		"a port": {
			one: `interfaces: [{name: br1, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}]`,
			other: `interfaces: [{name: br1, type: linux-bridge, state: up, bridge: {port: []}},
  {name: br2, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}]`,
			after: "eth1 is a port of br2",
		},
		"a route": {
			one:   `routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: eth0, next-hop-address: 192.0.2.254}]}`,
			other: `routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: eth0, next-hop-address: 192.0.2.254}]}`,
			after: "198.51.100.0/24",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			model := kernel.NewModel(bare(t))
			k := startKeeper(t, model, t.TempDir())
			require.NoError(t, k.Apply(t.Context(), wish(t, "one", test.one)))
			require.NoError(t, k.Apply(t.Context(), wish(t, "other", test.other)))
			want, err := model.Read()
			require.NoError(t, err)
			require.NoError(t, k.Revert(t.Context(), "one"))
			assertState(t, want, model, test.after)
			assert.Equal(t, []string{"other"}, slices.Sorted(maps.Keys(k.Records())))
		})
	}
}
