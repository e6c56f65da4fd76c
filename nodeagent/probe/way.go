// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"slices"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// Way returns what asks the default gateways of a node, of those through some links only if there are any, as Answers
// does. They are the gateways of the routes with the lowest metric among those through the links.
func Way(node Reader) func(ctx context.Context, links []string, again bool) map[string]error {
	return func(ctx context.Context, links []string, again bool) map[string]error {
		return Answers(ctx, Gateways(through{node, links}), again)
	}
}

// A through reads a node as if it had routes through some links only; through any if there are none.
type through struct {
	node  Reader
	links []string
}

// Read implements Reader.
func (t through) Read() (netstate.State, error) {
	state, err := t.node.Read()
	if err != nil || len(t.links) == 0 {
		return state, err
	}
	state.Routes.Running = slices.DeleteFunc(slices.Clone(state.Routes.Running), func(r netstate.Route) bool {
		return !slices.Contains(t.links, r.NextHopInterface)
	})
	return state, nil
}
