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
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

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
			err := w.client.Get(w.ctx, w.leaseKey(name), &coordinationv1.Lease{})
			assert.True(w.t, apierrors.IsNotFound(err), "its Lease goes too: %v", err)
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
		"nothing of a dead replica is settled while VMs are not served": func(w *world) {
			w.startJanitor()
			w.start("r2")
			w.admitted("r2", "first")
			w.pass(time.Second)
			m, err := w.assign("r2", vmNamed("vma"), macpool.MAC{})
			require.NoError(w.t, err)
			name, _ := w.replicas["r2"].lease.Replica()
			w.replicas["r2"].kill()
			w.create(newVM("vma", m))
			w.api.Unserve(vmKind())
			w.api.Unserve(vmiKind())
			w.pass(dead + sweepInterval)
			assert.NotEmpty(w.t, w.reservedBy(name))
			w.api.Serve(vmKind(), vmiKind())
			w.pass(3 * sweepInterval)
			assert.Equal(w.t, vma, w.holderOf(m))
			assert.Empty(w.t, w.reservedBy(name))
		},
		"a dead replica is settled beside a block that cannot be written": func(w *world) {
			w.startJanitor()
			w.start("r2")
			o := macpool.Object{Kind: macpool.KindVM, Namespace: "default", GenerateName: "came-to-nothing", Claim: "c"}
			m, err := w.assign("r1", o, macpool.MAC{})
			require.NoError(w.t, err)
			w.pass(time.Second) // so that the other replica knows the block, and begins one of its own
			w.admitted("r2", "vma")
			w.pass(sweepInterval) // it is recorded
			w.refuseWrites(m.Prefix())
			w.pass(grown)
			name, _ := w.replicas["r2"].lease.Replica()
			w.replicas["r2"].kill()
			w.pass(dead + sweepInterval)
			require.NotEmpty(w.t, w.holderOf(m), "nobody could free it")
			assert.Empty(w.t, w.reservedBy(name))
			w.fail(nil)
			w.pass(2 * sweepInterval)
			assert.Empty(w.t, w.holderOf(m))
		},
		"what a dead replica had is settled in the sweep in which another block, or another dead replica, could not be": func(w *world) {
			w.startJanitor()
			w.start("r2")
			w.start("r3")
			w.admitted("r3", "vmc")
			w.pass(time.Second)
			names := map[string]string{}
			for _, r := range []string{"r2", "r3"} {
				names[r], _ = w.replicas[r].lease.Replica()
			}
			spoiled, good := mac(0).Prefix(), macpool.MAC{0x52, 0x54, 0, 0, 1}.Prefix()
			for _, p := range []macpool.Prefix{spoiled, good} {
				require.NoError(w.t, w.replicas["r1"].ledger.Edit(w.ctx, p, func(b *macpool.Block) {
					for i := range byte(8) {
						b.Set(p.Address(i), macpool.Entry{
							Reservation: macpool.Reservation{Replica: names["r2"], Since: time.Now()},
						})
					}
				}))
			}
			w.refuseWrites(spoiled)
			w.replicas["r2"].kill()
			w.replicas["r3"].kill()
			w.pass(dead + sweepInterval)
			assert.Len(w.t, w.reservedBy(names["r2"]), 8, "those of the block that cannot be written")
			assert.Empty(w.t, w.reservedBy(names["r3"]))
			gone := func(replica string) bool {
				err := w.client.Get(w.ctx, w.leaseKey(names[replica]), &coordinationv1.Lease{})
				return apierrors.IsNotFound(err)
			}
			assert.False(w.t, gone("r2"))
			assert.True(w.t, gone("r3"))
			w.fail(nil)
			w.pass(2 * sweepInterval)
			assert.Empty(w.t, w.reservedBy(names["r2"]))
			assert.True(w.t, gone("r2"))
		},
		"a replica whose Lease lost its label by hand lives on": func(w *world) {
			w.startJanitor()
			r := w.start("r2")
			w.admitted("r2", "vma")
			w.pass(time.Second)
			name, _ := r.lease.Replica()
			unmark := func() {
				var lease coordinationv1.Lease
				require.NoError(w.t, w.client.Get(w.ctx, w.leaseKey(name), &lease))
				lease.Labels = nil
				require.NoError(w.t, w.client.Update(w.ctx, &lease))
			}
			for range 12 * sweepInterval / time.Second {
				unmark()
				w.pass(time.Second)
			}
			assert.NotEmpty(w.t, w.reservedBy(name), "its window is its own")
			w.admitted("r2", "vmb")
		},
		"the Lease of a dead replica goes where nothing was reserved, too": func(w *world) {
			w.startJanitor()
			w.start("r2")
			name, _ := w.replicas["r2"].lease.Replica()
			w.replicas["r2"].kill()
			w.pass(dead)
			err := w.client.Get(w.ctx, w.leaseKey(name), &coordinationv1.Lease{})
			assert.True(w.t, apierrors.IsNotFound(err), "%v", err)
		},
		"nothing is listed for a dead replica that had reserved nothing": func(w *world) {
			w.startJanitor()
			w.start("r2")
			name, _ := w.replicas["r2"].lease.Replica()
			w.replicas["r2"].kill()
			w.fail(func(r *http.Request) error {
				if r.URL.Query().Has("limit") && strings.Contains(r.URL.Path, "/kubevirt.io/") {
					return errors.New("a list of everything")
				}
				return nil
			})
			w.pass(dead)
			err := w.client.Get(w.ctx, w.leaseKey(name), &coordinationv1.Lease{})
			assert.True(w.t, apierrors.IsNotFound(err), "%v", err)
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
		"who has what a dead replica had reserved is found in a cluster of more than one page": func(w *world) {
			w.startJanitor()
			r2 := w.start("r2")
			w.api.Stall(vmKind(), true)
			for i := range 2 * pageSize {
				w.create(newVM(fmt.Sprint("aa", i)))
			}
			m := w.admitted("r2", "vmz")
			r2.kill()
			w.pass(dead)
			w.api.Stall(vmKind(), false)
			assert.Equal(w.t, "VirtualMachine default/vmz", w.holderOf(m))
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
		told(t, name, story)
	}
}
