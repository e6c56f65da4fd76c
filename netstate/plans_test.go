// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
	Revert    string          `json:"revert"` // the plan of what Revert returns, once the plan is applied
	Errors    []string        `json:"errors"`
}

func loadPlans(t testing.TB) map[string]planCase {
	t.Helper()
	files, err := filepath.Glob("testdata/plans/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	cases := map[string]planCase{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		var file planFile
		require.NoError(t, yaml.UnmarshalStrict(data, &file), name)
		for sentence, c := range file.Cases {
			if c.Current == nil {
				c.Current = file.Node
			}
			require.NotContains(t, cases, sentence, name)
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
	assert.Equal(t, c.Plan, Explain(current, steps))
	after := apply(t, current, steps)
	again, err := Plan(Own(after, desired), desired)
	require.NoError(t, err)
	assert.Empty(t, Format(again), "planned again")
	wantEqual(t, "undone", apply(t, after, Invert(steps)), current)
	undo := PlanBack(Own(after, desired), Revert(current, desired))
	require.NoError(t, err)
	if c.Revert != "" {
		assert.Equal(t, c.Revert, Format(undo))
	}
	apply(t, after, undo)
}

func wantErrors(t *testing.T, err error, want []string) {
	t.Helper()
	require.NotEmpty(t, want, "no error was wanted: %v", err)
	for _, text := range want {
		require.ErrorContains(t, err, text)
	}
}

func wantSameText(t *testing.T, what string, got, want State) {
	t.Helper()
	gotText, err := Marshal(got)
	require.NoError(t, err)
	wantText, err := Marshal(want)
	require.NoError(t, err)
	assert.Equal(t, string(wantText), string(gotText), what)
}
