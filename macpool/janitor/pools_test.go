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
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/nad"
)

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
		"what a pool does not lend, as nodes have it, is not told as free": func(w *world) {
			w.alter = func(j *Janitor) { j.Foreign = w.replicas["r1"].pools.Foreign }
			w.startJanitor()
			pool := w.pool()
			pool.Spec.Ranges = []v1alpha1.MACRange{{Start: "02:00:00:00:01:00", End: "02:00:00:00:01:02"}}
			require.NoError(w.t, w.client.Update(w.ctx, pool))
			w.replicas["r1"].pools.SetForeign([]macpool.MAC{{2, 0, 0, 0, 1, 1}})
			w.pass(2 * reportInterval)
			for _, name := range []string{"vma", "vmb"} {
				w.admitted("r1", name)
			}
			_, refused := w.assign("r1", vmNamed("vmc"), macpool.MAC{})
			w.pass(2 * reportInterval)
			assert.ErrorContains(w.t, refused, "2 of its 2 addresses are used")
			status := w.pool().Status
			assert.Equal(w.t, []int64{2, 2, 0}, []int64{status.Total, status.Used, status.Free})
		},
		"a pool that was deleted comes back": func(w *world) {
			w.startJanitor()
			require.NoError(w.t, w.client.Delete(w.ctx, w.pool()))
			w.pass(2 * reportInterval)
			assert.NotEmpty(w.t, w.pool().Spec.Ranges)
		},
		"a pool that cannot be told keeps no other from it, nor a replica from starting": func(w *world) {
			before := w.pool().DeepCopy()
			before.ObjectMeta = metav1.ObjectMeta{Name: "before"}
			require.NoError(w.t, w.client.Create(w.ctx, before))
			w.fail(func(r *http.Request) error {
				if strings.HasSuffix(r.URL.Path, "/macpools/before/status") {
					return errors.New("connection refused")
				}
				return nil
			})
			w.startJanitor()
			assert.True(w.t, w.janitor.Imported())
			assert.Positive(w.t, w.pool().Status.Total)
			w.fail(nil)
		},
		"a pool that makes no sense is told so": func(w *world) {
			w.startJanitor()
			w.pass(2 * reportInterval)
			require.Equal(w.t, v1alpha1.ConditionServing, w.serving(v1alpha1.DefaultPool).Type)
			pool := w.pool()
			pool.Spec.Ranges[0].Start = "03:00:00:00:00:00"
			require.NoError(w.t, w.client.Update(w.ctx, pool))
			w.pass(2 * reportInterval)
			condition := meta.FindStatusCondition(w.pool().Status.Conditions, v1alpha1.ConditionValid)
			assert.Equal(w.t, "Invalid", condition.Reason)
			assert.Contains(w.t, condition.Message, "spec.ranges[0]")
			assert.Nil(w.t, meta.FindStatusCondition(w.pool().Status.Conditions, v1alpha1.ConditionServing), "it lends nothing")
			assert.Empty(w.t, w.pool().Status.Range, "it has none")
		},
		"a pool of several ranges shows that there are more": func(w *world) {
			pool := w.pool()
			pool.Spec.Ranges = []v1alpha1.MACRange{
				{Start: "02:00:00:00:01:00", End: "02:00:00:00:01:0f"}, {Start: "02:00:00:00:02:00", End: "02:00:00:00:02:0f"},
				{Start: "06:00:00:00:01:00", End: "06:00:00:00:01:0f"},
			}
			require.NoError(w.t, w.client.Update(w.ctx, pool))
			w.startJanitor()
			w.pass(2 * reportInterval)
			assert.Equal(w.t, "02:00:00:00:01:00-02:00:00:00:01:0f and 2 more", w.pool().Status.Range)
		},
		"a pool that serves no namespace is told why": func(w *world) {
			second := w.pool().DeepCopy()
			second.ObjectMeta = metav1.ObjectMeta{Name: "second"}
			chosen := second.DeepCopy()
			chosen.Name, chosen.Spec.NamespaceSelector = "chosen", &v1alpha1.NamespaceSelector{
				MatchLabels: map[string]v1alpha1.LabelValue{"network": "lab"},
			}
			w.startJanitor()
			w.replicas["r1"].pools.SetNamespace("default", labels.Set{"kubernetes.io/metadata.name": "default"})
			require.NoError(w.t, w.client.Create(w.ctx, second))
			require.NoError(w.t, w.client.Create(w.ctx, chosen))
			w.pass(2 * reportInterval)
			assert.Equal(w.t, "Serving", w.serving("default").Reason)
			assert.Equal(w.t, "OtherPoolsServe", w.serving("second").Reason)
			assert.Equal(w.t, "NoNamespaceMatches", w.serving("chosen").Reason)
			w.replicas["r1"].pools.SetNamespace("lab", labels.Set{"network": "lab"})
			w.pass(2 * reportInterval)
			assert.Equal(w.t, metav1.ConditionTrue, w.serving("chosen").Status)
		},
		"rows that cannot be read are logged, counted, told and taken in again": func(w *world) {
			w.create(newVM("vma", mac(1), mac(2)))
			w.startJanitor()
			block := w.block(mac(1).Prefix())
			block.Rows[0] = mac(1).String() + " ?"
			require.NoError(w.t, w.client.Update(w.ctx, block))
			w.pass(2 * reportInterval)
			condition := meta.FindStatusCondition(w.pool().Status.Conditions, v1alpha1.ConditionReadable)
			require.NotNil(w.t, condition)
			assert.Equal(w.t, "RowsLeftOut", condition.Reason)
			assert.Contains(w.t, condition.Message, block.Name)
			assert.Equal(w.t, []string{block.Name}, w.replicas["r1"].feed.Unreadable())
			assert.Contains(w.t, w.logged(), "A MACBlock has rows that cannot be read")
			w.pass(2 * sweepInterval)
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
			w.pass(2 * reportInterval)
			assert.True(w.t, meta.IsStatusConditionTrue(w.pool().Status.Conditions, v1alpha1.ConditionReadable))
		},
		"a row whose address cannot be read any more takes that from nobody": func(w *world) {
			w.create(newVM("vma", mac(1), mac(2)))
			w.startJanitor()
			elsewhere := strings.Replace(w.block(mac(1).Prefix()).Rows[0], mac(1).String(), "52:54:00:00:07:01", 1)
			for _, row := range []string{"?", elsewhere} {
				block := w.block(mac(1).Prefix())
				block.Rows[0] = row
				require.NoError(w.t, w.client.Update(w.ctx, block))
				w.pass(time.Second)
				assert.Equal(w.t, vma, w.holderOf(mac(1)), "no sweep is needed")
				_, err := w.assign("r1", vmNamed("vmb"), mac(1))
				var taken *macpool.TakenError
				require.ErrorAs(w.t, err, &taken)
			}
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
		"a pod that says later that it is of a VM collides all the same": func(w *world) {
			w.sharing[mac(1)] = true
			w.optIn()
			w.create(newPod("poda", "Running", mac(1)))
			w.startJanitor()
			w.pass(grown)
			said := newPod("poda", "Running", mac(1))
			said.SetLabels(map[string]string{nad.LauncherLabel: nad.Launcher})
			w.put(said)
			w.create(newVM("vma", mac(1)))
			w.pass(4 * sweepInterval)
			assert.Len(w.t, w.janitor.Collisions(), 1)
			w.remove(podKind(), "poda")
			w.pass(grown)
			assert.Empty(w.t, w.janitor.Collisions())
			w.sharing[mac(1)] = false
		},
		"a creation that the pool tolerates, and that others reject, is no collision": func(w *world) {
			pool := w.pool()
			pool.Spec.Enforcement = v1alpha1.EnforcementWarn
			require.NoError(w.t, w.client.Update(w.ctx, pool))
			w.create(newVM("vma", mac(1)))
			w.startJanitor()
			w.sharing[mac(1)] = true
			for _, o := range []macpool.Object{
				vmNamed("rejected"), {Kind: macpool.KindVM, Namespace: "default", GenerateName: "gen-", Claim: "c"},
			} {
				_, err := w.assign("r1", o, mac(1))
				require.NoError(w.t, err)
			}
			for range grown / sweepInterval {
				w.pass(sweepInterval)
				assert.Empty(w.t, w.janitor.Collisions())
			}
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
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
		told(t, name, story)
	}
}
