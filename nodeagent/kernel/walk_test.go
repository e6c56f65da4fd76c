// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// walkSteps is the length of a random walk.
const walkSteps = 200

// walk applies steps to a node until it has done walkSteps of them, in plans from one random state to the
// next. One plan in three fails at a random step, which must leave the node as it was before that plan.
func walk(t *testing.T, node Node) {
	states := loadStates(t)
	names := slices.Sorted(maps.Keys(states))
	random := rand.New(rand.NewPCG(3, 141592))
	goTo(t, node, states[names[0]])
	for done := 0; done < walkSteps; {
		start := read(t, node)
		to := names[random.IntN(len(names))]
		steps, err := netstate.Plan(start, towards(start, states[to]))
		require.NoError(t, err)
		if len(steps) == 0 {
			continue
		}
		if random.IntN(3) == 0 {
			at := random.IntN(len(steps))
			require.ErrorIs(t, Apply(&failing{Node: node, after: at}, steps), errInjected)
			same(t, node, start, "after an undone plan to "+to, steps[:at])
			done += at
			continue
		}
		require.NoError(t, Apply(node, steps), "to %s:\n%s", to, netstate.Format(steps))
		done += len(steps)
	}
	goTo(t, node, states[names[0]])
}

func TestRandomWalkOnTheModel(t *testing.T) {
	walk(t, NewModel(loadStates(t)["01-bare"]))
}
