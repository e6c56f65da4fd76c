// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// A forgetful node does not take steps back, so that what is left has to be planned: the state at the time of the
// undo is all there is.
type forgetful struct {
	kernel.Node
	forgets bool
}

// Do implements kernel.Node.
func (f *forgetful) Do(step netstate.Step) error {
	if f.forgets {
		return &kernel.StaleError{Operation: "undo", Difference: "the node has changed"}
	}
	return f.Node.Do(step)
}

// Read implements kernel.Node. It is asked before what is left is carried out, which then works again.
func (f *forgetful) Read() (netstate.State, error) {
	f.forgets = false
	return f.Node.Read()
}

// What a policy may not say, a node can be all the same: the way back to it is not refused.
func TestWhatAPolicyMayNotSayIsUndoneByThePlan(t *testing.T) {
	for name, test := range unsayable(t) {
		t.Run(name, func(t *testing.T) {
			model := kernel.NewModel(parse(t, test.before))
			before, err := model.Read()
			require.NoError(t, err)
			node := &forgetful{Node: model}
			k := startKeeper(t, node, t.TempDir())
			k.Probe = func(context.Context) func(context.Context) error {
				return func(context.Context) error {
					node.forgets = true
					return errors.New("no answer")
				}
			}
			err = k.Apply(t.Context(), wish(t, "p", test.policy))
			var lost *LostError
			require.ErrorAs(t, err, &lost)
			assert.NotContains(t, err.Error(), "neither applied nor undone")
			assert.Nil(t, pending(t, k), "the journal is free for other policies")
			assertState(t, before, model, "undone")
		})
	}
}

// An unsayableNode is a node as no policy may ask for, and a policy that changes it.
type unsayableNode struct{ before, policy string }

// unsayable returns the examples of netstate.
func unsayable(t *testing.T) map[string]unsayableNode {
	t.Helper()
	text, err := os.ReadFile("../netstate/testdata/unsayable.yaml")
	require.NoError(t, err)
	var documents map[string]struct{ Before, Policy map[string]any }
	require.NoError(t, yaml.UnmarshalStrict(text, &documents))
	examples := map[string]unsayableNode{}
	for name, document := range documents {
		before, err := yaml.Marshal(document.Before)
		require.NoError(t, err)
		policy, err := yaml.Marshal(document.Policy)
		require.NoError(t, err)
		examples[name] = unsayableNode{before: string(before), policy: string(policy)}
	}
	require.NotEmpty(t, examples)
	return examples
}
