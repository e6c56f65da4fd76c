// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestAStoreThatIsOlderThanItWasEndsTheLedger(t *testing.T) {
	for name, notice := range map[string]func(*testing.T, *world, Snapshot){
		"the watch tells of an older state": func(_ *testing.T, w *world, s Snapshot) {
			w.store.Restore(s)
		},
		"a live read tells of an older state": func(t *testing.T, w *world, s Snapshot) {
			w.stall("r1")
			w.store.Restore(s)
			_, err := w.assign("r1", "vmc", named(t, "net", "02:00:00:00:00:f9")) // on a state that is no more
			require.NoError(t, err, "it was decided on what is stored")
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, 256, []string{"r1"}, func(t *testing.T, w *world) {
				w.pool.Set = macpool.NewSet([]macpool.Range{{First: macpool.MAC{2}, Last: macpool.MAC{2, 0, 0, 0, 0, 255}}}, nil)
				_, err := w.assign("r1", "vma", anyFor("net")...)
				require.NoError(t, err)
				w.finishWrites()
				saved := w.store.Snapshot()
				_, err = w.assign("r1", "vmb", anyFor("net")...)
				require.NoError(t, err)
				w.finishWrites()
				l := w.ledgers["r1"]
				require.NoError(t, l.Err())
				notice(t, w, saved)
				synctest.Wait()
				_, rewound := <-l.Rewound()
				require.False(t, rewound)
				require.ErrorContains(t, l.Err(), "etcd was restored")
				_, err = w.assign("r1", "vmd", anyFor("net")...)
				require.ErrorIs(t, err, macpool.ErrNotReady, "what it remembers is not so any more")
				require.NoError(t, l.Close(t.Context()))
			})
		})
	}
}
