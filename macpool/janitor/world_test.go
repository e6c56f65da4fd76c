// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
	logs     sync.Mutex
	log      strings.Builder
	// sharing are addresses that may have several holders.
	sharing map[macpool.MAC]bool
	failing atomic.Pointer[func(*http.Request) error]
}

// A replica is what lends in one process.
type replica struct {
	ledger *ledger.Ledger
	lease  *cluster.Lease
	feed   *cluster.Feed
	pools  *cluster.Pools
	kill   func() // as SIGKILL does: nothing is given back
	lost   atomic.Bool
}

func kindOf(group, version, kind, resource string, inCluster bool) apimodel.Kind {
	k := apimodel.Kind{Resource: resource, Cluster: inCluster}
	k.Group, k.Version, k.Kind = group, version, kind
	return k
}

func vmKind() apimodel.Kind {
	return kindOf("kubevirt.io", "v1", macpool.KindVM, "virtualmachines", false)
}

func vmiKind() apimodel.Kind {
	return kindOf("kubevirt.io", "v1", macpool.KindVMI, "virtualmachineinstances", false)
}

func podKind() apimodel.Kind { return kindOf("", "v1", macpool.KindPod, "pods", false) }

func blockKind() apimodel.Kind {
	return kindOf(v1alpha1.Group, "v1alpha1", "MACBlock", "macblocks", true)
}

// tell runs a story in a world with KubeVirt and a pool of 02:00:00:00:00:00 to 02:00:00:00:ff:ff, and checks what must
// hold after any story.
func tell(t *testing.T, story func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { newWorld(t, vmKind(), vmiKind()).play(story) })
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
		events: events.NewFakeRecorder(1000), sharing: map[macpool.MAC]bool{},
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
	w.namespace("default", nil)
	return w
}

// fail has requests fail for which this returns an error; nil lets all pass again.
func (w *world) fail(f func(*http.Request) error) { w.failing.Store(&f) }

func (w *world) newClient() client.Client {
	c, err := client.New(w.api.Config(), client.Options{Scheme: w.scheme})
	require.NoError(w.t, err)
	return c
}

// cutOff wraps the requests of one process, which are lost while it is cut off.
type cutOff struct {
	http.RoundTripper
	lost *atomic.Bool
}

func (c cutOff) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.lost.Load() {
		return nil, errors.New("no route to host")
	}
	return c.RoundTripper.RoundTrip(r)
}

// start starts a replica.
func (w *world) start(name string) *replica {
	r := &replica{pools: &cluster.Pools{}}
	cfg := w.api.Config()
	cfg.Transport = cutOff{cfg.Transport, &r.lost}
	direct, err := client.New(cfg, client.Options{Scheme: w.scheme})
	require.NoError(w.t, err)
	ctx, kill := context.WithCancel(w.ctx)
	r.kill = func() { r.lost.Store(true); kill(); synctest.Wait() }
	r.lease = &cluster.Lease{
		Client: direct, Namespace: system, Pod: name, Clock: clock.RealClock{}, Log: w.logger(),
	}
	r.ledger = ledger.New(ctx, ledger.Options{
		Store: cluster.KubeStore{Client: direct}, Lease: r.lease, Objects: Objects{Reader: direct}, Clock: clock.RealClock{},
	})
	blocks, err := cache.New(cfg, cache.Options{Scheme: w.scheme})
	require.NoError(w.t, err)
	r.feed = &cluster.Feed{Ledger: r.ledger, Pools: r.pools, Cache: blocks, Log: w.logger()}
	require.NoError(w.t, r.feed.Register(ctx))
	go func() { _ = blocks.Start(ctx) }()
	go r.lease.Run(ctx)
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
	vms, err := NewVMCache(w.api.Config(), w.scheme)
	require.NoError(w.t, err)
	w.janitor = &Janitor{
		Ledger: r.ledger, VMs: vms, Client: w.newClient(), Namespace: system, Term: cluster.Term{Holder: "r1"},
		Log: w.logger(), Clock: clock.RealClock{}, Events: w.events, Unreadable: r.feed.Unreadable,
	}
	if w.alter != nil {
		w.alter(w.janitor)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	janitor := w.janitor
	go func() { ended <- janitor.Start(ctx) }()
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

// logged is what was logged so far.
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

func (w *world) namespace(name string, labels map[string]string) {
	w.t.Helper()
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	o.SetName(name)
	o.SetLabels(labels)
	w.put(o)
}

// optIn has the pods of namespace default served.
func (w *world) optIn() { w.namespace("default", map[string]string{PodOptInLabel: PodOptInValue}) }

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

// admitted is a VM that a replica gave an address and that was created.
func (w *world) admitted(replica, name string) macpool.MAC {
	w.t.Helper()
	m, err := w.assign(replica, vmNamed(name), macpool.MAC{})
	require.NoError(w.t, err)
	w.put(newVM(name, m))
	return m
}

// holders are who hold what, as the API server has it.
func (w *world) holders() map[macpool.MAC][]macpool.Object {
	held := map[macpool.MAC][]macpool.Object{}
	for _, b := range w.blocks() {
		for m, h := range b.Holds() {
			held[m] = append(held[m], h.Object)
		}
	}
	return held
}

// holderOf is who hold an address, as text.
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
	has, unseen, err := Objects{Reader: w.client}.all(w.ctx)
	require.NoError(w.t, err)
	held := w.holders()
	for m, objects := range held {
		assert.True(w.t, len(objects) == 1 || w.sharing[m], "%s has several holders: %v", m, objects)
		for _, o := range objects {
			there := slices.ContainsFunc(has[m], func(h macpool.Holder) bool { return h.Object == o })
			assert.True(w.t, there || unseen[o.Kind], "%s leaks: %s does not have it", m, o)
		}
	}
	for m, holders := range has {
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
			assert.True(w.t, e.Reservation.Replica == "" || alive[e.Reservation.Replica], "%s is reserved by a replica that is dead", m)
		}
	}
}

