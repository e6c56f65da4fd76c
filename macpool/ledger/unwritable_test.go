// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// spoil has nothing read or written of the block that the first replica lends from.
func (w *world) spoil() macpool.Prefix {
	w.t.Helper()
	spoiled := w.ledgers["r1"].windows["default"].cursor
	w.store.Fail(func(_ string, p macpool.Prefix) error {
		if p == spoiled {
			return errors.New("there are no rows")
		}
		return nil
	})
	return spoiled
}

func TestABlockThatCannotBeWrittenKeepsNobodyFromTheOthers(t *testing.T) {
	for name, replicas := range map[string][]string{"at one replica": {"r1"}, "at two": {"r1", "r2"}} {
		t.Run(name, func(t *testing.T) {
			in(t, 1<<16, replicas, func(t *testing.T, w *world) {
				w.warm()
				spoiled := w.spoil()
				elsewhere := 0
				for i := range 400 {
					ctx, cancel := context.WithTimeout(t.Context(), flushTimeout)
					r := macpool.Request{Holder: vmNamed(fmt.Sprint("vm", i)), Pool: w.pool, Asks: anyFor("net")}
					grant, err := w.ledgers[replicas[i%len(replicas)]].Assign(ctx, r)
					cancel()
					require.NoError(t, err)
					if grant.MACs[0].Prefix() != spoiled {
						elsewhere++
					}
					w.pass(50 * time.Millisecond)
				}
				assert.Greater(t, elsewhere, 300)
				w.store.Fail(nil)
				w.pass(2 * maxRetry)
			})
		})
	}
}

func TestAStoreThatIsAwayExhaustsNoPool(t *testing.T) {
	in(t, 1<<16, []string{"r1"}, func(t *testing.T, w *world) {
		w.down.Store(true)
		_, err := w.assign("r1", "vma", anyFor("net")...)
		require.ErrorContains(t, err, "connection refused")
		w.down.Store(false)
		_, err = w.assign("r1", "vma", anyFor("net")...)
		require.NoError(t, err)
	})
}
