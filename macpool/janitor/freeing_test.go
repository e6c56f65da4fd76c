// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
	"github.com/bridgehead-dev/bridgehead/nad"
)

func TestFreeingStories(t *testing.T) {
	for name, story := range map[string]func(w *world){
		"an address is free when its VM is gone": func(w *world) {
			w.create(newVM("vma", mac(1)))
			w.startJanitor()
			w.pass(ledger.MaxAdmission + sweepInterval)
			w.remove(vmKind(), "vma")
			w.pass(debounce / 2)
			assert.Empty(w.t, w.holderOf(mac(1)), "somebody may wait for it")
		},
		"a hold whose VM may be about to come into being stays as long as an admission may take": func(w *world) {
			w.startJanitor()
			m, err := w.assign("r1", vmNamed("vma"), macpool.MAC{})
			require.NoError(w.t, err)
			w.pass(ledger.MaxAdmission)
			assert.Equal(w.t, vma, w.holderOf(m))
			w.create(newVM("vma", m)) // an admission that took its time
			w.pass(grown)
			assert.Equal(w.t, vma, w.holderOf(m))
		},
		"the address of a VM that was rejected after us is free after a while": func(w *world) {
			w.startJanitor()
			m, err := w.assign("r1", vmNamed("vma"), macpool.MAC{})
			require.NoError(w.t, err)
			w.pass(grown)
			assert.Empty(w.t, w.holderOf(m))
		},
		"of an update that failed only the new address is free": func(w *world) {
			w.startJanitor()
			first := w.admitted("r1", "vma")
			second, err := w.assign("r1", vmNamed("vma"), mac(9))
			require.NoError(w.t, err)
			w.pass(grown)
			assert.Equal(w.t, vma, w.holderOf(first))
			assert.Empty(w.t, w.holderOf(second))
		},
		"an address that its VM no longer has is free, the others are not": func(w *world) {
			w.create(newVM("vma", mac(1), mac(2)))
			w.startJanitor()
			w.pass(grown)
			w.put(newVM("vma", mac(2)))
			w.pass(2 * debounce)
			assert.Empty(w.t, w.holderOf(mac(1)))
			assert.Equal(w.t, vma, w.holderOf(mac(2)))
		},
		"a VM that is gone has its addresses while its instance runs": func(w *world) {
			w.create(newVM("vma", mac(1)))
			w.create(newVMI("vma", "Running", true, mac(1)))
			w.startJanitor()
			w.pass(grown)
			w.remove(vmKind(), "vma")
			w.pass(grown)
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
			w.remove(vmiKind(), "vma")
			w.pass(2 * debounce)
			assert.Empty(w.t, w.holderOf(mac(1)))
		},
		"an instance whose VM was deleted without it has its addresses from that moment": func(w *world) {
			w.create(newVM("vma", mac(1)))
			w.create(newVMI("vma", "Running", true, mac(1)))
			w.startJanitor()
			w.pass(grown)
			w.put(newVMI("vma", "Running", false, mac(1))) // kubectl delete --cascade=orphan
			w.remove(vmKind(), "vma")
			_, err := w.assign("r1", vmNamed("vmb"), mac(1))
			var taken *macpool.TakenError
			require.ErrorAs(w.t, err, &taken)
			w.pass(grown)
			assert.Equal(w.t, "VirtualMachineInstance default/vma", w.holderOf(mac(1)))
		},
		"an instance whose VM was deleted without it has its addresses though its watch is behind": func(w *world) {
			w.create(newVM("vma", mac(1)))
			w.startJanitor()
			w.pass(grown)
			w.api.Stall(vmiKind(), true)
			w.create(newVMI("vma", "Running", false, mac(1))) // started, and left behind by now
			w.remove(vmKind(), "vma")
			w.pass(debounce)
			_, err := w.assign("r1", vmNamed("vmb"), mac(1))
			var taken *macpool.TakenError
			require.ErrorAs(w.t, err, &taken)
			w.api.Stall(vmiKind(), false)
			w.pass(grown)
			assert.Equal(w.t, "VirtualMachineInstance default/vma", w.holderOf(mac(1)))
		},
		"a VM that is made again takes over the instance it left behind, with its addresses": func(w *world) {
			w.startJanitor()
			m := w.admitted("r1", "vma")
			w.create(newVMI("vma", "Running", true, m))
			w.pass(grown)
			w.put(newVMI("vma", "Running", false, m)) // kubectl delete --cascade=orphan
			w.remove(vmKind(), "vma")
			w.pass(grown)
			require.Equal(w.t, "VirtualMachineInstance default/vma", w.holderOf(m))
			_, err := w.assign("r1", vmNamed("other"), m)
			require.Error(w.t, err)
			again, err := w.assign("r1", vmNamed("vma"), m)
			require.NoError(w.t, err, "it is the VM's own")
			w.create(newVM("vma", again))
			w.pass(4 * sweepInterval)
			assert.Empty(w.t, w.janitor.Collisions())
			w.put(newVMI("vma", "Running", true, m)) // KubeVirt has taken it over
			w.pass(grown)
			assert.Equal(w.t, vma, w.holderOf(m))
		},
		"an instance that runs on the address its VM had before keeps it": func(w *world) {
			w.create(newVM("vma", mac(1)))
			w.create(newVMI("vma", "Running", true, mac(1)))
			w.startJanitor()
			w.put(newVM("vma", mac(2)))
			w.pass(grown)
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
			assert.Equal(w.t, vma, w.holderOf(mac(2)))
		},
		"an instance that has ended holds nothing, though it is there": func(w *world) {
			w.create(newVMI("alone", "Running", false, mac(1)))
			w.create(newVMI("other", "Running", false, mac(2)))
			w.startJanitor()
			w.pass(grown)
			w.put(newVMI("alone", "Succeeded", false, mac(1)))
			w.put(newVMI("other", "Failed", false, mac(2)))
			w.pass(2 * debounce)
			assert.Empty(w.t, w.holderOf(mac(1)))
			assert.Empty(w.t, w.holderOf(mac(2)))
		},
		"a pod that was evicted leaves its address to the next": func(w *world) {
			w.optIn()
			w.create(newPod("poda", "Running", mac(1)))
			w.startJanitor()
			w.pass(grown)
			w.put(newPod("poda", "Failed", mac(1)))
			_, err := w.assign("r1", podObject(client.ObjectKey{Namespace: "default", Name: "podb"}), mac(1))
			require.NoError(w.t, err, "at once: the refusal would name a holder that has ended")
			w.create(newPod("podb", "Running", mac(1)))
			w.pass(grown)
			assert.Equal(w.t, "Pod default/podb", w.holderOf(mac(1)))
		},
		"a pod of a Job that is done holds nothing": func(w *world) {
			w.optIn()
			w.create(newPod("poda", "Running", mac(1)))
			w.startJanitor()
			w.pass(grown)
			w.put(newPod("poda", "Succeeded", mac(1)))
			w.pass(2 * debounce)
			assert.Empty(w.t, w.holderOf(mac(1)))
		},
		"a namespace that opts out has its pods' addresses held until they are gone": func(w *world) {
			w.optIn()
			w.create(newPod("poda", "Running", mac(1)))
			w.startJanitor()
			w.namespace(nil)
			w.pass(grown)
			assert.Equal(w.t, poda, w.holderOf(mac(1)))
			w.remove(podKind(), "poda")
			w.pass(2 * debounce)
			assert.Empty(w.t, w.holderOf(mac(1)))
		},
		"the pod of a VM neither takes nor frees anything": func(w *world) {
			w.optIn()
			w.create(newVM("vma", mac(1)))
			launcher := newPod("virt-launcher-vma-x", "Running", mac(1))
			launcher.SetLabels(map[string]string{"kubevirt.io": "virt-launcher"})
			w.create(launcher)
			w.startJanitor()
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
			w.remove(podKind(), "virt-launcher-vma-x")
			w.pass(grown)
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
		},
		"a pod that says later that it is of a VM keeps its address": func(w *world) {
			w.optIn()
			w.create(newPod("poda", "Running", mac(1)))
			w.startJanitor()
			w.pass(grown)
			said := newPod("poda", "Running", mac(1))
			said.SetLabels(map[string]string{nad.LauncherLabel: nad.Launcher})
			w.put(said)
			w.pass(4 * sweepInterval)
			assert.Equal(w.t, poda, w.holderOf(mac(1)))
			_, err := w.assign("r1", vmNamed("vma"), mac(1))
			var taken *macpool.TakenError
			require.ErrorAs(w.t, err, &taken)
			w.remove(podKind(), "poda")
		},
		"a name that generateName made takes over what was held without one": func(w *world) {
			w.startJanitor()
			o := macpool.Object{Kind: macpool.KindVM, Namespace: "default", GenerateName: "vm", Claim: "c"}
			m, err := w.assign("r1", o, macpool.MAC{})
			require.NoError(w.t, err)
			w.create(newVM("vma", m))
			w.pass(grown)
			assert.Equal(w.t, vma, w.holderOf(m))
		},
		"what was given to a generateName that came to nothing is free": func(w *world) {
			w.startJanitor()
			o := macpool.Object{Kind: macpool.KindVM, Namespace: "default", GenerateName: "vm", Claim: "c"}
			m, err := w.assign("r1", o, macpool.MAC{})
			require.NoError(w.t, err)
			w.pass(ledger.MaxAdmission - sweepInterval)
			assert.NotEmpty(w.t, w.holderOf(m), "it may come yet")
			w.pass(grown)
			assert.Empty(w.t, w.holderOf(m))
		},
		"what was given to a generateName is free though objects of another kind cannot be listed": func(w *world) {
			w.startJanitor()
			for _, kind := range []string{macpool.KindVM, macpool.KindPod} {
				for n := range byte(4) {
					o := macpool.Object{Kind: kind, Namespace: "default", GenerateName: "gen-", Claim: fmt.Sprint(n)}
					_, err := w.assign("r1", o, macpool.MAC{0x52, 0x54, 0, byte(len(kind)), n, n})
					require.NoError(w.t, err)
				}
			}
			w.fail(func(r *http.Request) error {
				if strings.HasSuffix(r.URL.Path, "/virtualmachines") {
					return errors.New("connection refused")
				}
				return nil
			})
			w.pass(grown)
			for n := range byte(4) {
				assert.Empty(w.t, w.holderOf(macpool.MAC{0x52, 0x54, 0, byte(len(macpool.KindPod)), n, n}))
				assert.NotEmpty(w.t, w.holderOf(macpool.MAC{0x52, 0x54, 0, byte(len(macpool.KindVM)), n, n}))
			}
			w.fail(nil)
		},
		"a name that a long generateName made, which is cut off, takes over at once": func(w *world) {
			w.startJanitor()
			long := strings.Repeat("x", 62) + "-"
			o := macpool.Object{Kind: macpool.KindVM, Namespace: "default", GenerateName: long, Claim: "c"}
			m, err := w.assign("r1", o, macpool.MAC{})
			require.NoError(w.t, err)
			name := long[:58] + "abcde"
			w.create(newVM(name, m))
			w.pass(2 * debounce)
			assert.Equal(w.t, "VirtualMachine default/"+name, w.holderOf(m))
		},
		"what was given to a VM of a name that none can have is free after a while": func(w *world) {
			w.startJanitor()
			for _, name := range []string{"a/b", "..", "50%"} {
				m, err := w.assign("r1", vmNamed(name), macpool.MAC{})
				require.NoError(w.t, err)
				_, err = w.assign("r1", vmNamed("other"), m)
				var busy *macpool.BusyError
				require.ErrorAs(w.t, err, &busy, name)
			}
			w.pass(grown)
			assert.Empty(w.t, w.holders())
		},
		"an address in a block that cannot be written keeps no other of its VM": func(w *world) {
			first, second, third := mac(1), macpool.MAC{0x52, 0x54, 0, 0, 1, 1}, macpool.MAC{0x52, 0x54, 0, 0, 2, 1}
			w.create(newVM("vma", first, second))
			w.startJanitor()
			w.pass(grown)
			w.refuseWrites(first.Prefix())
			w.put(newVM("vma", second))
			w.pass(2 * debounce)
			w.put(newVM("vma", third))
			w.pass(3 * debounce)
			assert.Equal(w.t, vma, w.holderOf(first), "nobody could free it")
			assert.Empty(w.t, w.holderOf(second))
			assert.Equal(w.t, vma, w.holderOf(third))
			w.fail(nil)
			w.pass(2 * debounce)
			assert.Empty(w.t, w.holderOf(first))
		},
		"a cache that is behind frees nothing: the VM is looked at": func(w *world) {
			w.startJanitor()
			w.api.Stall(vmKind(), true)
			m := w.admitted("r1", "vma")
			w.pass(3 * grown)
			assert.Equal(w.t, vma, w.holderOf(m))
			w.api.Stall(vmKind(), false)
		},
		"a cache that is behind does not free what a generateName became": func(w *world) {
			w.startJanitor()
			w.api.Stall(vmKind(), true)
			o := macpool.Object{Kind: macpool.KindVM, Namespace: "default", GenerateName: "vm", Claim: "c"}
			m, err := w.assign("r1", o, macpool.MAC{})
			require.NoError(w.t, err)
			w.create(newVM("vma", m))
			w.pass(3 * grown)
			assert.Equal(w.t, vma, w.holderOf(m))
			w.api.Stall(vmKind(), false)
		},
		"KubeVirt that is no longer served is not VMs that are gone": func(w *world) {
			w.create(newVM("vma", mac(1)))
			w.startJanitor()
			w.pass(grown)
			_, err := w.assign("r1", podObject(client.ObjectKey{Namespace: "default", Name: "poda"}), mac(1))
			var taken *macpool.TakenError
			require.ErrorAs(w.t, err, &taken)
			w.api.Unserve(vmKind())
			w.api.Unserve(vmiKind())
			w.pass(3 * grown)
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
			_, err = w.assign("r1", podObject(client.ObjectKey{Namespace: "default", Name: "poda"}), mac(1))
			require.Error(w.t, err)
			w.api.Serve(vmKind(), vmiKind())
			w.pass(3 * grown)
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
		},
		"what was given to a generateName stays while it cannot be told what became of it": func(w *world) {
			w.startJanitor()
			w.stop()
			o := macpool.Object{Kind: macpool.KindVM, Namespace: "default", GenerateName: "vm", Claim: "c"}
			m, err := w.assign("r1", o, macpool.MAC{})
			require.NoError(w.t, err)
			w.create(newVM("vma", m))
			w.pass(time.Second)
			w.api.Unserve(vmKind())
			w.api.Unserve(vmiKind())
			w.startJanitor()
			w.pass(3 * grown)
			assert.NotEmpty(w.t, w.holderOf(m))
			w.api.Serve(vmKind(), vmiKind())
		},
		"an API server that cannot be reached is not VMs that are gone": func(w *world) {
			w.startJanitor()
			m := w.admitted("r1", "vma")
			w.api.Stall(vmKind(), true)
			w.remove(vmKind(), "vma")
			w.create(newVM("vma", m))
			w.api.Stall(vmKind(), false)
			w.fail(func(r *http.Request) error {
				if strings.Contains(r.URL.Path, "virtualmachine") {
					return errors.New("connection refused")
				}
				return nil
			})
			w.pass(3 * grown)
			assert.Equal(w.t, vma, w.holderOf(m))
		},
		"a namespace that is deleted whole gives back what its VMs and pods had": func(w *world) {
			w.optIn()
			w.startJanitor()
			m := w.admitted("r1", "vma")
			w.create(newVMI("vma", "Running", true, m, mac(7)))
			w.create(newPod("poda", "Running", mac(2)))
			w.pass(grown)
			require.Equal(w.t, vma, w.holderOf(m))
			require.Equal(w.t, poda, w.holderOf(mac(2)))
			w.remove(kindOf("", "v1", "Namespace", "namespaces", true), "default") // before what is in it
			w.pass(2 * sweepInterval)
			require.Equal(w.t, vma, w.holderOf(m), "its VMs still end")
			require.Equal(w.t, poda, w.holderOf(mac(2)))
			w.remove(podKind(), "poda")
			w.remove(vmKind(), "vma")
			w.pass(2 * sweepInterval)
			assert.Equal(w.t, vma, w.holderOf(m), "its instance still runs")
			w.remove(vmiKind(), "vma")
			w.pass(2 * sweepInterval)
			assert.Empty(w.t, w.holders())
			w.namespace(nil)
		},
		"an interface that is unplugged keeps its address until the instance has let go of it": func(w *world) {
			w.startJanitor()
			m := w.admitted("r1", "vma")
			w.put(newVM("vma", m, mac(7))) // plugged in
			w.create(newVMI("vma", "Running", true, m, mac(7)))
			w.pass(grown)
			w.put(newVM("vma", m))
			w.pass(grown)
			assert.Equal(w.t, vma, w.holderOf(mac(7)), "the guest has it")
			w.put(newVMI("vma", "Running", true, m))
			w.pass(2 * sweepInterval)
			assert.Empty(w.t, w.holderOf(mac(7)))
			assert.Equal(w.t, vma, w.holderOf(m))
		},
		"blocks that were deleted by hand are imported again within a sweep": func(w *world) {
			w.optIn()
			w.create(newVM("vma", mac(1)))
			w.create(newPod("poda", "Running", mac(2)))
			w.startJanitor()
			var all v1alpha1.MACBlockList
			require.NoError(w.t, w.client.List(w.ctx, &all))
			for i := range all.Items {
				require.NoError(w.t, w.client.Delete(w.ctx, &all.Items[i]))
			}
			w.pass(2 * sweepInterval)
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
			assert.Equal(w.t, poda, w.holderOf(mac(2)))
		},
	} {
		told(t, name, story)
	}
}
