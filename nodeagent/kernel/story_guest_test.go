// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/inguest"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

// openGuest returns the kernel of the guest this test runs in, and nothing else's.
func openGuest(tb testing.TB) *Kernel {
	tb.Helper()
	inguest.Require(tb)
	k, err := Open()
	require.NoError(tb, err)
	k.Secret = "a guest"
	tb.Cleanup(k.Close)
	return k
}

// configure plans and applies a desired state, and returns what it took.
func configure(tb testing.TB, node Node, desired netstate.State) []netstate.Step {
	tb.Helper()
	steps, err := netstate.Plan(read(tb, node), desired)
	require.NoError(tb, err)
	require.NoError(tb, Apply(node, steps), netstate.Format(steps))
	return steps
}

// shown returns a state as the objects and lists a user of NodeNetworkState sees.
func shown(tb testing.TB, s netstate.State) map[string]any {
	tb.Helper()
	text, err := netstate.Marshal(s)
	require.NoError(tb, err)
	var tree map[string]any
	require.NoError(tb, yaml.Unmarshal(text, &tree))
	return tree
}

// The policy of the user guide leads to what the user guide shows, key for key.
func TestTheStorysBridgeReadsBackAsTheStoryShows(t *testing.T) {
	k := openGuest(t)
	before := read(t, k)
	steps := configure(t, k, readFile(t, "testdata/story/desired.yaml"))
	t.Cleanup(func() {
		require.NoError(t, Undo(k, steps))
		assert.True(t, netstate.Equal(before, read(t, k)))
	})
	t.Logf("the plan:\n%s", netstate.Format(steps))
	br0 := named(t, shown(t, read(t, k)), "br0")
	text, err := os.ReadFile("testdata/story/br0.yaml")
	require.NoError(t, err)
	var want map[string]any
	require.NoError(t, yaml.Unmarshal(text, &want))
	contains(t, "br0", want, br0)
	again, err := netstate.Plan(read(t, k), readFile(t, "testdata/story/desired.yaml"))
	require.NoError(t, err)
	assert.Empty(t, again, "a policy that is in place needs no steps")
}

// named returns one interface of a shown state.
func named(tb testing.TB, state map[string]any, name string) map[string]any {
	tb.Helper()
	for _, i := range state["interfaces"].([]any) {
		if i := i.(map[string]any); i["name"] == name {
			return i
		}
	}
	tb.Fatalf("no interface %s", name)
	return nil
}

// contains checks that have holds every key and value of want.
func contains(t *testing.T, path string, want, have any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		have, _ := have.(map[string]any)
		for key := range want {
			contains(t, path+"."+key, want[key], have[key])
		}
	case []any:
		have, _ := have.([]any)
		if assert.Len(t, have, len(want), path) {
			for n := range want {
				contains(t, path, want[n], have[n])
			}
		}
	default:
		assert.Equal(t, want, have, path)
	}
}
