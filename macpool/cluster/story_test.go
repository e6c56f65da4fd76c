// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster/apimodel"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

// A world is an API server in memory, in a bubble of testing/synctest.
type world struct {
	t      *testing.T
	ctx    context.Context
	api    *apimodel.Server
	scheme *runtime.Scheme
	client client.Client
	lost   atomic.Bool // the API server cannot be reached
}

// tell runs a story.
func tell(t *testing.T, story func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, ctx: t.Context(), scheme: runtime.NewScheme(), api: apimodel.New(
			kindOf("", "v1", "Namespace", "namespaces", true), kindOf("", "v1", "ConfigMap", "configmaps", false),
			kindOf("coordination.k8s.io", "v1", "Lease", "leases", false),
			kindOf(v1alpha1.Group, "v1alpha1", "MACPool", "macpools", true),
			kindOf(v1alpha1.Group, "v1alpha1", "MACBlock", "macblocks", true),
		)}
		w.api.Fail = func(*http.Request) error {
			if w.lost.Load() {
				return errors.New("no route to host")
			}
			return nil
		}
		require.NoError(t, clientgoscheme.AddToScheme(w.scheme))
		require.NoError(t, v1alpha1.AddToScheme(w.scheme))
		var err error
		w.client, err = client.New(w.api.Config(), client.Options{Scheme: w.scheme})
		require.NoError(t, err)
		story(w)
	})
}

func kindOf(group, version, kind, resource string, inCluster bool) apimodel.Kind {
	k := apimodel.Kind{Resource: resource, Cluster: inCluster}
	k.Group, k.Version, k.Kind = group, version, kind
	return k
}

// pass lets time go by, and everything happen that is to happen by then.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (w *world) create(o client.Object) {
	w.t.Helper()
	require.NoError(w.t, w.client.Create(w.ctx, o))
}

func (w *world) newLease() *Lease {
	return &Lease{Client: w.client, Namespace: "system", Pod: "r1", Clock: clock.RealClock{}, Log: logr.Discard()}
}

// lease returns the right of a replica, renewed until the function it returns is called.
func (w *world) lease() (*Lease, func()) {
	l := w.newLease()
	ctx, stop := context.WithCancel(w.ctx)
	go func() { assert.NoError(w.t, l.Run(ctx)) }()
	synctest.Wait()
	return l, func() { stop(); synctest.Wait() }
}

// unguarded starts a replica whose Lease may go back, and returns its right and what the renewals end with.
func (w *world) unguarded() (*Lease, <-chan error) {
	l, ended := w.newLease(), make(chan error, 1)
	go func() { ended <- l.Run(w.ctx) }()
	return l, ended
}

// requireRewound requires that a replica has noticed that its Lease went back.
func (w *world) requireRewound(l *Lease, ended <-chan error) {
	w.t.Helper()
	require.Len(w.t, ended, 1)
	require.ErrorIs(w.t, <-ended, ErrRewound)
	_, ok := l.Replica()
	assert.False(w.t, ok)
}

func (w *world) leases() []coordinationv1.Lease {
	w.t.Helper()
	var all coordinationv1.LeaseList
	require.NoError(w.t, w.client.List(w.ctx, &all, client.InNamespace("system"), client.HasLabels{ReplicaLabel}))
	return all.Items
}

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

func TestStoreStories(t *testing.T) {
	p := macpool.Prefix{2}
	block := func(version string) *macpool.Block {
		b := macpool.NewBlock(p)
		b.Version = version
		b.Reserve(1, everything(), "r1", time.Unix(1, 0))
		return b
	}
	for name, story := range map[string]func(w *world, s KubeStore){
		"a block that is not stored is empty": func(w *world, s KubeStore) {
			b, err := s.Get(w.ctx, p)
			require.NoError(w.t, err)
			assert.Zero(w.t, b.Len())
			assert.Empty(w.t, b.Version)
		},
		"what is written is read": func(w *world, s KubeStore) {
			written, err := s.Put(w.ctx, block(""))
			require.NoError(w.t, err)
			read, err := s.Get(w.ctx, p)
			require.NoError(w.t, err)
			assert.True(w.t, written.Equal(read))
			assert.Equal(w.t, written.Version, read.Version)
		},
		"a state that is behind is not written over a later one": func(w *world, s KubeStore) {
			first, err := s.Put(w.ctx, block(""))
			require.NoError(w.t, err)
			second := first.Clone()
			second.Reserve(1, everything(), "r2", time.Unix(2, 0))
			_, err = s.Put(w.ctx, second)
			require.NoError(w.t, err)
			_, err = s.Put(w.ctx, first)
			require.ErrorIs(w.t, err, macpool.ErrConflict)
		},
		"a block that exists is not made again": func(w *world, s KubeStore) {
			_, err := s.Put(w.ctx, block(""))
			require.NoError(w.t, err)
			_, err = s.Put(w.ctx, block(""))
			require.ErrorIs(w.t, err, macpool.ErrConflict)
		},
		"a block that was deleted is not written": func(w *world, s KubeStore) {
			written, err := s.Put(w.ctx, block(""))
			require.NoError(w.t, err)
			require.NoError(w.t, w.client.Delete(w.ctx, EncodeBlock(written)))
			_, err = s.Put(w.ctx, written)
			require.ErrorIs(w.t, err, macpool.ErrConflict)
		},
		"an API server that cannot be reached is no conflict, and no empty block": func(w *world, s KubeStore) {
			w.lost.Store(true)
			_, err := s.Put(w.ctx, block(""))
			require.Error(w.t, err)
			require.NotErrorIs(w.t, err, macpool.ErrConflict)
			_, err = s.Get(w.ctx, p)
			require.Error(w.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, func(w *world) {
				writes := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "writes"}, []string{"outcome"})
				counted := CountedStore{Store: KubeStore{Client: w.client}, Writes: writes}
				_, err := counted.Put(w.ctx, block("9"))
				require.ErrorIs(t, err, macpool.ErrConflict, "there is none of that version")
				assert.InDelta(t, 1, testutil.ToFloat64(writes.WithLabelValues("conflict")), 0)
				story(w, KubeStore{Client: w.client})
			})
		})
	}
}

