// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
	"github.com/bridgehead-dev/bridgehead/nad"
)

func mac(n byte) macpool.MAC { return macpool.MAC{0x52, 0x54, 0, 0, 0, n} }

const (
	vma   = "VirtualMachine default/vma"
	alone = "VirtualMachineInstance default/alone"
	poda  = "Pod default/poda"
)

func TestImportStories(t *testing.T) {
	for name, story := range map[string]func(w *world){
		"what exists is in the ledger before the janitor says that it has imported": func(w *world) {
			w.create(newVM("vma", mac(1), mac(2)))
			w.create(newVMI("alone", "Running", false, mac(3)))
			w.startJanitor()
			assert.True(w.t, w.janitor.Imported())
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
			assert.Equal(w.t, vma, w.holderOf(mac(2)))
			assert.Equal(w.t, alone, w.holderOf(mac(3)))
			assert.Equal(w.t, "r1", w.pool().Status.ImportedBy)
			assert.True(w.t, meta.IsStatusConditionTrue(w.pool().Status.Conditions, v1alpha1.ConditionImported))
		},
		"what is created past admission is taken in by watch": func(w *world) {
			w.startJanitor()
			w.create(newVM("vma", mac(1)))
			w.pass(2 * debounce)
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
		},
		"an address that is added past admission is taken in": func(w *world) {
			w.create(newVM("vma", mac(1)))
			w.startJanitor()
			w.put(newVM("vma", mac(1), mac(2)))
			w.pass(2 * debounce)
			assert.Equal(w.t, vma, w.holderOf(mac(2)))
		},
		"pods count where their namespace opted in": func(w *world) {
			w.create(newPod("poda", "Running", mac(1)))
			w.startJanitor()
			assert.Empty(w.t, w.holderOf(mac(1)))
			w.optIn()
			w.pass(2 * debounce)
			assert.Equal(w.t, poda, w.holderOf(mac(1)))
		},
		"interfaces that live on the address of their pod, or on one that OVN makes, do not count": func(w *world) {
			w.create(vmOn("vma", map[string]any{"pod": map[string]any{}}, "bridge", mac(1)))
			w.create(vmOn("vmb", map[string]any{"pod": map[string]any{}}, "bridge", mac(1)))
			w.create(vmOn("vmc", map[string]any{"pod": map[string]any{}}, "masquerade", mac(2)))
			udn := newVMI("alone", "Running", false, mac(3))
			udn.Object["status"] = map[string]any{"phase": "Running", "interfaces": []any{
				map[string]any{"name": "net0", "mac": "0a:58:0a:00:00:01"}, // OVN's
				map[string]any{"name": "net0", "mac": mac(4).String()},
				map[string]any{"name": "docker0", "mac": mac(5).String()}, // the guest's own affair
			}}
			w.create(udn)
			w.startJanitor()
			assert.Empty(w.t, w.holderOf(mac(1)))
			assert.Equal(w.t, "VirtualMachine default/vmc", w.holderOf(mac(2)))
			assert.Equal(w.t, alone, w.holderOf(mac(3)))
			assert.Equal(w.t, alone, w.holderOf(mac(4)))
			assert.Empty(w.t, w.holderOf(mac(5)))
			assert.Empty(w.t, w.holderOf(macpool.MAC{0x0a, 0x58, 0x0a, 0, 0, 1}))
		},
		"pods on a network that takes no address do not count": func(w *world) {
			w.alter = func(j *Janitor) { j.TakesMAC = func(n nad.Ref) bool { return n.Name != "l2" } }
			w.optIn()
			w.create(newPod("poda", "Running", mac(1)))
			w.startJanitor()
			assert.Empty(w.t, w.holderOf(mac(1)))
			w.remove(podKind(), "poda")
		},
		"what has ended has no address": func(w *world) {
			w.optIn()
			w.create(newPod("poda", "Succeeded", mac(1)))
			w.create(newPod("podb", "Failed", mac(2)))
			w.create(newVMI("alone", "Succeeded", false, mac(3)))
			w.create(newVMI("other", "Failed", false, mac(4)))
			w.startJanitor()
			for n := range byte(4) {
				assert.Empty(w.t, w.holderOf(mac(n+1)))
			}
		},
		"the import waits for the API server, and says nothing before it is complete": func(w *world) {
			w.create(newVM("vma", mac(1)))
			w.start("r1")
			w.fail(func(r *http.Request) error {
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/macblocks") {
					return errors.New("connection refused")
				}
				return nil
			})
			w.startJanitor()
			w.pass(time.Minute)
			assert.False(w.t, w.janitor.Imported())
			assert.Contains(w.t, w.logged(), "Importing the addresses of 1 objects goes on, retrying")
			assert.Contains(w.t, w.logged(), "connection refused")
			assert.Empty(w.t, w.pool().Status.ImportedBy)
			w.fail(nil)
			w.pass(5 * time.Second)
			assert.True(w.t, w.janitor.Imported())
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
		},
		"addresses that several VMs have are all imported, and nobody loses": func(w *world) {
			w.sharing[mac(1)] = true
			w.create(newVM("vma", mac(1)))
			w.create(newVM("vmb", mac(1)))
			w.startJanitor()
			assert.Equal(w.t, vma+", VirtualMachine default/vmb", w.holderOf(mac(1)))
		},
		"a second janitor finds everything in place": func(w *world) {
			w.create(newVM("vma", mac(1)))
			w.startJanitor()
			w.stop()
			version := w.blocks()[0].Version
			w.startJanitor()
			assert.Equal(w.t, version, w.blocks()[0].Version, "nothing was written")
		},
	} {
		t.Run(name, func(t *testing.T) { tell(t, story) })
	}
}

