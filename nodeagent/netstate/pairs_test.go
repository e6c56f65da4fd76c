package netstate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// loadStates returns the current states under testdata/states by file name.
func loadStates(t testing.TB) map[string]State {
	t.Helper()
	files, err := filepath.Glob("testdata/states/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("want at least ten states, got %d: %v", len(files), err)
	}
	states := map[string]State{}
	for _, file := range files {
		states[strings.TrimSuffix(filepath.Base(file), ".yaml")] = loadState(t, file).complete()
	}
	return states
}

func loadState(t testing.TB, file string) State {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(data))
}

// parse parses a state that must have no errors.
func parse(t testing.TB, text string) State {
	t.Helper()
	state, errs := Parse([]byte(text))
	if len(errs) > 0 {
		t.Fatalf("%v\n%s", errs.ToAggregate(), text)
	}
	return state
}

func marshal(t testing.TB, s State) string {
	t.Helper()
	text, err := Marshal(s.normal())
	if err != nil {
		t.Fatal(err)
	}
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
		t.Fatalf("%s: got\n%s\nwant\n%s", what, marshal(t, got), marshal(t, want))
	}
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

func TestEveryStateIsReachedFromEveryOther(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to State) {
		steps, err := Plan(from, leading(from, to))
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "after\n"+Format(steps), apply(t, from, steps), to)
	})
}

func TestAPlanStoppedAnywhereIsUndoneByItsInverses(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to State) {
		steps, err := Plan(from, leading(from, to))
		if err != nil {
			t.Fatal(err)
		}
		if len(steps) == 0 {
			t.Fatal("no steps between different states")
		}
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
		if err != nil {
			t.Fatal(err)
		}
		undo, err := Plan(apply(t, from, steps), Revert(from, desired))
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "after\n"+Format(undo), apply(t, apply(t, from, steps), undo), from)
	})
}

func TestAStateThatIsReachedNeedsNoSteps(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to State) {
		desired := leading(from, to)
		first, err := Plan(from, desired)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Plan(apply(t, from, first), desired)
		if err != nil || len(again) > 0 {
			t.Fatalf("%v\n%safter\n%s", err, Format(again), Format(first))
		}
	})
}

func TestDiffDoesWhatTheDesiredStateDoes(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to State) {
		desired := leading(from, to)
		whole, err := Plan(from, desired)
		if err != nil {
			t.Fatal(err)
		}
		least, err := Plan(from, Diff(from, desired))
		if err != nil || Format(least) != Format(whole) {
			t.Fatalf("%v: got\n%swant\n%s", err, Format(least), Format(whole))
		}
	})
}

func TestStatesSurviveMarshalAndParse(t *testing.T) {
	for name, state := range loadStates(t) {
		t.Run(name, func(t *testing.T) {
			text, err := Marshal(state)
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, name, parse(t, string(text)).complete(), state)
		})
	}
}
