// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
)

func TestCheckImport(t *testing.T) {
	at := func(holder string, transitions int32, renewal string) Leadership {
		return Leadership{Term: Term{Holder: holder, Transitions: transitions}, Renewal: renewal}
	}
	by := func(holder string, transitions int32) []Import {
		return []Import{{By: holder, Transitions: &transitions}}
	}
	for name, tc := range map[string]struct {
		first, now Leadership
		imports    []Import
		waits      string // empty if the addresses are imported
	}{
		"nobody holds the lease": {
			waits: "no replica has begun",
		},
		"nobody holds the lease, and a pool was imported by nobody": {
			imports: []Import{{}}, waits: "no replica has begun",
		},
		"the holder imported, but has not been seen to renew": {
			first: at("other", 3, "10:00:00"), now: at("other", 3, "10:00:00"), imports: by("other", 3), waits: "not renewed its lease yet",
		},
		"the holder imported and renewed": {
			first: at("other", 3, "10:00:00"), now: at("other", 3, "10:00:02"), imports: by("other", 3),
		},
		"the holder renewed and has not imported": {
			first: at("other", 3, "10:00:00"), now: at("other", 3, "10:00:02"), imports: by("dead", 2), waits: "are being imported",
		},
		"the holder imported when it had the lease before": {
			first: at("other", 5, "10:00:00"), now: at("other", 5, "10:00:02"), imports: by("other", 3), waits: "are being imported",
		},
		"the lease changed hands: its renewal is no sign of life of the new holder": {
			first: at("dead", 3, "10:00:00"), now: at("other", 4, "10:00:15"), imports: by("other", 4), waits: "not renewed its lease yet",
		},
		"this process holds the lease and has not imported": {
			first: at("self", 4, "10:00:00"), now: at("self", 4, "10:00:00"), imports: by("dead", 3), waits: "are being imported",
		},
		"this process holds the lease and has imported": {
			first: at("self", 4, "10:00:00"), now: at("self", 4, "10:00:00"), imports: by("self", 4),
		},
		"a holder of the release before says no more than its name": {
			first: at("other", 3, "10:00:00"), now: at("other", 3, "10:00:02"), imports: []Import{{By: "other"}},
		},
		"one pool of many tells": {
			first: at("other", 3, "10:00:00"), now: at("other", 3, "10:00:02"), imports: append([]Import{{}}, by("other", 3)...),
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkImport(tc.first, tc.now, "self", tc.imports)
			if tc.waits == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.waits)
		})
	}
}

// A scene is a gate before a cluster with one pool.
type scene struct {
	*Gate
	t       *testing.T
	cluster client.Client
}

type heldLease struct{}

func (heldLease) Replica() (string, bool) { return "self-1", true }

func newScene(t *testing.T) *scene {
	scheme := runtime.NewScheme()
	require.NoError(t, v1alpha1.AddToScheme(scheme))
	require.NoError(t, coordinationv1.AddToScheme(scheme))
	pool := &v1alpha1.MACPool{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "janitor"}}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(pool, lease).WithStatusSubresource(pool).Build()
	return &scene{t: t, cluster: cluster, Gate: &Gate{
		Lease: heldLease{}, Reader: cluster, Janitor: client.ObjectKeyFromObject(lease), Self: "self", Clock: clock.RealClock{},
	}}
}

// renew has a replica write the lease.
func (s *scene) renew(term Term) {
	var lease coordinationv1.Lease
	require.NoError(s.t, s.cluster.Get(s.t.Context(), s.Janitor, &lease))
	lease.Spec = coordinationv1.LeaseSpec{
		HolderIdentity: &term.Holder, LeaseTransitions: &term.Transitions, RenewTime: ptr.To(metav1.NowMicro()),
	}
	require.NoError(s.t, s.cluster.Update(s.t.Context(), &lease))
}

// imports has the janitor of a term say that it has imported.
func (s *scene) imports(term Term) {
	var pool v1alpha1.MACPool
	require.NoError(s.t, s.cluster.Get(s.t.Context(), client.ObjectKey{Name: "default"}, &pool))
	pool.Status.ImportedBy, pool.Status.ImportTransitions = term.Holder, &term.Transitions
	require.NoError(s.t, s.cluster.Status().Update(s.t.Context(), &pool))
}

func (s *scene) lends() bool {
	name, ok := s.Replica()
	assert.Equal(s.t, "self-1", name, "what it has reserved has that name whether it may lend or not")
	return ok
}

func (s *scene) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestAReplicaThatFindsADeadJanitorWaitsForItsOwnImport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		dead, own := Term{Holder: "dead", Transitions: 3}, Term{Holder: "self", Transitions: 4}
		s.renew(dead)
		s.imports(dead)
		assert.False(t, s.lends(), "it has not looked yet")
		go s.Run(t.Context())
		s.pass(15 * time.Second)
		assert.False(t, s.lends(), "VMs may have been made since the dead replica imported")
		s.renew(own)
		s.pass(15 * time.Second)
		assert.False(t, s.lends(), "it has the lease, and has not imported")
		s.imports(own)
		s.pass(gateInterval)
		assert.True(t, s.lends())
		s.renew(Term{Holder: "another", Transitions: 5})
		s.pass(time.Hour)
		assert.True(t, s.lends(), "a later janitor takes over from one that had imported")
	})
}

func TestAReplicaBesideALivingJanitorLendsOnceItWasSeenToRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		other := Term{Holder: "other", Transitions: 3}
		s.renew(other)
		s.imports(other)
		go s.Run(t.Context())
		s.pass(2 * gateInterval)
		assert.False(t, s.lends())
		s.renew(other)
		s.pass(gateInterval)
		assert.True(t, s.lends())
	})
}

func TestAGateThatCannotLookStaysShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		own := Term{Holder: "self"}
		s.renew(own)
		s.imports(own)
		ctx, cancel := context.WithCancel(t.Context())
		s.Janitor.Name = "missing"
		ended := make(chan struct{})
		go func() { defer close(ended); s.Run(ctx) }()
		s.pass(time.Minute)
		assert.False(t, s.lends())
		cancel()
		<-ended
	})
}