func TestKubeVirtIsLookedForUntilItIsThere(t *testing.T) {
	tellWithout(t, func(w *world) {
		w.startJanitor()
		assert.True(w.t, w.janitor.Imported(), "there is no VM to import")
		w.api.Serve(vmKind(), vmiKind())
		w.client = w.newClient()
		w.create(newVM("vma", mac(1)))
		w.pass(2 * kubevirtPoll)
		assert.Equal(w.t, vma, w.holderOf(mac(1)))
		w.pass(sweepInterval)
		w.create(newVM("vmb", mac(2)))
		w.pass(2 * debounce)
		assert.NotEmpty(w.t, w.holderOf(mac(2)), "from then on it is seen at once")
		w.remove(vmKind(), "vma")
		w.pass(grown)
		assert.Empty(w.t, w.holderOf(mac(1)))
	})
}

func TestFreeingStories(t *testing.T) {
	for name, story := range map[string]func(w *world){
		"an address is free when its VM is gone": func(w *world) {
			w.create(newVM("vma", mac(1)))
			w.startJanitor()
			w.pass(ledger.MaxAdmission + sweepInterval)
			w.remove(vmKind(), "vma")
			w.pass(2 * debounce)
			assert.Empty(w.t, w.holderOf(mac(1)))
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
			w.namespace("default", nil)
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
		t.Run(name, func(t *testing.T) { tell(t, story) })
	}
}

func TestReplicaStories(t *testing.T) {
	for name, story := range map[string]func(w *world){
		"what a replica had reserved is free when it is dead": func(w *world) {
			w.startJanitor()
			w.start("r2")
			w.admitted("r2", "vma")
			w.pass(time.Second)
			name, _ := w.replicas["r2"].lease.Replica()
			require.NotEmpty(w.t, w.reservedBy(name))
			w.replicas["r2"].kill()
			w.pass(cluster.LeaseDuration + ledger.MaxAdmission - sweepInterval)
			assert.NotEmpty(w.t, w.reservedBy(name), "an answer of it may be on its way")
			w.pass(4 * sweepInterval)
			assert.Empty(w.t, w.reservedBy(name))
			assert.True(w.t, client.IgnoreNotFound(w.client.Get(w.ctx, w.leaseKey(name), &coordinationv1.Lease{})) == nil)
		},
		"what a replica gave away and did not record belongs to those who have it": func(w *world) {
			w.startJanitor()
			w.start("r2")
			w.admitted("r2", "first")
			w.pass(time.Second)
			m, err := w.assign("r2", vmNamed("vma"), macpool.MAC{})
			require.NoError(w.t, err)
			w.replicas["r2"].kill()
			w.create(newVM("vma", m))
			w.pass(dead + sweepInterval)
			assert.Equal(w.t, vma, w.holderOf(m))
		},
		"the watch is behind when a replica dies: the VM is looked at": func(w *world) {
			w.startJanitor()
			w.start("r2")
			w.admitted("r2", "first")
			w.pass(time.Second)
			w.api.Stall(vmKind(), true)
			m, err := w.assign("r2", vmNamed("vma"), macpool.MAC{})
			require.NoError(w.t, err)
			w.replicas["r2"].kill()
			w.create(newVM("vma", m))
			w.pass(dead + sweepInterval)
			assert.Equal(w.t, vma, w.holderOf(m))
			w.api.Stall(vmKind(), false)
		},
		"nothing of a dead replica is settled while VMs cannot be listed": func(w *world) {
			w.startJanitor()
			w.start("r2")
			w.admitted("r2", "vma")
			w.pass(time.Second)
			name, _ := w.replicas["r2"].lease.Replica()
			w.replicas["r2"].kill()
			w.fail(func(r *http.Request) error {
				if strings.HasSuffix(r.URL.Path, "/virtualmachines") {
					return errors.New("connection refused")
				}
				return nil
			})
			w.pass(dead + sweepInterval)
			assert.NotEmpty(w.t, w.reservedBy(name))
			w.fail(nil)
			w.pass(2 * sweepInterval)
			assert.Empty(w.t, w.reservedBy(name))
		},
		"a replica that was cut off and comes back goes by another name": func(w *world) {
			w.startJanitor()
			r := w.start("r2")
			w.admitted("r2", "first")
			w.pass(time.Second)
			before, _ := r.lease.Replica()
			r.lost.Store(true)
			w.pass(cluster.LeaseDuration)
			_, err := w.assign("r2", vmNamed("vma"), macpool.MAC{})
			require.ErrorIs(w.t, err, macpool.ErrNotReady)
			w.pass(dead)
			r.lost.Store(false)
			w.pass(cluster.LeaseDuration)
			w.admitted("r2", "vma")
			after, ok := r.lease.Replica()
			assert.True(w.t, ok)
			assert.NotEqual(w.t, before, after)
			w.pass(sweepInterval)
			assert.Empty(w.t, w.reservedBy(before))
		},
		"a Lease without renewTime is one that is never renewed": func(w *world) {
			w.startJanitor()
			w.start("r2")
			w.admitted("r2", "vma")
			w.pass(time.Second)
			name, _ := w.replicas["r2"].lease.Replica()
			w.replicas["r2"].kill()
			var lease coordinationv1.Lease
			require.NoError(w.t, w.client.Get(w.ctx, w.leaseKey(name), &lease))
			lease.Spec = coordinationv1.LeaseSpec{}
			require.NoError(w.t, w.client.Update(w.ctx, &lease))
			w.pass(dead + sweepInterval)
			assert.Empty(w.t, w.reservedBy(name))
		},
		"a Lease that was deleted by hand is missed for as long as one that is not renewed": func(w *world) {
			w.startJanitor()
			r := w.start("r2")
			w.admitted("r2", "vma")
			w.pass(time.Second)
			name, _ := r.lease.Replica()
			r.kill()
			require.NoError(w.t, w.client.Delete(w.ctx, &coordinationv1.Lease{ObjectMeta: w.leaseMeta(name)}))
			w.pass(cluster.LeaseDuration + ledger.MaxAdmission - sweepInterval)
			assert.NotEmpty(w.t, w.reservedBy(name))
			w.pass(4 * sweepInterval)
			assert.Empty(w.t, w.reservedBy(name))
		},
		"a replica that lives keeps what it has reserved": func(w *world) {
			w.startJanitor()
			w.start("r2")
			w.admitted("r2", "vma")
			w.pass(10 * time.Minute)
			name, ok := w.replicas["r2"].lease.Replica()
			assert.True(w.t, ok)
			assert.NotEmpty(w.t, w.reservedBy(name))
		},
	} {
		t.Run(name, func(t *testing.T) { tell(t, story) })
	}
}

func TestReportStories(t *testing.T) {
	for name, story := range map[string]func(w *world){
		"a pool is told how many of its addresses are used": func(w *world) {
			w.startJanitor()
			w.admitted("r1", "vma")
			w.pass(2 * reportInterval)
			status := w.pool().Status
			assert.EqualValues(w.t, 1<<16-1, status.Total, "but for the one that masquerade has")
			assert.EqualValues(w.t, 1, status.Used)
			assert.Positive(w.t, status.Reserved)
			assert.Equal(w.t, status.Total, status.Used+status.Reserved+status.Free)
		},
		"a pool that was deleted comes back": func(w *world) {
			w.startJanitor()
			require.NoError(w.t, w.client.Delete(w.ctx, w.pool()))
			w.pass(2 * reportInterval)
			assert.NotEmpty(w.t, w.pool().Spec.Ranges)
		},
		"a pool that makes no sense is told so": func(w *world) {
			w.startJanitor()
			pool := w.pool()
			pool.Spec.Ranges[0].Start = "03:00:00:00:00:00"
			require.NoError(w.t, w.client.Update(w.ctx, pool))
			w.pass(2 * reportInterval)
			condition := meta.FindStatusCondition(w.pool().Status.Conditions, v1alpha1.ConditionValid)
			assert.Equal(w.t, "Invalid", condition.Reason)
			assert.Contains(w.t, condition.Message, "spec.ranges[0]")
		},
		"rows that cannot be read are left out, logged, counted, told and taken in again": func(w *world) {
			w.create(newVM("vma", mac(1), mac(2)))
			w.startJanitor()
			block := w.block(mac(1).Prefix())
			w.spoil(block)
			w.pass(2 * reportInterval)
			condition := meta.FindStatusCondition(w.pool().Status.Conditions, v1alpha1.ConditionReadable)
			require.NotNil(w.t, condition)
			assert.Equal(w.t, "RowsLeftOut", condition.Reason)
			assert.Contains(w.t, condition.Message, block.Name)
			assert.Equal(w.t, []string{block.Name}, w.replicas["r1"].feed.Unreadable())
			assert.Contains(w.t, w.logged(), "Rows of a MACBlock cannot be read")
			w.pass(2 * sweepInterval)
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
			w.pass(2 * reportInterval)
			assert.True(w.t, meta.IsStatusConditionTrue(w.pool().Status.Conditions, v1alpha1.ConditionReadable))
		},
		"rows that cannot be read do not keep a replica from starting": func(w *world) {
			w.create(newVM("vma", mac(1), mac(2)))
			w.startJanitor()
			w.stop()
			w.replicas["r1"].kill()
			delete(w.replicas, "r1")
			w.spoil(w.block(mac(1).Prefix()))
			w.startJanitor()
			assert.True(w.t, w.janitor.Imported())
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
		},
		"a block that nobody needs is deleted": func(w *world) {
			w.create(newVM("vma", mac(1)))
			w.startJanitor()
			w.pass(grown)
			w.remove(vmKind(), "vma")
			w.pass(4 * sweepInterval)
			assert.Empty(w.t, w.blocks())
		},
		"VMs that passed admission with one address are told, once each": func(w *world) {
			m := macpool.MAC{2, 0, 0, 0, 0, 9}
			w.sharing[m] = true
			w.create(newVM("vma", m))
			w.create(newVM("vmb", m))
			w.startJanitor()
			w.pass(5 * sweepInterval)
			assert.Len(w.t, w.janitor.Collisions(), 1)
			condition := meta.FindStatusCondition(w.pool().Status.Conditions, v1alpha1.ConditionCollided)
			assert.Equal(w.t, v1alpha1.ReasonMACCollision, condition.Reason)
			assert.Len(w.t, w.events.Events, 2)
			assert.Contains(w.t, <-w.events.Events, m.String()+" is held by VirtualMachine default/vm")
			w.remove(vmKind(), "vmb")
			w.pass(grown)
			assert.Empty(w.t, w.janitor.Collisions())
			w.sharing[m] = false
		},
		"a receiver shares with its source until both run and nothing migrates": func(w *world) {
			w.sharing[mac(1)] = true
			receiver := newVM("receiver", mac(1))
			receiver.Object["spec"].(map[string]any)["runStrategy"] = "WaitAsReceiver"
			w.create(newVM("vma", mac(1)))
			w.create(newVMI("vma", "Running", true, mac(1)))
			w.create(receiver)
			w.create(newVMI("receiver", "WaitingForSync", true, mac(1)))
			w.startJanitor()
			w.pass(4 * sweepInterval)
			assert.Empty(w.t, w.janitor.Collisions())
			migrating := newVMI("receiver", "Running", true, mac(1))
			migrating.Object["status"].(map[string]any)["migrationState"] = map[string]any{"completed": false}
			w.put(migrating)
			w.pass(4 * sweepInterval)
			assert.Empty(w.t, w.janitor.Collisions(), "the migration is under way")
			w.put(newVMI("receiver", "Running", true, mac(1)))
			w.pass(4 * sweepInterval)
			assert.Len(w.t, w.janitor.Collisions(), 1, "both are at work")
			w.put(newVMI("vma", "Succeeded", true, mac(1)))
			w.pass(4 * sweepInterval)
			assert.Empty(w.t, w.janitor.Collisions())
		},
		"a panic over one object is an error, and the others are seen to": func(w *world) {
			w.alter = func(j *Janitor) { j.VMs = &panicking{Cache: j.VMs, name: "odd"} }
			w.create(newVM("vma", mac(1)))
			w.startJanitor()
			w.create(newVM("odd", mac(2)))
			w.create(newVM("vmb", mac(3)))
			w.pass(2 * debounce)
			assert.Equal(w.t, "VirtualMachine default/vmb", w.holderOf(mac(3)))
			assert.Contains(w.t, w.logged(), "panic: odd")
			w.remove(vmKind(), "odd")
		},
		"a panic in the import is an error that is retried": func(w *world) {
			w.alter = func(j *Janitor) { j.VMs = &panicking{Cache: j.VMs, name: "odd"} }
			w.create(newVM("odd", mac(2)))
			w.startJanitor()
			w.pass(2 * sayInterval)
			assert.False(w.t, w.janitor.Imported())
			assert.Contains(w.t, w.logged(), "panic: odd")
			w.alter = nil
			w.stop()
		},
		"a panic in a sweep is an error, and the next one is done": func(w *world) {
			w.sharing[mac(1)] = true
			w.alter = func(j *Janitor) { j.Events = panickingEvents{} }
			w.create(newVM("vma", mac(1)))
			w.create(newVM("vmb", mac(1)))
			w.startJanitor()
			w.pass(3 * sweepInterval)
			assert.GreaterOrEqual(w.t, strings.Count(w.logged(), "panic: told"), 2)
		},
	} {
		t.Run(name, func(t *testing.T) { tell(t, story) })
	}
}
