// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestWhatIsSetAsideForAPoolThatIsNoMoreIsLentByTheOneInItsPlace(t *testing.T) {
	for _, size := range []int{2, 3, 5, 64, 256} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			in(t, size, []string{"r1"}, func(t *testing.T, w *world) {
				w.warm()
				w.pool.Name = "renamed"
				_, err := w.ledgers["r1"].Preview(
					t.Context(), macpool.Request{Holder: vmNamed("all"), Pool: w.pool, Asks: make([]macpool.Ask, size-1)},
				)
				require.NoError(t, err)
				for i := range size - 1 {
					_, err := w.assign("r1", fmt.Sprint("vm", i), anyFor("net")...)
					require.NoError(t, err)
				}
			})
		})
	}
}
