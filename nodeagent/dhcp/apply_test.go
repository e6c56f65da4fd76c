// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A moody node refuses some steps before it does as it is told, and routes for ever if it hates them.
type moody struct {
	state       netstate.State
	refusals    int
	hatesRoutes bool
	mood        error
	did         []string
}

func (m *moody) Read() (netstate.State, error) { return m.state, nil }

func (m *moody) Do(step netstate.Step) error {
	if m.hatesRoutes && step.Kind == netstate.StepRoute {
		return m.mood
	}
	if m.refusals > 0 {
		m.refusals--
		return m.mood
	}
	m.did = append(m.did, lines([]netstate.Step{step})...)
	m.state = after(m.state, []netstate.Step{step})
	return nil
}

func TestApplyReadsAgainWhatChangedMeanwhile(t *testing.T) {
	const address = "+ eth1 address 192.0.2.7/24"
	mood := errors.New("not now")
	tests := map[string]struct {
		node        moody
		lease       *Lease
		want        []string
		routes, err error
	}{
		"at once":                      {lease: lent(0), want: []string{address}},
		"at the third try":             {node: moody{refusals: 2}, lease: lent(0), want: []string{address}},
		"a node that will not is left": {node: moody{refusals: 3}, lease: lent(0), err: mood},
		"an address without its routes is better than none": {
			node: moody{hatesRoutes: true}, lease: routed(), routes: mood,
			want: []string{address},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.node.state, test.node.mood = with(netstate.TypeEthernet, nil), mood
			routes, err := apply(&test.node, "eth1", nil, test.lease, netstate.IP{})
			require.ErrorIs(t, routes, test.routes)
			require.ErrorIs(t, err, test.err)
			assert.Equal(t, test.want, test.node.did)
		})
	}
}
