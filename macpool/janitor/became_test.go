// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestWhetherANamelessObjectExistsIsLookedUp(t *testing.T) {
	m := macpool.MAC{0x52, 0x54, 0, 0, 0, 1}
	vm := macpool.Object{Kind: macpool.KindVM, Namespace: "default", GenerateName: "gen-", Claim: "c"}
	pod := vm
	pod.Kind = macpool.KindPod
	elsewhere := vm
	elsewhere.Namespace = "elsewhere"
	for name, c := range map[string]struct {
		there func(w *world)
		of    macpool.Object
		want  bool
	}{
		"nothing is there":                     {of: vm},
		"a VM that it may have become":         {func(w *world) { w.create(newVM("gen-x", m)) }, vm, true},
		"a VM that it became, halted":          {func(w *world) { w.create(newVM("gen-", m)) }, vm, true},
		"a VM of another generated name":       {func(w *world) { w.create(newVM("other-x", m)) }, vm, false},
		"a VM with another address":            {func(w *world) { w.create(newVM("gen-x", macpool.MAC{2})) }, vm, false},
		"a VM of another namespace":            {func(w *world) { w.create(newVM("gen-x", m)) }, elsewhere, false},
		"an instance whose VM has changed":     {func(w *world) { w.create(newVMI("gen-x", "Running", true, m)) }, vm, true},
		"a pod that it may have become":        {func(w *world) { w.create(newPod("gen-x", "Pending", m)) }, pod, true},
		"a pod that it became, and that ended": {func(w *world) { w.create(newPod("gen-x", "Failed", m)) }, pod, false},
		"a pod, where a VM is asked about":     {func(w *world) { w.create(newPod("gen-x", "Running", m)) }, vm, false},
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, func(w *world) {
				if c.there != nil {
					c.there(w)
				}
				had, err := Objects{Reader: w.client}.Having(w.ctx, c.of, macpool.MAC{3}, m)
				require.NoError(t, err)
				assert.Equal(t, c.want, len(had) == 1 && had[0] == m, "%v", had)
			})
		})
	}
	t.Run("VMs that the API server does not know now may be there", func(t *testing.T) {
		tellWithout(t, func(w *world) {
			_, err := Objects{Reader: w.client}.Having(w.ctx, vm, m)
			assert.ErrorContains(t, err, "does not know VirtualMachines now")
		})
	})
}

func TestAVMHasWhatItWasGivenBeforeItHadItsName(t *testing.T) {
	for name, holder := range map[string]string{"itself": "vma", "but not another": "vmb"} {
		told(t, name, func(w *world) {
			w.startJanitor()
			r2 := w.start("r2")
			o := macpool.Object{Kind: macpool.KindVM, Namespace: "default", GenerateName: "vm", Claim: "c"}
			m, err := w.assign("r1", o, macpool.MAC{})
			require.NoError(w.t, err)
			w.create(newVM(holder, m))
			w.pass(debounce - time.Second) // the janitor has yet to write the name
			r := macpool.Request{Holder: vmNamed("vma"), Asks: []macpool.Ask{{Interface: "renamed", MAC: m}}}
			_, previewed := r2.ledger.Preview(w.ctx, r)
			_, assigned := r2.ledger.Assign(w.ctx, r)
			for _, err := range []error{previewed, assigned} {
				if holder == "vma" {
					require.NoError(w.t, err)
					continue
				}
				var taken *macpool.TakenError
				require.ErrorAs(w.t, err, &taken)
			}
		})
	}
}

func TestAVMKeepsWhatItWasGivenBeforeItHadItsNameThoughItsChangeIsRefused(t *testing.T) {
	told(t, "for another interface", func(w *world) {
		w.startJanitor()
		r2 := w.start("r2")
		theirs := w.admitted("r2", "other")
		o := macpool.Object{Kind: macpool.KindVM, Namespace: "default", GenerateName: "vm", Claim: "c"}
		m, err := w.assign("r1", o, macpool.MAC{})
		require.NoError(w.t, err)
		w.create(newVM("vma", m))
		w.pass(debounce - time.Second) // the janitor has yet to write the name
		_, err = r2.ledger.Assign(w.ctx, macpool.Request{Holder: vmNamed("vma"), Asks: []macpool.Ask{
			{Interface: "renamed", MAC: m}, {Interface: "more", MAC: theirs},
		}})
		var taken *macpool.TakenError
		require.ErrorAs(w.t, err, &taken)
		_, err = w.assign("r2", vmNamed("vmb"), m)
		require.ErrorAs(w.t, err, &taken)
	})
}
