// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"slices"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
)

// holders returns who hold what, as the API server has it.
func (w *world) holders() map[macpool.MAC][]macpool.Object {
	held := map[macpool.MAC][]macpool.Object{}
	for _, b := range w.blocks() {
		for m, h := range b.Holds() {
			held[m] = append(held[m], h.Object)
		}
	}
	return held
}

// holderOf returns who hold an address, as text.
func (w *world) holderOf(m macpool.MAC) string {
	var names []string
	for _, o := range w.holders()[m] {
		names = append(names, o.String())
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (w *world) blocks() []*macpool.Block {
	var list v1alpha1.MACBlockList
	require.NoError(w.t, w.client.List(w.ctx, &list))
	var blocks []*macpool.Block
	for i := range list.Items {
		b, err := cluster.DecodeBlock(&list.Items[i])
		require.NoError(w.t, err)
		blocks = append(blocks, b)
	}
	return blocks
}

// check fails unless every address in use has its holder, no other has one, none has two, and nothing is reserved by a
// replica that is not there. Of pods only those that have not ended in namespaces that opted in are in use, and of
// instances those that have not ended.
func (w *world) check() {
	w.t.Helper()
	all, err := Objects{Reader: w.client}.all(w.ctx)
	require.NoError(w.t, err)
	held := w.holders()
	for m, objects := range held {
		assert.True(w.t, len(objects) == 1 || w.sharing[m], "%s has several holders: %v", m, objects)
		for _, o := range objects {
			there := slices.ContainsFunc(all.has[m], func(h macpool.Holder) bool { return h.Object == o })
			assert.True(w.t, there || all.unseen[o.Kind], "%s leaks: %s does not have it", m, o)
		}
	}
	for m, holders := range all.has {
		for _, h := range holders {
			if h.Kind == macpool.KindPod && !w.optedIn(h.Namespace) {
				continue
			}
			assert.Contains(w.t, held[m], h.Object, "%s was freed, and is in use", m)
		}
	}
	w.checkReservations()
}

func (w *world) checkReservations() {
	w.t.Helper()
	alive := map[string]bool{}
	var leases coordinationv1.LeaseList
	require.NoError(w.t, w.client.List(w.ctx, &leases, client.HasLabels{cluster.ReplicaLabel}))
	for _, l := range leases.Items {
		alive[l.Name] = true
	}
	for _, b := range w.blocks() {
		held, reserved := b.Counts()
		assert.Positive(w.t, held+reserved, "block %s is empty and still there", b.Prefix)
		for m, e := range b.Entries() {
			replica := e.Reservation.Replica
			assert.True(w.t, replica == "" || alive[replica], "%s is reserved by a replica that is dead", m)
		}
	}
}

func (w *world) optedIn(namespace string) bool {
	var n corev1.Namespace
	if w.client.Get(w.ctx, client.ObjectKey{Name: namespace}, &n) != nil {
		return false
	}
	return w.podNamespaces.Matches(labels.Set(n.Labels))
}

// pool returns pool default as it is now.
func (w *world) pool() *v1alpha1.MACPool {
	w.t.Helper()
	var p v1alpha1.MACPool
	require.NoError(w.t, w.client.Get(w.ctx, client.ObjectKey{Name: v1alpha1.DefaultPool}, &p))
	return &p
}

// serving returns what a pool is told of the namespaces that it serves.
func (w *world) serving(pool string) metav1.Condition {
	w.t.Helper()
	var p v1alpha1.MACPool
	require.NoError(w.t, w.client.Get(w.ctx, client.ObjectKey{Name: pool}, &p))
	condition := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionServing)
	require.NotNil(w.t, condition)
	return *condition
}

// reservedBy returns the addresses that a replica has reserved.
func (w *world) reservedBy(name string) []macpool.MAC {
	var found []macpool.MAC
	for _, b := range w.blocks() {
		for m, e := range b.Entries() {
			if e.Reservation.Replica == name {
				found = append(found, m)
			}
		}
	}
	return found
}

func (w *world) leaseKey(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: system, Name: name}
}

func (w *world) leaseMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: system, Name: name}
}

// block returns a block as the API server has it.
func (w *world) block(p macpool.Prefix) *v1alpha1.MACBlock {
	w.t.Helper()
	var b v1alpha1.MACBlock
	require.NoError(w.t, w.client.Get(w.ctx, client.ObjectKey{Name: p.String()}, &b))
	return &b
}

// spoil makes the first row of a block one that cannot be read.
func (w *world) spoil(b *v1alpha1.MACBlock) {
	w.t.Helper()
	b.Rows[0] = "?"
	require.NoError(w.t, w.client.Update(w.ctx, b))
}
