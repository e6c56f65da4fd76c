// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// loadStates returns the states of testdata/states by name. The MACs of the guest's cards are its own, so
// the states say nothing about them. Trunks end at VLAN 64: an emulated machine needs a second for each
// trunk of 4093 VLANs, and the pairs make thousands.
func loadStates(tb testing.TB) map[string]netstate.State {
	tb.Helper()
	files, err := filepath.Glob("testdata/states/*.yaml")
	require.NoError(tb, err)
	require.GreaterOrEqual(tb, len(files), 10)
	states := map[string]netstate.State{}
	for _, file := range files {
		s := readFile(tb, file)
		for n := range s.Interfaces {
			s.Interfaces[n].MAC, s.Interfaces[n].PermanentMAC = nil, nil
			shortenTrunks(s.Interfaces[n].Bridge)
		}
		states[strings.TrimSuffix(filepath.Base(file), ".yaml")] = s
	}
	return states
}

func shortenTrunks(bridge *netstate.Bridge) {
	if bridge == nil {
		return
	}
	for _, port := range bridge.Port {
		if port.VLAN == nil {
			continue
		}
		for _, tag := range port.VLAN.TrunkTags {
			if tag.IDRange != nil {
				tag.IDRange.Max = min(tag.IDRange.Max, 64)
			}
		}
	}
}

// readFile returns a file of testdata as a state.
func readFile(tb testing.TB, file string) netstate.State {
	tb.Helper()
	text, err := os.ReadFile(file)
	require.NoError(tb, err)
	s, errs := netstate.Parse(text)
	require.Empty(tb, errs)
	return s
}

// read returns the current state, or the end of the test.
func read(tb testing.TB, node Node) netstate.State {
	tb.Helper()
	s, err := node.Read()
	require.NoError(tb, err)
	return s
}

// towards returns the desired state that leads from one state exactly to another: what is too much becomes
// absent, and every key of what remains is said.
func towards(from, to netstate.State) netstate.State {
	desired := netstate.State{}
	for _, i := range to.Interfaces {
		if i.Bridge != nil {
			bridge := *i.Bridge
			bridge.Port = slices.Clone(bridge.Port)
			for n := range bridge.Port {
				if bridge.Port[n].VLAN == nil {
					bridge.Port[n].VLAN = &netstate.PortVLAN{}
				}
			}
			i.Bridge = &bridge
		}
		i.IPv4, i.IPv6 = onlyTheseAddresses(i.IPv4), onlyTheseAddresses(i.IPv6)
		desired.Interfaces = append(desired.Interfaces, i)
	}
	for _, i := range from.Interfaces {
		if _, stays := to.Interface(i.Name); !stays {
			desired.Interfaces = append(desired.Interfaces, netstate.Interface{Name: i.Name, State: netstate.StateAbsent})
		}
	}
	kept := map[string]bool{}
	for _, r := range to.Routes.Config {
		kept[r.String()] = true
		desired.Routes.Config = append(desired.Routes.Config, r)
	}
	for _, r := range from.Routes.Config {
		if r.Protocol = 0; !kept[r.String()] {
			r.State = netstate.StateAbsent
			desired.Routes.Config = append(desired.Routes.Config, r)
		}
	}
	desired.RouteRules.Config = append(desired.RouteRules.Config, to.RouteRules.Config...)
	for _, r := range from.RouteRules.Config {
		r.State = netstate.StateAbsent
		if !slices.ContainsFunc(to.RouteRules.Config,
			func(k netstate.RouteRule) bool { return value(k.Priority) == value(r.Priority) }) {
			desired.RouteRules.Config = append(desired.RouteRules.Config, r)
		}
	}
	return desired
}

// onlyTheseAddresses says that addresses that are not listed have to go.
func onlyTheseAddresses(ip *netstate.IP) *netstate.IP {
	if ip == nil {
		return ip
	}
	only := *ip
	only.AllowExtraAddress = new(false)
	if only.Address == nil {
		only.Address = []netstate.Address{}
	}
	return &only
}

// errInjected is the failure that tests put into a plan.
var errInjected = errors.New("meant to fail")

// A failure has a plan fail on a node, and checks that the node is as it was afterwards.
type failure func(t *testing.T, node Node, start netstate.State, steps []netstate.Step)

// A failing node does so many steps and then fails the next one. Undoing goes on undisturbed.
type failing struct {
	Node
	after int
}

func (f *failing) Do(step netstate.Step) error {
	f.after--
	if f.after == -1 {
		return errInjected
	}
	return f.Node.Do(step)
}

// same stops a test where a node is not in a state, and shows what differs.
func same(tb testing.TB, node Node, want netstate.State, about string, steps []netstate.Step) {
	tb.Helper()
	got := read(tb, node)
	if !netstate.Equal(got, want) {
		tb.Fatalf("%s\n%s\nwant the start:\n%s\ngot:\n%s", about, netstate.Format(steps), unlike(tb, want, got),
			unlike(tb, got, want))
	}
}