func (w *world) optedIn(namespace string) bool {
	var n corev1.Namespace
	return w.client.Get(w.ctx, client.ObjectKey{Name: namespace}, &n) == nil && n.Labels[PodOptInLabel] == PodOptInValue
}

func kubevirtObject(kind, name string, spec, status map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": spec, "status": status}}
	o.SetGroupVersionKind(kubevirtVersion().WithKind(kind))
	o.SetNamespace("default")
	o.SetName(name)
	return o
}

// machine is the spec of an instance whose interfaces net0, net1, ... on Multus networks have these addresses.
func machine(macs ...macpool.MAC) map[string]any {
	var interfaces, networks []any
	for i, m := range macs {
		name := fmt.Sprint("net", i)
		interfaces = append(interfaces, map[string]any{"name": name, "macAddress": m.String(), "bridge": map[string]any{}})
		networks = append(networks, map[string]any{"name": name, "multus": map[string]any{"networkName": "l2"}})
	}
	return map[string]any{
		"domain": map[string]any{"devices": map[string]any{"interfaces": interfaces}}, "networks": networks,
	}
}

func newVM(name string, macs ...macpool.MAC) *unstructured.Unstructured {
	return kubevirtObject(macpool.KindVM, name, map[string]any{"template": map[string]any{"spec": machine(macs...)}}, nil)
}

// newVMI is an instance of a phase, of the VM of its name if that is wanted.
func newVMI(name, phase string, ofVM bool, macs ...macpool.MAC) *unstructured.Unstructured {
	o := kubevirtObject(macpool.KindVMI, name, machine(macs...), map[string]any{"phase": phase})
	if ofVM {
		o.SetOwnerReferences([]metav1.OwnerReference{{
			APIVersion: "kubevirt.io/v1", Kind: macpool.KindVM, Name: name, UID: "1", Controller: new(true),
		}})
	}
	return o
}

// newPod is a pod of a phase that asks for an address on a secondary network.
func newPod(name, phase string, m macpool.MAC) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"phase": phase}}}
	o.SetGroupVersionKind(podVersion().WithKind(macpool.KindPod))
	o.SetNamespace("default")
	o.SetName(name)
	o.SetAnnotations(map[string]string{
		"k8s.v1.cni.cncf.io/networks": fmt.Sprintf(`[{"name":"l2","mac":%q,"interface":"net1"}]`, m),
	})
	return o
}

// pool is pool default as it is now.
func (w *world) pool() *v1alpha1.MACPool {
	w.t.Helper()
	var p v1alpha1.MACPool
	require.NoError(w.t, w.client.Get(w.ctx, client.ObjectKey{Name: v1alpha1.DefaultPool}, &p))
	return &p
}

// reservedBy are the addresses that a replica has reserved.
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

// block is a block as the API server has it.
func (w *world) block(p macpool.Prefix) *v1alpha1.MACBlock {
	w.t.Helper()
	var b v1alpha1.MACBlock
	require.NoError(w.t, w.client.Get(w.ctx, client.ObjectKey{Name: p.String()}, &b))
	return &b
}

// spoil makes the first row of a block one that cannot be read.
func (w *world) spoil(b *v1alpha1.MACBlock) {
	w.t.Helper()
	b.Addresses[0].Address = "?"
	require.NoError(w.t, w.client.Update(w.ctx, b))
}

// panicking is a cache that panics when it is asked for the object of a name.
type panicking struct {
	cache.Cache
	name string
}

func (p *panicking) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if key.Name == p.name {
		panic(p.name)
	}
	return p.Cache.Get(ctx, key, o, opts...)
}

// panickingEvents panics when it is to tell something.
type panickingEvents struct{ events.EventRecorder }

func (panickingEvents) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {
	panic("told")
}

// vmOn is a VM with one interface of a binding on a network.
func vmOn(name string, network map[string]any, binding string, m macpool.MAC) *unstructured.Unstructured {
	network["name"] = "net0"
	return kubevirtObject(macpool.KindVM, name, map[string]any{"template": map[string]any{"spec": map[string]any{
		"domain": map[string]any{"devices": map[string]any{"interfaces": []any{
			map[string]any{"name": "net0", "macAddress": m.String(), binding: map[string]any{}},
		}}},
		"networks": []any{network},
	}}}, nil)
}
