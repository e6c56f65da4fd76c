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

func TestAControllerIsLeftToOthersWhenTheReplicaIsToldToEnd(t *testing.T) {
	ending := make(chan struct{})
	ctx := until(t.Context(), ending)
	require.NoError(t, ctx.Err())
	close(ending)
	<-ctx.Done()
	require.NoError(t, t.Context().Err())
}