// feed returns what a ledger and its pools are kept up by, until the function it returns is called.
func (w *world) feed() (*Feed, func()) {
	w.t.Helper()
	ctx, stop := context.WithCancel(w.ctx)
	watched, err := cache.New(w.api.Config(), cache.Options{Scheme: w.scheme})
	require.NoError(w.t, err)
	f := &Feed{
		Ledger: ledger.New(ctx, ledger.Options{Store: KubeStore{Client: w.client}, Clock: clock.RealClock{}}),
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
	pool := func(name string, labels map[string]string) *v1alpha1.MACPool {
		o := defaultPool([]v1alpha1.MACRange{{Start: "02:00:00:00:00:00", End: "02:00:00:00:00:ff"}})
		o.Name = name
		if labels != nil {
			o.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: labels}
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
			w.create(pool("special", map[string]string{"team": "a"}))
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
			assert.Equal(w.t, "general", poolFor(w.t, f.Pools, "ours"))
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
		},
		"metrics count addresses, blocks that cannot be read, and collisions": func(w *world, f *Feed) {
			w.create(pool("general", nil))
			w.create(held(w))
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
bridgehead_macblocks_unreadable 0
# HELP bridgehead_macpool_addresses Addresses of a MACPool by state: total, and of these used, reserved by replicas, free.
# TYPE bridgehead_macpool_addresses gauge
bridgehead_macpool_addresses{pool="general",state="free"} 254
bridgehead_macpool_addresses{pool="general",state="reserved"} 0
bridgehead_macpool_addresses{pool="general",state="total"} 255
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

func TestDefaultPoolStories(t *testing.T) {
	config := func(namespace, start, end string) *corev1.ConfigMap {
		return &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: rangeConfigMap},
			Data:       map[string]string{"RANGE_START": start, "RANGE_END": end},
		}
	}
	for name, tc := range map[string]struct {
		there []client.Object
		start string
		name  string
	}{
		"with nothing there the range is a random one":    {start: "02:", name: v1alpha1.DefaultPool},
		"the range of kubemacpool is gone on with":        {there: []client.Object{config("kmp", "06:00:00:00:00:00", "06:00:00:00:00:ff")}, start: "06:00:00:00:00:00", name: v1alpha1.DefaultPool},
		"a range of kubemacpool that is none is left out": {there: []client.Object{config("a", "?", "?"), config("b", "06:00:00:00:00:00", "06:00:00:00:00:ff")}, start: "06:00:00:00:00:00", name: v1alpha1.DefaultPool},
		"another ConfigMap is not that of kubemacpool":    {there: []client.Object{&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b"}}}, start: "02:", name: v1alpha1.DefaultPool},
		"where there is a pool of any name, none is made": {there: []client.Object{&v1alpha1.MACPool{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Spec: v1alpha1.MACPoolSpec{Ranges: []v1alpha1.MACRange{{Start: "0a:00:00:00:00:00"}}}}}, start: "0a:", name: "mine"},
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, func(w *world) {
				for _, o := range tc.there {
					w.create(o)
				}
				require.NoError(t, EnsureDefaultPool(w.ctx, w.client, logr.Discard()))
				require.NoError(t, EnsureDefaultPool(w.ctx, w.client, logr.Discard()), "once more makes no other")
				var pools v1alpha1.MACPoolList
				require.NoError(t, w.client.List(w.ctx, &pools))
				require.Len(t, pools.Items, 1)
				assert.Equal(t, tc.name, pools.Items[0].Name)
				assert.True(t, strings.HasPrefix(pools.Items[0].Spec.Ranges[0].Start, tc.start))
				w.lost.Store(true)
				assert.Error(t, EnsureDefaultPool(w.ctx, w.client, logr.Discard()))
			})
		})
	}
}
