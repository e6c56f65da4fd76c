package netstate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var c diffCase
			require.NoError(t, yaml.UnmarshalStrict(text, &c))
			testDiff(t, c)
		})
	}
}

func testDiff(t *testing.T, c diffCase) {
	current, desired := parse(t, string(c.Current)).complete(), parse(t, string(c.Desired))
	steps, err := Plan(current, desired)
	require.NoError(t, err)
	diff, revert := Diff(current, desired), Revert(current, desired)
	wantSameText(t, "diff", diff, parse(t, string(c.Diff)))
	wantSameText(t, "revert", revert, parse(t, string(c.Revert)))
	least, err := Plan(current, diff)
	require.NoError(t, err)
	assert.Equal(t, Format(steps), Format(least), "the diff leads elsewhere")
	after := apply(t, current, steps)
	undo, err := Plan(Own(after, desired), revert)
	require.NoError(t, err)
	wantEqual(t, "reverted", apply(t, after, undo), current)
}
