// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestWhatIsForeignIsLentByNoPool(t *testing.T) {
	m := macpool.MAC{2, 0, 0, 0, 0, 1}
	lends := func(p *Pools) bool {
		rule, err := p.For("default")
		require.NoError(t, err)
		return rule.Set.Contains(m)
	}
	var p Pools
	p.SetPool(PoolRule{Pool: macpool.Pool{Name: "default", Set: everything()}})
	assert.True(t, lends(&p))
	p.SetForeign([]macpool.MAC{m})
	assert.False(t, lends(&p))
	p.SetPool(PoolRule{Pool: macpool.Pool{Name: "default", Set: everything()}})
	assert.False(t, lends(&p), "a pool that changes lends it no more than before")
	assert.False(t, p.All()[0].Set.Contains(m), "nor is it counted as one that it might lend")
	p.SetForeign(nil)
	assert.True(t, lends(&p))
}
