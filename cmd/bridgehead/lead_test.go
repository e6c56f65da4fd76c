// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// The API server may be away for as long as a lease lasts, and a controller may be slow to end.
func TestAControllerHasEndedWhenItBeginsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients := fake.NewClientset()
		var away atomic.Bool
		clients.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			return away.Load(), nil, errors.New("away")
		})
		lock := &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Namespace: "ns", Name: "lease"}, Client: clients.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: "a"},
		}
		const slow = time.Minute
		began := make(chan error, 2)
		var running atomic.Int32
		lead := func(ctx context.Context, leads func() error) {
			assert.Equal(t, int32(1), running.Add(1))
			began <- leads()
			<-ctx.Done()
			<-time.After(slow)
			running.Add(-1)
		}
		ended := make(chan error, 1)
		ctx, stop := context.WithCancel(t.Context())
		go func() { ended <- elect(ctx, "lease", lock, logr.Discard(), lead) }()
		require.NoError(t, <-began)
		away.Store(true)
		<-time.After(leaseDuration)
		away.Store(false)
		<-time.After(slow / 2)
		assert.Empty(t, began, "it has yet to end")
		require.NoError(t, <-began)
		stop()
		require.NoError(t, <-ended)
		<-time.After(2 * slow)
		assert.Zero(t, running.Load())
	})
}

func TestAControllerBeginsAgainWhenAnotherReplicaHadTheLeaseForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients := fake.NewClientset()
		var others atomic.Pointer[coordinationv1.Lease] // what is in the store instead of what the replica wrote
		clients.PrependReactor("*", "leases", func(action clienttesting.Action) (bool, runtime.Object, error) {
			lease := others.Load()
			if lease == nil {
				return false, nil, nil
			}
			if action.GetVerb() == "get" {
				return true, lease.DeepCopy(), nil
			}
			if *lease.Spec.HolderIdentity != "" {
				return true, nil, errors.New("conflict")
			}
			others.Store(nil)
			return false, nil, nil
		})
		held := func(by string) *coordinationv1.Lease {
			return &coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "lease"},
				Spec: coordinationv1.LeaseSpec{
					HolderIdentity: &by, LeaseDurationSeconds: new(int32(15)), LeaseTransitions: new(int32(1)),
					RenewTime: new(metav1.NowMicro()), AcquireTime: new(metav1.NowMicro()),
				},
			}
		}
		lock := &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Namespace: "ns", Name: "lease"}, Client: clients.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: "a"},
		}
		began := make(chan struct{}, 2)
		lead := func(ctx context.Context, _ func() error) {
			began <- struct{}{}
			<-ctx.Done()
		}
		ended := make(chan error, 1)
		ctx, stop := context.WithCancel(t.Context())
		go func() { ended <- elect(ctx, "lease", lock, logr.Discard(), lead) }()
		<-began
		others.Store(held("b"))
		<-time.After(renewDeadline / 2)
		others.Store(held(""))
		<-time.After(leaseDuration)
		assert.Len(t, began, 1, "in a term of its own")
		assert.Nil(t, others.Load(), "it has the lease again")
		stop()
		require.NoError(t, <-ended)
	})
}

// Somebody may delete a lease. The one made anew counts its terms from the start: who waits for an import finds none
// that was done in the term that it tells of.
func TestAControllerBeginsAgainWhenItsLeaseWasDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients := fake.NewClientset()
		leases := clients.CoordinationV1().Leases("ns")
		_, err := leases.Create(t.Context(), &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "lease"},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: new(""), LeaseTransitions: new(int32(3))},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
		lock := &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Namespace: "ns", Name: "lease"}, Client: clients.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: "a"},
		}
		began := make(chan int32, 2) // in which term
		lead := func(ctx context.Context, _ func() error) {
			lease, err := leases.Get(ctx, "lease", metav1.GetOptions{})
			if assert.NoError(t, err) {
				began <- *lease.Spec.LeaseTransitions
			}
			<-ctx.Done()
		}
		ended := make(chan error, 1)
		ctx, stop := context.WithCancel(t.Context())
		go func() { ended <- elect(ctx, "lease", lock, logr.Discard(), lead) }()
		require.EqualValues(t, 4, <-began)
		<-time.After(leaseDuration)
		require.NoError(t, leases.Delete(ctx, "lease", metav1.DeleteOptions{}))
		<-time.After(leaseDuration)
		require.Len(t, began, 1, "in a term of its own")
		<-time.After(2 * leaseDuration)
		lease, err := leases.Get(ctx, "lease", metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, "a", *lease.Spec.HolderIdentity)
		assert.Equal(t, *lease.Spec.LeaseTransitions, <-began, "it goes on in that")
		assert.Empty(t, began)
		stop()
		require.NoError(t, <-ended)
	})
}

func TestAControllerIsLeftToOthersWhenTheReplicaIsToldToEnd(t *testing.T) {
	ending := make(chan struct{})
	ctx := until(t.Context(), ending)
	require.NoError(t, ctx.Err())
	close(ending)
	<-ctx.Done()
	require.NoError(t, t.Context().Err())
}
