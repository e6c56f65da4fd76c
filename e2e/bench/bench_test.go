// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNoModeFollowsItself(t *testing.T) {
	for n := 3; n <= 8; n++ {
		last := -1
		for round := range 4 {
			turn := order(n, round)
			assert.NotEqual(t, last, turn[0], "%d modes, round %d", n, round)
			last = turn[n-1]
			assert.Len(t, slices.Compact(slices.Sorted(slices.Values(turn))), n, "each has its turn")
		}
		assert.NotEqual(t, order(n, 0)[0], order(n, 1)[0], "those that are compared go first in turns")
	}
}
