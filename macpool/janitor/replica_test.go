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
		"the Lease of a dead replica goes where nothing was reserved, too": func(w *world) {
			w.startJanitor()
			w.start("r2")
			name, _ := w.replicas["r2"].lease.Replica()
			w.replicas["r2"].kill()
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
