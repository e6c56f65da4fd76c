// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster/apimodel"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

const (
	system = "bridgehead-system"
	// dead is when a replica that no longer renews its Lease is taken for dead, and more than a sweep after.
	dead = cluster.LeaseDuration + ledger.MaxAdmission + 2*sweepInterval
	// grown is when a hold without an object is freed at the latest.
	grown = ledger.MaxAdmission + time.Minute
)

// A world is a cluster of an API server in memory with replicas, as they are put together in one process, and at most
// one janitor. It lives in a bubble of testing/synctest.
type world struct {
	t        *testing.T
	ctx      context.Context
	api      *apimodel.Server
	scheme   *runtime.Scheme
	client   client.Client
	replicas map[string]*replica
	janitor  *Janitor
	stop     func() // ends the janitor
	events   *events.FakeRecorder
	alter    func(*Janitor) // before it starts
	skew     time.Duration  // by how much the clock of r1 is ahead, and that of r2 behind
	logs     sync.Mutex
	log      strings.Builder
	// sharing are addresses that may have several holders.
	sharing map[macpool.MAC]bool
	failing atomic.Pointer[func(*http.Request) error]
	// podNamespaces selects the namespaces whose pods count.
	podNamespaces labels.Selector
}

// A replica is what lends in one process.
type replica struct {
	ledger *ledger.Ledger
	lease  *cluster.Lease
	feed   *cluster.Feed
	pools  *cluster.Pools
	kill   func() // as SIGKILL does: nothing is given back
	lost   atomic.Bool
	deaf   atomic.Bool
}

// told tells a story twice, beside others: once more where clocks differ.
func told(t *testing.T, name string, story func(w *world)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		tell(t, story)
	})
	t.Run(name+", and clocks differ", func(t *testing.T) {
		t.Parallel()
		tellWithSkew(t, story)
	})
}

// tell runs a story in a world with KubeVirt and a pool of 02:00:00:00:00:00 to 02:00:00:00:ff:ff, and checks what must
// hold after any story.
func tell(t *testing.T, story func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { newWorld(t, vmKind(), vmiKind()).play(story) })
}

// tellWithSkew is tell in a world where the clocks of replicas differ by twenty minutes, which is longer than anything
// is waited for.
func tellWithSkew(t *testing.T, story func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vmKind(), vmiKind())
		w.skew = 10 * time.Minute
		w.play(story)
	})
}

// A skewedClock shows another time of day than others, and measures what goes by as they do.
type skewedClock struct {
	clock.RealClock
	ahead time.Duration
}

func (c skewedClock) Now() time.Time                  { return time.Now().Add(c.ahead) }
func (c skewedClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// clockOf returns the clock of a replica.
func (w *world) clockOf(replica string) clock.WithTicker {
	return skewedClock{ahead: map[string]time.Duration{"r1": w.skew, "r2": -w.skew}[replica]}
}

func newWorld(t *testing.T, kubevirt ...apimodel.Kind) *world {
	kinds := append([]apimodel.Kind{
		podKind(), blockKind(), kindOf("", "v1", "Namespace", "namespaces", true),
		kindOf("", "v1", "ConfigMap", "configmaps", false),
		kindOf("coordination.k8s.io", "v1", "Lease", "leases", false),
		kindOf(v1alpha1.Group, "v1alpha1", "MACPool", "macpools", true),
	}, kubevirt...)
	w := &world{
		t: t, api: apimodel.New(kinds...), scheme: runtime.NewScheme(), replicas: map[string]*replica{},
		events: events.NewFakeRecorder(1000), sharing: map[macpool.MAC]bool{}, podNamespaces: OptedIn(),
	}
	w.ctx = t.Context()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, v1alpha1.AddToScheme, AddVMsToScheme,
	} {
		require.NoError(t, add(w.scheme))
	}
	w.api.Fail = func(r *http.Request) error {
		if fail := w.failing.Load(); fail != nil && *fail != nil {
			return (*fail)(r)
		}
		return nil
	}
	w.client = w.newClient()
	w.create(&v1alpha1.MACPool{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.DefaultPool},
		Spec:       v1alpha1.MACPoolSpec{Ranges: []v1alpha1.MACRange{{Start: "02:00:00:00:00:00", End: "02:00:00:00:ff:ff"}}},
	})
	w.namespace(nil)
	return w
}

// fail has requests fail for which this returns an error; nil lets all pass again.
func (w *world) fail(f func(*http.Request) error) { w.failing.Store(&f) }

// refuseWrites has writes of one block fail.
func (w *world) refuseWrites(p macpool.Prefix) {
	w.fail(func(r *http.Request) error {
		if r.Method != http.MethodGet && strings.HasSuffix(r.URL.Path, "/macblocks/"+p.String()) {
			return errors.New("connection refused")
		}
		return nil
	})
}

func (w *world) newClient() client.Client {
	c, err := client.New(w.api.Config(), client.Options{Scheme: w.scheme})
	require.NoError(w.t, err)
	return c
}

// cutOff wraps the requests of one process, which are lost while it is cut off. While it is deaf, their answers are.
type cutOff struct {
	http.RoundTripper
	lost, deaf *atomic.Bool
}

func (c cutOff) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.lost.Load() {
		return nil, errors.New("no route to host")
	}
	response, err := c.RoundTripper.RoundTrip(r)
	if err == nil && c.deaf.Load() {
		_ = response.Body.Close() // nobody reads it
		return nil, errors.New("connection reset by peer")
	}
	return response, err
}

