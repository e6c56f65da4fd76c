// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestLeaseStories(t *testing.T) {
	for name, story := range map[string]func(w *world){
		"a replica that renews keeps its name": func(w *world) {
			l, stop := w.lease()
			defer stop()
			before, ok := l.Replica()
			require.True(w.t, ok)
			require.Len(w.t, w.leases(), 1)
			renewed := w.leases()[0].Spec.RenewTime
			w.pass(10 * LeaseDuration)
			after, ok := l.Replica()
			assert.True(w.t, ok)
			assert.Equal(w.t, before, after)
			assert.NotEqual(w.t, renewed, w.leases()[0].Spec.RenewTime)
		},
		"a replica whose Lease went back ends, however far the store has counted by then": func(w *world) {
			l, ended := w.unguarded()
			w.pass(LeaseDuration)
			restore := w.api.Backup()
			w.pass(LeaseDuration)
			restore()
			for n := range 100 {
				w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("later-", n)}})
			}
			w.pass(LeaseDuration)
			w.requireRewound(l, ended)
		},
		"a replica whose Lease is younger than the backup ends when it writes another": func(w *world) {
			restore := w.api.Backup()
			l, ended := w.unguarded()
			w.pass(2 * LeaseDuration)
			restore()
			w.pass(LeaseDuration)
			w.requireRewound(l, ended)
		},
		"a renewal that failed is tried again before the next would be due": func(w *world) {
			l, stop := w.lease()
			defer stop()
			w.lost.Store(true)
			w.pass(LeaseDuration)
			_, ok := l.Replica()
			require.False(w.t, ok)
			w.lost.Store(false)
			w.pass(retryInterval)
			_, ok = l.Replica()
			assert.True(w.t, ok)
		},
		"a replica whose Lease somebody changed goes on with it": func(w *world) {
			l, stop := w.lease()
			defer stop()
			before, _ := l.Replica()
			changed := w.leases()[0]
			changed.Annotations["note"] = "by hand"
			require.NoError(w.t, w.client.Update(w.ctx, &changed))
			w.pass(2 * LeaseDuration)
			after, ok := l.Replica()
			assert.True(w.t, ok)
			assert.Equal(w.t, before, after)
			assert.Equal(w.t, "by hand", w.leases()[0].Annotations["note"])
		},
		"what says that a Lease is a replica's, and how that reads blocks, comes back": func(w *world) {
			l, stop := w.lease()
			defer stop()
			changed := w.leases()[0]
			changed.Labels, changed.Annotations = nil, nil
			require.NoError(w.t, w.client.Update(w.ctx, &changed))
			w.pass(LeaseDuration / renewalsPerLease)
			require.Len(w.t, w.leases(), 1)
			assert.Equal(w.t, readsRows, w.leases()[0].Annotations[readsAnnotation])
			name, ok := l.Replica()
			assert.True(w.t, ok)
			assert.Equal(w.t, w.leases()[0].Name, name)
		},
		"a replica is asked while all are without a Lease for a while, and not for longer": func(w *world) {
			w.lost.Store(true)
			l, stop := w.lease()
			defer stop()
			require.ErrorContains(w.t, l.Check(), "not written yet")
			w.lost.Store(false)
			w.pass(retryInterval)
			require.NoError(w.t, l.Check())
			w.lost.Store(true)
			w.pass(patience - LeaseDuration/renewalsPerLease)
			_, ok := l.Replica()
			assert.False(w.t, ok, "it lends nothing")
			assert.NoError(w.t, l.Check())
			w.pass(LeaseDuration)
			require.ErrorContains(w.t, l.Check(), "not renewed")
			w.lost.Store(false)
			w.pass(retryInterval)
			assert.NoError(w.t, l.Check())
		},
		"a replica that has no Lease yet lends nothing": func(w *world) {
			w.lost.Store(true)
			l, stop := w.lease()
			defer stop()
			_, ok := l.Replica()
			assert.False(w.t, ok)
			w.lost.Store(false)
			w.pass(LeaseDuration)
			_, ok = l.Replica()
			assert.True(w.t, ok)
		},
		"the right ends when the Lease was not renewed, not a moment later, and is another's after": func(w *world) {
			l, stop := w.lease()
			defer stop()
			before, _ := l.Replica()
			w.lost.Store(true)
			w.pass(LeaseDuration - time.Millisecond)
			_, ok := l.Replica()
			assert.True(w.t, ok)
			w.pass(time.Millisecond)
			_, ok = l.Replica()
			assert.False(w.t, ok)
			w.lost.Store(false)
			w.pass(LeaseDuration)
			after, ok := l.Replica()
			assert.True(w.t, ok)
			assert.NotEqual(w.t, before, after, "what it had reserved may be another's by now")
		},
		"the right counts from before the write, which may take its time": func(w *world) {
			l, stop := w.lease()
			begun := time.Now()
			w.pass(LeaseDuration / renewalsPerLease)
			stop()
			w.pass(LeaseDuration - time.Since(begun) + LeaseDuration/renewalsPerLease)
			_, ok := l.Replica()
			assert.False(w.t, ok)
		},
		"a replica whose Lease was deleted goes on under another name": func(w *world) {
			l, stop := w.lease()
			defer stop()
			before, _ := l.Replica()
			require.NoError(w.t, w.client.Delete(w.ctx, &w.leases()[0]))
			w.pass(LeaseDuration / renewalsPerLease)
			_, ok := l.Replica()
			assert.False(w.t, ok, "somebody took it for dead")
			w.pass(retryInterval)
			after, ok := l.Replica()
			assert.True(w.t, ok)
			assert.NotEqual(w.t, before, after)
		},
		"a Lease that is ended is gone, and so is the right": func(w *world) {
			l, stop := w.lease()
			stop()
			require.NoError(w.t, l.End(w.ctx))
			require.NoError(w.t, l.End(w.ctx), "once more does no harm")
			_, ok := l.Replica()
			assert.False(w.t, ok)
			assert.Empty(w.t, w.leases())
		},
	} {
		t.Run(name, func(t *testing.T) { tell(t, story) })
	}
}
