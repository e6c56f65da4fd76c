// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

const (
	// ReplicaLabel marks the Leases of replicas that reserve addresses.
	ReplicaLabel = "bridgehead.dev/replica"
	// LeaseDuration is how long a replica may lend addresses after it renewed its Lease.
	LeaseDuration = 15 * time.Second
	// renewalsPerLease is how often a replica renews its Lease while it lasts.
	renewalsPerLease = 5
	// retryInterval is how soon after a renewal that failed the next one begins.
	retryInterval = time.Second
	// patience is for how long a replica that does not renew its Lease is asked all the same.
	patience = time.Minute
)

// A Lease is the right to lend that a replica keeps by renewing a Lease. The right ends LeaseDuration after the
// last renewal that succeeded was begun; a replica that let it end goes on under a new name with a new Lease, since
// the addresses it had reserved may belong to others by then.
type Lease struct {
	// Client must not read from a cache.
	Client client.Client
	// Namespace holds the Leases; Pod begins their names.
	Namespace, Pod string
	Clock          clock.WithTicker
	Log            logr.Logger

	// mu guards what follows. Methods whose names end in Locked are called with it held, the others without.
	mu      sync.Mutex
	lease   *coordinationv1.Lease // nil until the first one is written
	renewed time.Time             // when the last renewal that succeeded was begun
	written *coordinationv1.Lease // the one that was written last, also where it is lease no more
}

var _ ledger.ReplicaLease = (*Lease)(nil)

// Replica implements ReplicaLease.
func (t *Lease) Replica() (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lease == nil {
		return "", false
	}
	return t.lease.Name, !t.lapsedLocked()
}

// lapsedLocked reports whether the Lease has not been renewed in time, by the monotonic clock or by the wall clock,
// whichever ran further: either may stand still while a machine sleeps.
func (t *Lease) lapsedLocked() bool { return t.silentLocked() >= LeaseDuration }

func (t *Lease) silentLocked() time.Duration {
	now := t.Clock.Now()
	return max(now.Sub(t.renewed), now.Round(0).Sub(t.renewed.Round(0)))
}

// Check returns why others are to be asked instead of this replica, or nil. That its Lease has lapsed is a reason only
// after a while: where the API server is slow or away, or refuses such writes, no replica has one, and all of them
// would be taken out of the Service. What needs no address is answered without, and what does is told to try again.
func (t *Lease) Check() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.written == nil:
		return errors.New("the Lease of this replica is not written yet")
	case t.silentLocked() >= patience:
		return errors.New("the Lease of this replica is not renewed")
	}
	return nil
}

// ErrRewound says that the store is older than it was: etcd was restored. Nothing that a process remembers of it is
// true any more, so the process has to restart.
var ErrRewound = errors.New("the Lease went back: etcd was restored to an older state; restarting")

// Run renews the Lease until ctx is done, or returns ErrRewound. It returns no other error: a replica without a Lease
// lends nothing and tries on, every retryInterval.
func (t *Lease) Run(ctx context.Context) error {
	for {
		next := t.Clock.Now().Add(LeaseDuration / renewalsPerLease)
		attempt, cancel := context.WithTimeout(ctx, LeaseDuration/3)
		err := t.renew(attempt)
		cancel()
		if errors.Is(err, ErrRewound) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			t.Log.Error(err, "Cannot renew the Lease; no address is assigned once it has expired")
			next = t.Clock.Now().Add(retryInterval)
		}
		select {
		case <-t.Clock.After(next.Sub(t.Clock.Now())):
		case <-ctx.Done():
			return nil
		}
	}
}

// renew writes the Lease once more, or a new one where the last has lapsed.
func (t *Lease) renew(ctx context.Context) error {
	t.mu.Lock()
	lease, begun := t.lease, t.Clock.Now()
	if lease != nil && t.lapsedLocked() {
		t.Log.Info("Lease expired; continuing under a new name", "lease", lease.Name)
		lease = nil
	}
	t.mu.Unlock()
	stamp := metav1.NewMicroTime(begun)
	var err error
	if lease == nil {
		lease = t.newLease(stamp)
		err = t.create(ctx, lease)
	} else {
		lease, err = t.stamp(ctx, lease, stamp)
	}
	if apierrors.IsNotFound(err) || errors.Is(err, ErrRewound) {
		t.abandon(lease.Name) // the janitor took this replica for dead, or never saw it
	}
	if err != nil {
		return fmt.Errorf("renew Lease %s/%s: %w", lease.Namespace, lease.Name, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lease, t.renewed, t.written = lease, begun, lease
	return nil
}

// create writes a Lease, and fails with ErrRewound if the store counts less far than when the last one was written.
func (t *Lease) create(ctx context.Context, lease *coordinationv1.Lease) error {
	if err := t.Client.Create(ctx, lease); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.written != nil && older(lease, t.written) {
		return ErrRewound
	}
	return nil
}

// stamp writes a Lease with another time of renewal, and returns it as it is then. It is the one that was written last,
// or a write was not answered or somebody else's: whichever it is, its version tells whether the store went back, also
// where the store has long since counted past the versions from before.
func (t *Lease) stamp(
	ctx context.Context, last *coordinationv1.Lease, at metav1.MicroTime,
) (*coordinationv1.Lease, error) {
	for {
		next := last.DeepCopy()
		next.Spec.RenewTime = &at
		mark(next)
		err := t.Client.Patch(ctx, next, client.MergeFromWithOptions(last, client.MergeFromWithOptimisticLock{}))
		if err == nil || !apierrors.IsConflict(err) {
			return next, err
		}
		stored := &coordinationv1.Lease{}
		if err := t.Client.Get(ctx, client.ObjectKeyFromObject(last), stored); err != nil {
			return last, err
		}
		if older(stored, last) {
			return last, ErrRewound
		}
		last = stored
	}
}

// mark says that a Lease is a replica's, and how that reads blocks: also where somebody took it away.
func mark(lease *coordinationv1.Lease) {
	metav1.SetMetaDataLabel(&lease.ObjectMeta, ReplicaLabel, "true")
	metav1.SetMetaDataAnnotation(&lease.ObjectMeta, readsAnnotation, readsRows)
}

// older reports whether a Lease is of an earlier version than another.
func older(a, b *coordinationv1.Lease) bool {
	order, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion)
	return err == nil && order < 0
}

// abandon has the replica go on under another name.
func (t *Lease) abandon(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lease != nil && t.lease.Name == name {
		t.lease = nil
	}
}

func (t *Lease) newLease(now metav1.MicroTime) *coordinationv1.Lease {
	name := t.Pod + "-" + rand.String(8)
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: t.Namespace, Name: name},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:       &name,
			LeaseDurationSeconds: ptr.To(int32(LeaseDuration / time.Second)),
			AcquireTime:          &now,
			RenewTime:            &now,
		},
	}
	mark(lease)
	return lease
}

// End gives up the right and removes the Lease. Reservations should have been given back before.
func (t *Lease) End(ctx context.Context) error {
	t.mu.Lock()
	lease := t.lease
	t.lease = nil
	t.mu.Unlock()
	if lease == nil {
		return nil
	}
	return client.IgnoreNotFound(t.Client.Delete(ctx, lease))
}
