package netstate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// A planFile is one file of testdata/plans: a node, and what becomes of desired states on it.
type planFile struct {
	// Node is the current state of the cases that have none of their own. Foreign and Owned are explained by the
	// state itself.
	Node  json.RawMessage     `json:"node"`
	Cases map[string]planCase `json:"cases"`
}

// A planCase says what a desired state leads to. Errors goes without everything else.
type planCase struct {
	Current json.RawMessage `json:"current"`
	// Committed is what was applied before, by which links are ours.
	Committed json.RawMessage `json:"committed"`
	Desired   json.RawMessage `json:"desired"`
	Plan      string          `json:"plan"`   // Explain
	Diff      json.RawMessage `json:"diff"`   // what Diff returns, if given
	Revert    string          `json:"revert"` // the plan of what Revert returns, once the plan is applied
	Errors    []string        `json:"errors"`
}

func loadPlans(t testing.TB) map[string]planCase {
	t.Helper()
	files, err := filepath.Glob("testdata/plans/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no plans: %v", err)
	}
	cases := map[string]planCase{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var file planFile
		if err := yaml.UnmarshalStrict(data, &file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for sentence, c := range file.Cases {
			if c.Current == nil {
				c.Current = file.Node
			}
			if _, again := cases[sentence]; again {
				t.Fatalf("%s: %q occurs twice", name, sentence)
			}
			cases[sentence] = c
		}
	}
	return cases
}

func TestPlans(t *testing.T) {
	for sentence, c := range loadPlans(t) {
		t.Run(sentence, func(t *testing.T) { testPlan(t, c) })
	}
}

func testPlan(t *testing.T, c planCase) {
	current := parse(t, string(c.Current)).complete()
	if c.Committed != nil {
		current = Own(current, parse(t, string(c.Committed)))
	}
	desired := parse(t, string(c.Desired))
	steps, err := Plan(current, desired)
	if len(c.Errors) > 0 || err != nil {
		wantErrors(t, err, c.Errors)
		return
	}
	if got := Explain(current, steps); got != c.Plan {
		t.Errorf("plan: got\n%s\nwant\n%s", got, c.Plan)
	}
	after := apply(t, current, steps)
	again, err := Plan(Own(after, desired), desired)
	if err != nil || len(again) > 0 {
		t.Errorf("planned again: %v\n%s", err, Format(again))
	}
	wantEqual(t, "undone", apply(t, after, Invert(steps)), current)
	if c.Diff != nil {
		wantSameText(t, "diff", Diff(current, desired), parse(t, string(c.Diff)))
	}
	undo, err := Plan(Own(after, desired), Revert(current, desired))
	if err != nil {
		t.Fatal(err)
	}
	if got := Format(undo); c.Revert != "" && got != c.Revert {
		t.Errorf("revert: got\n%s\nwant\n%s", got, c.Revert)
	}
	apply(t, after, undo)
}

func wantErrors(t *testing.T, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", want)
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("got %v\nwant %s", err, text)
		}
	}
	if len(want) == 0 {
		t.Error(err)
	}
}

func wantSameText(t *testing.T, what string, got, want State) {
	t.Helper()
	a, errA := Marshal(got)
	b, errB := Marshal(want)
	if errA != nil || errB != nil || string(a) != string(b) {
		t.Errorf("%s: %v %v got\n%s\nwant\n%s", what, errA, errB, a, b)
	}
}
