// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
)

func TestTheAddressesOfVMsThatWereDeletedJustNowAtOnceAreLentThoughThePoolIsFull(t *testing.T) {
	told(t, "of 200", func(w *world) {
		const size, deleted = 200, 8
		w.startFull(size)
		for i := range deleted {
			w.remove(vmKind(), fmt.Sprint("vm", i))
		}
		for i := range deleted {
			w.admitted("r2", fmt.Sprint("next", i))
		}
	})
}

func TestTheAddressOfAVMThatWasDeletedJustNowIsLentThoughThePoolIsFull(t *testing.T) {
	told(t, "of 64", func(w *world) {
		const size = 64
		w.startFull(size)
		for i := range size {
			w.remove(vmKind(), fmt.Sprint("vm", i))
			w.admitted([]string{"r1", "r2"}[i%2], fmt.Sprint("next", i))
		}
	})
}

// startFull starts two replicas with a pool of so many addresses, which VMs vm0, vm1 and so on have had for long.
func (w *world) startFull(size byte) {
	pool := w.pool()
	pool.Spec.Ranges = []v1alpha1.MACRange{{Start: mac(1).String(), End: mac(size).String()}}
	require.NoError(w.t, w.client.Update(w.ctx, pool))
	for i := range size {
		w.create(newVM(fmt.Sprint("vm", i), mac(i+1)))
	}
	w.startJanitor()
	w.start("r2")
	w.pass(grown)
}
