package netstate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// A diffCase is one file of testdata/diffs: a node, a wish, the least wish that does the same, and the one that
// undoes it. All four are states.
type diffCase struct {
	Current json.RawMessage `json:"current"`
	Desired json.RawMessage `json:"desired"`
	Diff    json.RawMessage `json:"diff"`
	Revert  json.RawMessage `json:"revert"`
}

func TestDiffAndRevert(t *testing.T) {
	files, err := filepath.Glob("testdata/diffs/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var c diffCase
			if err := yaml.UnmarshalStrict(text, &c); err != nil {
				t.Fatal(err)
			}
			testDiff(t, c)
		})
	}
}

func testDiff(t *testing.T, c diffCase) {
	current, desired := parse(t, string(c.Current)).complete(), parse(t, string(c.Desired))
	steps, err := Plan(current, desired)
	if err != nil {
		t.Fatal(err)
	}
	diff, revert := Diff(current, desired), Revert(current, desired)
	wantSameText(t, "diff", diff, parse(t, string(c.Diff)))
	wantSameText(t, "revert", revert, parse(t, string(c.Revert)))
	least, err := Plan(current, diff)
	if err != nil || Format(least) != Format(steps) {
		t.Errorf("%v: the diff leads elsewhere\n%s\nwant\n%s", err, Format(least), Format(steps))
	}
	after := apply(t, current, steps)
	undo, err := Plan(Own(after, desired), revert)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "reverted", apply(t, after, undo), current)
}
