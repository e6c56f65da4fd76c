package dhcp

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/nodeagent/netstate"
)

// A moody node refuses some steps before it does as it is told.
type moody struct {
	state    netstate.State
	refusals int
	mood     error
	did      []string
}

func (m *moody) Read() (netstate.State, error) { return m.state, nil }

func (m *moody) Do(step netstate.Step) error {
	if m.refusals > 0 {
		m.refusals--
		return m.mood
	}
	m.did = append(m.did, lines([]netstate.Step{step})...)
	m.state = after(m.state, []netstate.Step{step})
	return nil
}

func TestApplyReadsAgainWhatChangedMeanwhile(t *testing.T) {
	tests := map[string]struct {
		refusals int
		want     []string
		fails    bool
	}{
		"at once":                      {refusals: 0, want: []string{"+ eth1 address 192.0.2.7/24"}},
		"at the third try":             {refusals: 2, want: []string{"+ eth1 address 192.0.2.7/24"}},
		"a node that will not is left": {refusals: 3, fails: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			mood := errors.New("not now")
			node := &moody{state: with(netstate.TypeEthernet, nil), refusals: test.refusals, mood: mood}
			err := apply(noon(), node, "eth1", nil, lent(0), netstate.IP{})
			if test.fails {
				require.ErrorIs(t, err, mood)
			} else {
				require.NoError(t, err)
			}
			assert.Equal(t, test.want, node.did)
		})
	}
}
