// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// counted is a node that counts how often it is read.
type counted struct {
	*kernel.Model
	reads int
}

func (c *counted) Read() (netstate.State, error) {
	c.reads++
	return c.Model.Read()
}

// idler is an agent, without an API server, of a node that has what so many policies want: a VLAN with a bridge each.
func idler(tb testing.TB, policies int) (*Agent, *counted) {
	tb.Helper()
	node := &counted{Model: kernel.NewModel(bare(tb))}
	k := startKeeper(tb, node, tb.TempDir())
	for n := range policies {
		require.NoError(tb, k.Apply(tb.Context(), wish(tb, fmt.Sprintf("p%03d", n), fmt.Sprintf(`
interfaces:
- {name: eth1.%[1]d, type: vlan, state: up, vlan: {base-iface: eth1, id: %[1]d}}
- {name: br%[1]d, type: linux-bridge, state: up, bridge: {port: [{name: eth1.%[1]d}]}}`, n+1))))
	}
	options := Options{Clock: k.Clock}
	return &Agent{
		keeper: k, options: options, health: &health{clock: k.Clock}, publish: newPublisher(nil, options, func() {}),
		synced: make(chan struct{}),
	}, node
}

func TestAnIdlePassReadsTheNodeOnce(t *testing.T) {
	for _, policies := range []int{0, 1, 10} {
		a, node := idler(t, policies)
		for range 3 {
			node.reads = 0
			a.pass(t.Context())
			assert.Equal(t, 1, node.reads, "%d policies", policies)
		}
		require.NotNil(t, a.publish.latest)
		assert.Empty(t, a.publish.latest.err)
	}
}

// One plan of the sum tells that all is in order: a plan for every policy would cost a hundred times as much for ten
// times as many.
func TestAnIdlePassPlansTheSumAndNotEveryPolicy(t *testing.T) {
	cost := func(policies int) float64 {
		a, _ := idler(t, policies)
		return testing.AllocsPerRun(5, func() { a.pass(t.Context()) })
	}
	few, many := cost(6), cost(60)
	t.Logf("allocations: %.0f for 6 policies, %.0f for 60", few, many)
	assert.Less(t, many, 15*few)
}

func BenchmarkIdlePass(b *testing.B) {
	for _, policies := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("policies=%d", policies), func(b *testing.B) {
			a, _ := idler(b, policies)
			b.ResetTimer()
			for b.Loop() {
				a.pass(b.Context())
			}
		})
	}
}

func TestWhatTheAPIServerHasIsDecodedOnce(t *testing.T) {
	var c comparer
	stored, ours := []byte(`{"a":1,"b":[2]}`), []byte(`{"b":[2],"a":1}`)
	require.True(t, c.same(stored, ours))
	assert.Zero(t, testing.AllocsPerRun(10, func() { c.same(stored, ours) }))
	for name, other := range map[string][2]string{
		"ours has changed":     {`{"a":1,"b":[2]}`, `{"b":[3],"a":1}`},
		"somebody wrote there": {`{"a":2,"b":[2]}`, `{"b":[2],"a":1}`},
		"what cannot be read":  {`{`, `{`},
	} {
		assert.False(t, c.same([]byte(other[0]), []byte(other[1])), name)
		assert.True(t, c.same(stored, ours), name)
	}
}

// BenchmarkUnchangedNodeState finds out that a NodeNetworkState says already how the node is.
func BenchmarkUnchangedNodeState(b *testing.B) {
	for _, links := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("links=%d", links), func(b *testing.B) {
			s := snapshot{state: crowded(b, links/2)}
			var c comparer
			old, _, err := c.nodeState(nmstate.NodeStateStatus{}, s, "v1", metav1.Time{})
			require.NoError(b, err)
			old.CurrentState.Raw, err = canonical(old.CurrentState.Raw) // as the API server returns it
			require.NoError(b, err)
			for b.Loop() {
				_, changed, err := c.nodeState(old, s, "v1", metav1.Time{})
				require.NoError(b, err)
				require.False(b, changed)
			}
		})
	}
}
