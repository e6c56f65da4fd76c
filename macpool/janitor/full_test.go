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
		pool := w.pool()
		pool.Spec.Ranges = []v1alpha1.MACRange{{Start: mac(1).String(), End: mac(size).String()}}
		require.NoError(w.t, w.client.Update(w.ctx, pool))
		for i := range size {
			w.create(newVM(fmt.Sprint("vm", i), mac(byte(i+1))))
		}
		w.startJanitor()
		w.start("r2")
		w.pass(grown)
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
		pool := w.pool()
		pool.Spec.Ranges = []v1alpha1.MACRange{{Start: mac(1).String(), End: mac(size).String()}}
		require.NoError(w.t, w.client.Update(w.ctx, pool))
		for i := range size {
			w.create(newVM(fmt.Sprint("vm", i), mac(byte(i+1))))
		}
		w.startJanitor()
		w.start("r2")
		w.pass(grown)
		for i := range size {
			w.remove(vmKind(), fmt.Sprint("vm", i))
			w.admitted([]string{"r1", "r2"}[i%2], fmt.Sprint("next", i))
		}
	})
}
