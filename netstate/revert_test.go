// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// A revertCase is one file of testdata/reverts: a node, a wish, and the wish that undoes it. All three are states.
type revertCase struct {
	Current json.RawMessage `json:"current"`
	Desired json.RawMessage `json:"desired"`
	Revert  json.RawMessage `json:"revert"`
}

func TestRevert(t *testing.T) {
	files, err := filepath.Glob("testdata/reverts/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var c revertCase
			require.NoError(t, yaml.UnmarshalStrict(text, &c))
			testRevert(t, c)
		})
	}
}

func testRevert(t *testing.T, c revertCase) {
	current, desired := parse(t, string(c.Current)).complete(), parse(t, string(c.Desired))
	steps, err := Plan(current, desired)
	require.NoError(t, err)
	revert := Revert(current, desired)
	wantSameText(t, "revert", revert, parse(t, string(c.Revert)))
	after := apply(t, current, steps)
	undo := PlanBack(Own(after, desired), revert)
	require.NoError(t, err)
	wantEqual(t, "reverted", apply(t, after, undo), current)
}
