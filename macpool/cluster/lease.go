// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
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
	// Duration replaces LeaseDuration, for tests on a shorter scale; zero leaves it.
	Duration time.Duration

	mu      sync.Mutex
	lease   *coordinationv1.Lease // nil until the first one is written
	renewed time.Time             // when the last renewal that succeeded was begun
}

var _ ledger.ReplicaLease = (*Lease)(nil)

// Replica implements ReplicaLease.
func (t *Lease) Replica() (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lease == nil {
		return "", false
	}
	return t.lease.Name, !t.lapsed()
}

// lapsed says whether the Lease has not been renewed in time, by the monotonic clock or by the wall clock, whichever
// ran further: either may stand still while a machine sleeps.
func (t *Lease) lapsed() bool {
	now := t.Clock.Now()
	return max(now.Sub(t.renewed), now.Round(0).Sub(t.renewed.Round(0))) >= t.duration()
}

func (t *Lease) duration() time.Duration {
	return cmp.Or(t.Duration, LeaseDuration)
}

// Run renews the Lease until ctx is done. It returns no error: a replica without a Lease lends nothing and tries on.
func (t *Lease) Run(ctx context.Context) {
	interval := t.duration() / renewalsPerLease
	ticker := t.Clock.NewTicker(interval)
	defer ticker.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, t.duration()/3)
		if err := t.renew(attempt); err != nil && ctx.Err() == nil {
			t.Log.Error(err, "Lease not renewed: no address is lent once it has run out")
		}
		cancel()
		select {
		case <-ticker.C():
		case <-ctx.Done():
			return
		}
	}
}

// renew writes the Lease once more, or a new one where the last has lapsed.
func (t *Lease) renew(ctx context.Context) error {
	t.mu.Lock()
	lease, begun := t.lease, t.Clock.Now()
	if lease != nil && t.lapsed() {
		t.Log.Info("Lease lapsed: going on under a new name", "lease", lease.Name)
		lease = nil
	}
	t.mu.Unlock()
	stamp := metav1.NewMicroTime(begun)
	var err error
	if lease == nil {
		lease = t.newLease(stamp)
		err = t.Client.Create(ctx, lease)
	} else {
		before := lease
		lease = lease.DeepCopy()
		lease.Spec.RenewTime = &stamp
		err = t.Client.Patch(ctx, lease, client.MergeFrom(before))
		if err == nil && rewound(before, lease) {
			err = errors.New("it is older than it was: etcd was restored")
			t.abandon(lease.Name)
		}
	}
	if apierrors.IsNotFound(err) {
		t.abandon(lease.Name) // the janitor took this replica for dead
	}
	if err != nil {
		return fmt.Errorf("renew Lease %s/%s: %w", lease.Namespace, lease.Name, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lease, t.renewed = lease, begun
	return nil
}

// rewound reports whether a Lease that was written has an earlier version than before that.
func rewound(before, written *coordinationv1.Lease) bool {
	order, err := resourceversion.CompareResourceVersion(written.ResourceVersion, before.ResourceVersion)
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
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: t.Namespace, Name: name, Labels: map[string]string{ReplicaLabel: "true"},
			Annotations: map[string]string{ReadsAnnotation: readsRows},
		},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:       &name,
			LeaseDurationSeconds: ptr.To(int32(max(1, t.duration()/time.Second))),
			AcquireTime:          &now,
			RenewTime:            &now,
		},
	}
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