// start starts a replica.
func (w *world) start(name string) *replica {
	r := &replica{pools: &cluster.Pools{}}
	cfg := w.api.Config()
	cfg.Transport = cutOff{cfg.Transport, &r.lost, &r.deaf}
	direct, err := client.New(cfg, client.Options{Scheme: w.scheme})
	require.NoError(w.t, err)
	// A client asks about a kind once, with a mutex locked. Were that to fail and to be tried again, time in a bubble
	// would stand still for ever.
	for _, o := range []client.Object{&v1alpha1.MACBlock{}, &vm{}, &vmi{}} {
		_ = direct.Get(w.ctx, client.ObjectKey{Namespace: "default", Name: "none"}, o)
	}
	ctx, kill := context.WithCancel(w.ctx)
	r.kill = func() { r.lost.Store(true); kill(); synctest.Wait() }
	r.lease = &cluster.Lease{
		Client: direct, Namespace: system, Pod: name, Clock: w.clockOf(name), Log: w.logger(),
	}
	r.ledger = ledger.New(ctx, ledger.Options{
		Store: cluster.KubeStore{Client: direct}, Lease: r.lease, Objects: Objects{Reader: direct}, Clock: w.clockOf(name),
	})
	blocks, err := cache.New(cfg, cache.Options{Scheme: w.scheme})
	require.NoError(w.t, err)
	r.feed = &cluster.Feed{Ledger: r.ledger, Pools: r.pools, Cache: blocks, Log: w.logger()}
	require.NoError(w.t, r.feed.Register(ctx))
	go func() { _ = blocks.Start(ctx) }()
	go func() { assert.NoError(w.t, r.lease.Run(ctx)) }()
	w.replicas[name] = r
	w.pass(time.Second)
	require.True(w.t, r.feed.Synced())
	return r
}

// startJanitor starts a janitor in replica r1, which is started if it is not there.
func (w *world) startJanitor() {
	w.t.Helper()
	r := w.replicas["r1"]
	if r == nil {
		r = w.start("r1")
	}
	vms, err := NewVMCache(w.api.Config(), w.scheme, w.podNamespaces)
	require.NoError(w.t, err)
	w.janitor = &Janitor{
		Ledger: r.ledger, VMs: vms, Client: w.newClient(), Namespace: system, Term: cluster.Term{Holder: "r1"},
		Log: w.logger(), Clock: w.clockOf("r1"), Events: w.events, Unreadable: r.feed.Unreadable,
		Serving: r.pools.Serving,
	}
	if w.alter != nil {
		w.alter(w.janitor)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan struct{})
	janitor := w.janitor
	go func() {
		defer close(ended)
		_ = janitor.Start(ctx) // it ends by ctx
	}()
	w.stop = func() {
		cancel()
		<-ended
		w.janitor = nil
	}
	w.pass(5 * time.Second)
}

func (w *world) end() {
	if w.janitor != nil {
		w.stop()
	}
	for _, r := range w.replicas {
		r.kill()
	}
}

func (w *world) logger() logr.Logger {
	return funcr.New(func(prefix, args string) {
		w.logs.Lock()
		defer w.logs.Unlock()
		w.log.WriteString(prefix + " " + args + "\n")
	}, funcr.Options{})
}

// logged returns what was logged so far.
func (w *world) logged() string {
	w.logs.Lock()
	defer w.logs.Unlock()
	return w.log.String()
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

// put creates an object, or replaces the one that is there.
func (w *world) put(o *unstructured.Unstructured) {
	w.t.Helper()
	there := o.DeepCopy()
	err := w.client.Get(w.ctx, client.ObjectKeyFromObject(o), there)
	if err != nil {
		w.create(o)
		return
	}
	o.SetResourceVersion(there.GetResourceVersion())
	require.NoError(w.t, w.client.Update(w.ctx, o))
}

// remove deletes the object of a kind and name in namespace default.
func (w *world) remove(kind apimodel.Kind, name string) {
	w.t.Helper()
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(kind.GroupVersionKind)
	o.SetNamespace("default")
	o.SetName(name)
	require.NoError(w.t, w.client.Delete(w.ctx, o))
}

// namespace makes namespace default, or gives it other labels.
func (w *world) namespace(labels map[string]string) {
	w.t.Helper()
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	o.SetName("default")
	o.SetLabels(labels)
	w.put(o)
}

// optIn has the pods of namespace default served.
func (w *world) optIn() { w.namespace(map[string]string{"mutatepods.kubemacpool.io": "allocate"}) }

// assign has a replica answer an admission of a VM with one interface on a network; no address asks for any.
func (w *world) assign(replica string, o macpool.Object, asked macpool.MAC) (macpool.MAC, error) {
	r := w.replicas[replica]
	rule, err := r.pools.For("default")
	require.NoError(w.t, err)
	grant, err := r.ledger.Assign(w.ctx, macpool.Request{
		Holder: o, Pool: rule.Pool, Asks: []macpool.Ask{{Interface: "net", MAC: asked}},
	})
	if err != nil {
		return macpool.MAC{}, err
	}
	return grant.MACs[0], nil
}

// admitted returns a VM that a replica gave an address and that was created.
func (w *world) admitted(replica, name string) macpool.MAC {
	w.t.Helper()
	m, err := w.assign(replica, vmNamed(name), macpool.MAC{})
	require.NoError(w.t, err)
	w.put(newVM(name, m))
	return m
}

// tellWithout is tell in a world without KubeVirt.
func tellWithout(t *testing.T, story func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { newWorld(t).play(story) })
}

// play tells a story and checks what must hold after any.
func (w *world) play(story func(w *world)) {
	w.t.Helper()
	story(w)
	w.fail(nil)
	if w.janitor == nil {
		w.startJanitor()
	}
	w.pass(max(dead, grown) + 4*sweepInterval)
	w.check()
	w.end()
}
