// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestAddressesOfManyBlocksAreBounded(t *testing.T) {
	named := func(n int, at func(i int) macpool.MAC) vmChange {
		var c vmChange
		for i := range n {
			c.nics = append(c.nics, vmNIC{nic: nic{mac: at(i)}, served: true})
		}
		return c
	}
	apart := func(i int) macpool.MAC { return macpool.MAC{2, 0, 0, 0, byte(i)} }
	together := func(i int) macpool.MAC { return macpool.MAC{2, 0, 0, 0, 0, byte(i)} }
	assert.Empty(t, validateBlocks(named(256, together)), "they are one write")
	assert.Empty(t, validateBlocks(named(maxBlocks, apart)))
	problems := validateBlocks(named(256, apart))
	require.Len(t, problems, 1)
	assert.Contains(t, problems[0].Error(), "begin in 256 different ways (their first five octets): want at most 32 at once")
	assert.Empty(t, validateBlocks(named(256, func(int) macpool.MAC { return macpool.MAC{} })), "these are given out")
}
