// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// loadStates returns the current states under testdata/states by file name.
func loadStates(t testing.TB) map[string]State {
	t.Helper()
	files, err := filepath.Glob("testdata/states/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 10, "states")
	states := map[string]State{}
	for _, file := range files {
		states[strings.TrimSuffix(filepath.Base(file), ".yaml")] = loadState(t, file).complete()
	}
	return states
}

func loadState(t testing.TB, file string) State {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return parse(t, string(data))
}

// parse parses a state that must have no errors.
func parse(t testing.TB, text string) State {
	t.Helper()
	state, errs := Parse([]byte(text))
	require.Empty(t, errs, "%s", text)
	return state
}

func marshal(t testing.TB, s State) string {
	t.Helper()
	text, err := Marshal(s.normal())
	require.NoError(t, err)
	return string(text)
}

// apply applies every step.
func apply(t testing.TB, state State, steps []Step) State {
	t.Helper()
	for _, step := range steps {
		next, err := state.Apply(step)
		if err != nil {
			t.Fatalf("%v\nof the plan\n%s", err, Format(steps))
		}
		state = next
	}
	return state
}

func wantEqual(t testing.TB, what string, got, want State) {
	t.Helper()
	if !Equal(got, want) {
		got, want = got.normal(), want.normal()
		t.Fatalf("%s: got\n%s\nwant\n%s", what, marshal(t, unlike(got, want)), marshal(t, unlike(want, got)))
	}
}

// unlike returns a state without the interfaces that another has just so.
func unlike(s, other State) State {
	s.Interfaces = slices.DeleteFunc(slices.Clone(s.Interfaces), func(i Interface) bool {
		twin, found := other.Interface(i.Name)
		return found && reflect.DeepEqual(i, twin)
	})
	return s
}

// eachPair calls test for every ordered pair of different states.
func eachPair(t *testing.T, test func(t *testing.T, from, to State)) {
	states := loadStates(t)
	for fromName, from := range states {
		for toName, to := range states {
			if fromName == toName {
				continue
			}
			t.Run(fromName+"→"+toName, func(t *testing.T) { test(t, from, to) })
		}
	}
}

// ours returns a state all of whose addresses a policy named.
func ours(s State) State {
	s.Interfaces = slices.Clone(s.Interfaces)
	for n, i := range s.Interfaces {
		s.Interfaces[n].IPv4, s.Interfaces[n].IPv6 = i.IPv4.own(i.IPv4), i.IPv6.own(i.IPv6)
	}
	return s
}

func TestEveryStateIsReachedFromEveryOther(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to State) {
		steps, err := Plan(ours(from), leading(from, to))
		require.NoError(t, err)
		wantEqual(t, "after\n"+Format(steps), apply(t, from, steps), to)
	})
}

func TestAPlanStoppedAnywhereIsUndoneByItsInverses(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to State) {
		steps, err := Plan(ours(from), leading(from, to))
		require.NoError(t, err)
		require.NotEmpty(t, steps, "between different states")
		after := from
		for n, step := range steps {
			after = apply(t, after, []Step{step})
			restored := apply(t, after, Invert(steps[:n+1]))
			wantEqual(t, "undone after "+step.String()+" of\n"+Format(steps), restored, from)
		}
	})
}

func TestRevertRestoresWhatAPolicyChanged(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to State) {
		desired := leading(from, to)
		steps, err := Plan(from, desired)
		require.NoError(t, err)
		undo := PlanBack(Own(apply(t, from, steps), desired), Revert(from, desired))
		require.NoError(t, err)
		wantEqual(t, "after\n"+Format(undo), apply(t, apply(t, from, steps), undo), from)
	})
}

func TestAStateThatIsReachedNeedsNoSteps(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to State) {
		desired := leading(from, to)
		first, err := Plan(from, desired)
		require.NoError(t, err)
		again, err := Plan(apply(t, from, first), desired)
		require.NoError(t, err)
		require.Empty(t, Format(again), "after\n%s", Format(first))
	})
}

func TestStatesSurviveMarshalAndParse(t *testing.T) {
	for name, state := range loadStates(t) {
		t.Run(name, func(t *testing.T) {
			text, err := Marshal(state)
			require.NoError(t, err)
			wantEqual(t, name, parse(t, string(text)).complete(), state)
		})
	}
}
