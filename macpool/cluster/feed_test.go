// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

// feed returns what a ledger and its pools are kept up by, until the function it returns is called.
func (w *world) feed() (*Feed, func()) {
	w.t.Helper()
	ctx, stop := context.WithCancel(w.ctx)
	watched, err := cache.New(w.api.Config(), cache.Options{Scheme: w.scheme})
	require.NoError(w.t, err)
	store := KubeStore{Client: w.client, Format: &Format{Client: w.client}}
	store.Format.rows.Store(true)
	f := &Feed{
		Ledger: ledger.New(ctx, ledger.Options{Store: store, Clock: clock.RealClock{}}),
		Pools:  &Pools{}, Cache: watched, Log: logr.Discard(),
	}
	require.NoError(w.t, f.Register(ctx))
	assert.False(w.t, f.Synced())
	go func() { _ = watched.Start(ctx) }()
	w.pass(time.Second)
	require.True(w.t, f.Synced())
	return f, func() { stop(); synctest.Wait() }
}

func TestFeedStories(t *testing.T) {
	m := macpool.MAC{2, 0, 0, 0, 0, 1}
	other := macpool.MAC{2, 0, 0, 0, 0, 2}
	held := func(w *world) *v1alpha1.MACBlock {
		b := macpool.NewBlock(m.Prefix())
		require.NoError(w.t, b.Claim(macpool.Claim{MAC: m, Holder: holderOf("vma", "net"), Since: time.Unix(1, 0)}))
		return EncodeBlock(b)
	}
	pool := func(name string, labels map[string]v1alpha1.LabelValue) *v1alpha1.MACPool {
		o := defaultPool([]v1alpha1.MACRange{{Start: "02:00:00:00:00:00", End: "02:00:00:00:00:ff"}})
		o.Name = name
		if labels != nil {
			o.Spec.NamespaceSelector = &v1alpha1.NamespaceSelector{MatchLabels: labels}
		}
		return o
	}
	namespace := func(name string, labels map[string]string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	}
	for name, story := range map[string]func(w *world, f *Feed){
		"blocks come, change and go": func(w *world, f *Feed) {
			o := held(w)
			w.create(o)
			w.pass(time.Second)
			assert.Contains(w.t, f.Ledger.HoldsOf(holderOf("vma", "").Object), m)
			o.Rows[0] = strings.ReplaceAll(o.Rows[0], "vma", "vmb")
			require.NoError(w.t, w.client.Update(w.ctx, o))
			w.pass(time.Second)
			assert.Empty(w.t, f.Ledger.HoldsOf(holderOf("vma", "").Object))
			assert.Contains(w.t, f.Ledger.HoldsOf(holderOf("vmb", "").Object), m)
			o.Rows, o.Held = nil, 0
			require.NoError(w.t, w.client.Update(w.ctx, o))
			require.NoError(w.t, w.client.Delete(w.ctx, o))
			w.pass(time.Second)
			assert.Empty(w.t, f.Ledger.Blocks())
		},
		"a block that somebody deletes although it has holders is written again": func(w *world, f *Feed) {
			o := held(w)
			w.create(o)
			w.pass(time.Second)
			require.NoError(w.t, w.client.Delete(w.ctx, o))
			w.pass(time.Second)
			assert.Contains(w.t, f.Ledger.HoldsOf(holderOf("vma", "").Object), m)
			require.NoError(w.t, w.client.Get(w.ctx, client.ObjectKeyFromObject(o), o))
		},
		"a block that was deleted and made again while the watch was cut off has both states": func(w *world, f *Feed) {
			o := held(w)
			w.create(o)
			w.pass(time.Second)
			w.api.Stall(blockKind(), true)
			require.NoError(w.t, w.client.Delete(w.ctx, o))
			anew := held(w)
			anew.Rows[0] = strings.Replace(strings.ReplaceAll(anew.Rows[0], "vma", "vmb"), m.String(), other.String(), 1)
			w.create(anew)
			w.api.Unserve(blockKind()) // its watches end
			w.api.Serve(blockKind())
			w.api.Stall(blockKind(), false)
			w.pass(time.Minute)
			assert.Contains(w.t, f.Ledger.HoldsOf(holderOf("vma", "").Object), m)
			assert.Contains(w.t, f.Ledger.HoldsOf(holderOf("vmb", "").Object), other)
		},
		"of a block with rows that cannot be read the others count": func(w *world, f *Feed) {
			o := held(w)
			o.Rows = append(o.Rows, "?")
			w.create(o)
			w.pass(time.Second)
			assert.Contains(w.t, f.Ledger.HoldsOf(holderOf("vma", "").Object), m)
			assert.Equal(w.t, []string{o.Name}, f.Unreadable())
			o.Rows = o.Rows[:1]
			require.NoError(w.t, w.client.Update(w.ctx, o))
			w.pass(time.Second)
			assert.Empty(w.t, f.Unreadable())
		},
		"rows that somebody removes are written again": func(w *world, f *Feed) {
			o := held(w)
			w.create(o)
			w.pass(time.Second)
			rows := o.Rows
			o.Rows = nil
			require.NoError(w.t, w.client.Update(w.ctx, o))
			w.pass(time.Second)
			assert.Contains(w.t, f.Ledger.HoldsOf(holderOf("vma", "").Object), m)
			require.NoError(w.t, w.client.Get(w.ctx, client.ObjectKeyFromObject(o), o))
			assert.Equal(w.t, rows, o.Rows)
			assert.Empty(w.t, f.Unreadable())
		},
		"a block whose rows somebody removed before is written like any other": func(w *world, f *Feed) {
			o := held(w)
			o.Rows = nil
			w.create(o)
			w.pass(time.Second)
			assert.Equal(w.t, []string{o.Name}, f.Unreadable())
			ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
			defer cancel()
			require.NoError(w.t, f.Ledger.Edit(ctx, m.Prefix(), func(b *macpool.Block) {
				b.Adopt(m, holderOf("vmb", "net"), time.Unix(1, 0))
			}))
			w.pass(time.Second)
			assert.Contains(w.t, f.Ledger.HoldsOf(holderOf("vmb", "").Object), m)
			assert.Empty(w.t, f.Unreadable())
		},
		"rows that the API server hides are not taken for removed": func(w *world, f *Feed) {
			o := held(w)
			w.create(o)
			w.pass(time.Second)
			w.formerSchema()
			o.Rows, o.Addresses.Structures, o.Reserved = nil, nil, 1
			f.blockChanged(o)
			w.pass(time.Minute)
			assert.Contains(w.t, f.Ledger.HoldsOf(holderOf("vma", "").Object), m)
			w.api.Hide(blockKind(), "")
			require.NoError(w.t, w.client.Get(w.ctx, client.ObjectKeyFromObject(o), o))
			assert.Len(w.t, o.Rows, 1, "it was not written")
		},
		"a row that somebody removes by hand is written again": func(w *world, f *Feed) {
			o := held(w)
			o.Rows = append(o.Rows, strings.Replace(strings.ReplaceAll(o.Rows[0], "vma", "vmb"), m.String(), other.String(), 1))
			o.Held++
			w.create(o)
			w.pass(time.Second)
			o.Rows = o.Rows[1:]
			require.NoError(w.t, w.client.Update(w.ctx, o))
			w.pass(time.Second)
			assert.Contains(w.t, f.Ledger.HoldsOf(holderOf("vma", "").Object), m)
			require.NoError(w.t, w.client.Get(w.ctx, client.ObjectKeyFromObject(o), o))
			assert.Len(w.t, o.Rows, 2)
		},
		"a block of a name that is no prefix is left out, and forgotten": func(w *world, f *Feed) {
			o := held(w)
			o.Name = "x"
			w.create(o)
			w.pass(time.Second)
			assert.Empty(w.t, f.Ledger.Blocks())
			assert.Equal(w.t, []string{"x"}, f.Unreadable())
			require.NoError(w.t, w.client.Delete(w.ctx, o))
			w.pass(time.Second)
			assert.Empty(w.t, f.Unreadable())
		},
		"a namespace has the pool that its labels choose, and another when they change": func(w *world, f *Feed) {
			w.create(pool("general", nil))
			w.create(pool("special", map[string]v1alpha1.LabelValue{"team": "a"}))
			ours := namespace("ours", map[string]string{"team": "a"})
			w.create(ours)
			w.create(namespace("plain", nil))
			w.pass(time.Second)
			assert.Equal(w.t, "special", poolFor(w.t, f.Pools, "ours"))
			assert.Equal(w.t, "general", poolFor(w.t, f.Pools, "plain"))
			ours.Labels = nil
			require.NoError(w.t, w.client.Update(w.ctx, ours))
			w.pass(time.Second)
			assert.Equal(w.t, "general", poolFor(w.t, f.Pools, "ours"))
			require.NoError(w.t, w.client.Delete(w.ctx, ours))
			w.pass(time.Second)
			_, err := f.Pools.For("ours")
			assert.ErrorIs(w.t, err, macpool.ErrNotReady)
		},
		"a pool that is gone, or makes no sense, serves nobody": func(w *world, f *Feed) {
			general, odd := pool("general", nil), pool("odd", nil)
			w.create(general)
			w.create(odd)
			w.pass(time.Second)
			assert.Len(w.t, f.Pools.All(), 2)
			odd.Spec.Ranges[0].Start = "03:00:00:00:00:00"
			require.NoError(w.t, w.client.Update(w.ctx, odd))
			require.NoError(w.t, w.client.Delete(w.ctx, general))
			w.pass(time.Second)
			_, err := f.Pools.For("default")
			var poolless *macpool.NoPoolError
			require.ErrorAs(w.t, err, &poolless)
			assert.False(w.t, poolless.None, "nobody makes another beside it")
			require.NoError(w.t, w.client.Delete(w.ctx, odd))
			w.pass(time.Second)
			_, err = f.Pools.For("default")
			require.ErrorAs(w.t, err, &poolless)
			assert.True(w.t, poolless.None, "the janitor is about to make one")
		},
		"metrics count addresses, blocks that cannot be read, and collisions": func(w *world, f *Feed) {
			w.create(pool("general", nil))
			o := held(w)
			o.Rows = append(o.Rows, other.String()+" ?")
			w.create(o)
			w.pass(time.Second)
			collector := Collector{Ledger: f.Ledger, Pools: f.Pools, Feed: f, Collisions: func() []macpool.Collision {
				return make([]macpool.Collision, 3)
			}}
			require.NoError(w.t, testutil.CollectAndCompare(collector, strings.NewReader(`
# HELP bridgehead_mac_collisions Addresses that several objects have by accident. Zero in replicas whose janitor does not run.
# TYPE bridgehead_mac_collisions gauge
bridgehead_mac_collisions 3
# HELP bridgehead_macblocks_unreadable MACBlocks with rows that cannot be read.
# TYPE bridgehead_macblocks_unreadable gauge
bridgehead_macblocks_unreadable 1
# HELP bridgehead_macpool_addresses Addresses of a MACPool by state: total, and of these used, reserved by replicas, unreadable as their rows are, free.
# TYPE bridgehead_macpool_addresses gauge
bridgehead_macpool_addresses{pool="general",state="free"} 253
bridgehead_macpool_addresses{pool="general",state="reserved"} 0
bridgehead_macpool_addresses{pool="general",state="total"} 255
bridgehead_macpool_addresses{pool="general",state="unreadable"} 1
bridgehead_macpool_addresses{pool="general",state="used"} 1
`)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, func(w *world) {
				f, stop := w.feed()
				story(w, f)
				stop()
			})
		})
	}
}

func poolFor(t *testing.T, p *Pools, namespace string) string {
	t.Helper()
	rule, err := p.For(namespace)
	require.NoError(t, err)
	return rule.Name
}
