// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
)

// errDead is what a process gets that has died: nothing.
var errDead = errors.New("this process is dead")

// A world is an API server in memory with a policy p and nodes whose agents are played by step. After every write by
// the reconciler it is checked that no more nodes than the limit are at work or have failed.
type world struct {
	t      *testing.T
	scheme *runtime.Scheme
	api    client.WithWatch
	clock  *clocktesting.FakePassiveClock
	limit  int
	// broken nodes fail.
	broken map[string]bool

	writes   int  // by reconcilers, so far
	statuses int  // those of them that were to the policy
	dieAt    int  // the write during which the reconciler dies; zero for never
	halfway  bool // it dies when the write is done, but not heard of
	dead     bool
	// events are what the reconcilers told.
	events *events.FakeRecorder
}

func newWorld(t *testing.T, limit int, nodes ...string) *world {
	t.Helper()
	w := &world{
		t: t, limit: limit, broken: map[string]bool{}, clock: clocktesting.NewFakePassiveClock(noon()),
		events: events.NewFakeRecorder(100),
	}
	objects := []client.Object{&v1.NodeNetworkConfigurationPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "p-uid", Generation: 1},
		Spec: nmstate.PolicySpec{
			MaxUnavailable: &intstr.IntOrString{IntVal: int32(limit)},
			DesiredState:   &runtime.RawExtension{Raw: []byte(`{"interfaces":[{"name":"br1"}]}`)},
		},
	}}
	for _, name := range nodes {
		objects = append(objects,
			&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name + "-uid")}},
			&v1beta1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	w.scheme = runtime.NewScheme()
	require.NoError(t, errors.Join(corev1.AddToScheme(w.scheme), v1.AddToScheme(w.scheme), v1beta1.AddToScheme(w.scheme)))
	w.api = w.serve(objects)
	return w
}

// serve returns an API server in memory that has some objects.
func (w *world) serve(objects []client.Object) client.WithWatch {
	return fake.NewClientBuilder().WithScheme(w.scheme).WithObjects(objects...).
		WithStatusSubresource(&v1.NodeNetworkConfigurationPolicy{}, &v1beta1.NodeNetworkConfigurationEnactment{}).
		WithIndex(&v1beta1.NodeNetworkConfigurationEnactment{}, byPolicy, policyNames).
		Build()
}

// reconciler returns a process that has just started. It reads from a cache, which is the API server itself if nil.
func (w *world) reconciler(cached client.Reader) *Reconciler {
	w.dead = false
	writes := interceptor.NewClient(w.api, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return w.write(func() error { return c.Create(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return w.write(func() error { return c.Delete(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return w.write(func() error { return c.Patch(ctx, o, p, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch,
			opts ...client.SubResourcePatchOption,
		) error {
			if _, ok := o.(*v1.NodeNetworkConfigurationPolicy); ok {
				w.statuses++
			}
			return w.write(func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
	})
	r := &Reconciler{Client: writes, Live: w.api, Events: w.events, Clock: w.clock, Log: logr.Discard(), Workers: 1}
	if cached != nil {
		r.Client = cachedClient{Client: writes, cached: cached}
	}
	return r
}

// write lets a process do a write, unless it is dead, or dies of it.
func (w *world) write(do func() error) error {
	if w.dead {
		return errDead
	}
	w.writes++
	w.dead = w.writes == w.dieAt
	if w.dead && !w.halfway {
		return errDead
	}
	if err := do(); err != nil {
		return err
	}
	w.requireLimit()
	if w.dead {
		return errDead
	}
	return nil
}

// A cachedClient reads from a cache and writes to the API server.
type cachedClient struct {
	client.Client
	cached client.Reader
}

// Get implements client.Reader.
func (c cachedClient) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	return c.cached.Get(ctx, key, o, opts...)
}

// List implements client.Reader.
func (c cachedClient) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return c.cached.List(ctx, list, opts...)
}

// enactments returns all there are, by name.
func (w *world) enactments() []v1beta1.NodeNetworkConfigurationEnactment {
	var list v1beta1.NodeNetworkConfigurationEnactmentList
	require.NoError(w.t, w.api.List(w.t.Context(), &list))
	return list.Items
}

func (w *world) policy() *v1.NodeNetworkConfigurationPolicy {
	var p v1.NodeNetworkConfigurationPolicy
	require.NoError(w.t, w.api.Get(w.t.Context(), types.NamespacedName{Name: "p"}, &p))
	return &p
}

// requireLimit checks that no more nodes than the limit are at work, or have failed with the policy as it is.
func (w *world) requireLimit() {
	var p v1.NodeNetworkConfigurationPolicy // none once it was deleted
	require.NoError(w.t, client.IgnoreNotFound(w.api.Get(w.t.Context(), types.NamespacedName{Name: "p"}, &p)))
	var unavailable []string
	for _, o := range w.enactments() {
		e := enactmentOf(&o)
		if e.open() || e.begun() || e.failed() && e.Generation == p.Generation {
			unavailable = append(unavailable, e.Name)
		}
	}
	require.LessOrEqual(w.t, len(unavailable), w.limit, "%v after write %d", unavailable, w.writes)
}

// step has the agents do what is next for them, and reports whether any had something to do.
func (w *world) step() (busy bool) {
	generation := w.policy().Generation
	for _, o := range w.enactments() {
		e := enactmentOf(&o)
		if e.Turn != generation || e.finished(generation) {
			continue
		}
		busy = true
		state := working
		if e.begun() && e.Generation == generation {
			state = available
			if w.broken[e.Node] {
				state = failing
			}
		}
		o.Status.PolicyGeneration = generation
		o.Status.Conditions = []nmstate.Condition{{Type: state, Status: corev1.ConditionTrue}}
		require.NoError(w.t, w.api.Status().Update(w.t.Context(), &o))
	}
	return busy
}

// converge has processes and agents go on until nobody has anything left to do. A process that dies is followed by
// another.
func (w *world) converge() {
	r := w.reconciler(nil)
	for quiet := 0; quiet < 2; {
		before := w.writes
		w.clock.SetTime(w.clock.Now().Add(2 * time.Second))
		if _, err := r.Reconcile(w.t.Context(), request("p")); err != nil {
			require.ErrorIs(w.t, err, errDead)
			r = w.reconciler(nil)
		}
		quiet++
		if w.step() || w.writes != before {
			quiet = 0
		}
	}
}

// change makes a new generation of the policy.
func (w *world) change(edit func(*nmstate.PolicySpec)) {
	p := w.policy()
	edit(&p.Spec)
	p.Generation++
	require.NoError(w.t, w.api.Update(w.t.Context(), p))
}

// String returns what there is, without times.
func (w *world) String() string {
	var text strings.Builder
	for _, c := range w.policy().Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			fmt.Fprintf(&text, "%s: %s\n", c.Type, c.Message)
		}
	}
	for _, o := range w.enactments() {
		fmt.Fprintf(&text, "%s turn %s:", o.Name, o.Annotations[nmstate.TurnAnnotation])
		for _, c := range o.Status.Conditions {
			if c.Status == corev1.ConditionTrue {
				fmt.Fprintf(&text, " %s@%s", c.Type, strconv.FormatInt(o.Status.PolicyGeneration, 10))
			}
		}
		fmt.Fprintln(&text)
	}
	return text.String()
}