// unlike returns what a state has that another has not, or has otherwise, as text.
func unlike(tb testing.TB, s, other netstate.State) string {
	tb.Helper()
	s.Interfaces = slices.DeleteFunc(slices.Clone(s.Interfaces), func(i netstate.Interface) bool {
		twin, found := other.Interface(i.Name)
		return found && reflect.DeepEqual(i, twin)
	})
	text, err := netstate.Marshal(s)
	require.NoError(tb, err)
	return string(text)
}

// failEverywhere has a plan fail at every step, which must leave the node as it was.
func failEverywhere(t *testing.T, node Node, start netstate.State, steps []netstate.Step) {
	t.Helper()
	for n := range steps {
		err := Apply(&failing{Node: node, after: n}, steps)
		require.ErrorIs(t, err, errInjected)
		var apply *ApplyError
		require.ErrorAs(t, err, &apply)
		require.NoError(t, apply.Undo, "undoing %d steps of\n%s", n, netstate.Format(steps))
		same(t, node, start, "after undoing "+apply.Error(), steps)
	}
}

// climb takes every step of a plan and takes all of them back, the newest first: after each the node must be as it was
// before that step, and at last as it was to the letter. So a failure at whichever step leaves the node as it was, for
// what the steps cost a real kernel three times and not as often as there are steps.
func climb(t *testing.T, node Node, start netstate.State, steps []netstate.Step) {
	t.Helper()
	was := make([]netstate.State, len(steps))
	for n, step := range steps {
		if was[n] = start; n > 0 {
			was[n] = read(t, node)
		}
		require.NoError(t, node.Do(step), "step %d of\n%s", n+1, netstate.Format(steps))
	}
	for n, inverse := range netstate.Invert(steps) {
		at := len(steps) - n
		require.NoError(t, node.Do(inverse), "taking back step %d of\n%s", at, netstate.Format(steps))
		if about := fmt.Sprintf("after taking back step %d of", at); at == 1 {
			same(t, node, start, about, steps)
		} else {
			like(t, read(t, node), was[at-1], about, steps)
		}
	}
}

// like does what same does, but for the MACs and MTUs that the kernel gives a bridge or a bond without ports, and
// what stands on it, of its own accord: it has them only in the middle of a plan.
func like(t *testing.T, got, want netstate.State, about string, steps []netstate.Step) {
	t.Helper()
	for _, s := range []*netstate.State{&got, &want} {
		s.Interfaces = slices.Clone(s.Interfaces)
		for n := range s.Interfaces {
			if i := &s.Interfaces[n]; i.Bridge != nil || i.Bond != nil || i.VLAN != nil {
				i.MAC, i.MTU = nil, nil
			}
		}
	}
	if !netstate.Equal(got, want) {
		t.Fatalf("%s\n%s\nwant:\n%s\ngot:\n%s", about, netstate.Format(steps), unlike(t, want, got), unlike(t, got, want))
	}
}

// pair takes a node from one state to another, after it has failed on the way.
func pair(t *testing.T, node Node, to netstate.State, fail failure) {
	start := read(t, node)
	steps, err := netstate.Plan(start, towards(start, to))
	require.NoError(t, err)
	fail(t, node, start, steps)
	require.NoError(t, Apply(node, steps), netstate.Format(steps))
	reached := read(t, node)
	rest, err := netstate.Plan(reached, towards(reached, to))
	require.NoError(t, err)
	require.Empty(t, rest, "left to do after\n%s:\n%s", netstate.Format(steps), netstate.Format(rest))
}

// everyPair walks a node through every ordered pair of states: a closed walk over all edges of the
// complete graph, so that hardly a step is spent on getting to the next pair.
func everyPair(t *testing.T, node Node, fail failure) {
	states := loadStates(t)
	names := slices.Sorted(maps.Keys(states))
	at := names[0]
	_ = goTo(t, node, states[at])
	for n, from := range names {
		for _, to := range names[n+1:] {
			for _, next := range []string{to, from} {
				if at != next {
					t.Run(at+"→"+next, func(t *testing.T) { pair(t, node, states[next], fail) })
				}
				at = next
			}
		}
		if n+1 < len(names) {
			at = names[n+1]
			goTo(t, node, states[at])
		}
	}
}

// goTo brings a node to a state.
func goTo(tb testing.TB, node Node, to netstate.State) []netstate.Step {
	tb.Helper()
	start := read(tb, node)
	steps, err := netstate.Plan(start, towards(start, to))
	require.NoError(tb, err)
	require.NoError(tb, Apply(node, steps), netstate.Format(steps))
	return steps
}

func TestEveryPairOnTheModel(t *testing.T) {
	everyPair(t, NewModel(loadStates(t)["01-bare"]), failEverywhere)
	everyPair(t, NewModel(loadStates(t)["01-bare"]), climb)
}
