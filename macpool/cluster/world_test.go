// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool/cluster/apimodel"
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
