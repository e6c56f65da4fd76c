// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/clock"

	"github.com/bridgehead-dev/bridgehead/arming"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
	"github.com/bridgehead-dev/bridgehead/macpool/janitor"
	"github.com/bridgehead-dev/bridgehead/rollout"
)

const (
	// janitorLease is held by the replica whose janitor is at work.
	janitorLease = "bridgehead-janitor"
	// rolloutLease is held by the replica that hands out turns.
	rolloutLease = "bridgehead-rollout"

	// leaseDuration is how long others leave a lease alone that is not renewed.
	leaseDuration = 15 * time.Second
	// renewDeadline is how long its holder goes on without renewing it. What lies between is for writes under way.
	renewDeadline = 10 * time.Second
)

// election runs a controller while this replica holds a lease. Losing the lease ends the controller and nothing else:
// webhooks are served all the same, and the replica stands for election again. A replica that is told to end leaves the
// controller to another one at once. leads reports whether the lease is still held.
func (r *replica) election(lease string, lead func(ctx context.Context, leads func() error)) (everywhere, error) {
	clients, err := kubernetes.NewForConfig(r.config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, r.options.Namespace, lease,
		clients.CoreV1(), clients.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: r.identity})
	if err != nil {
		return nil, fmt.Errorf("set up election: %w", err)
	}
	return func(ctx context.Context) error { return elect(until(ctx, r.ending), lease, lock, r.log, lead) }, nil
}

// until returns a context that is done when ctx is, or when the channel is closed.
func until(ctx context.Context, ended <-chan struct{}) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		select {
		case <-ended:
		case <-ctx.Done():
		}
	}()
	return ctx
}

// elect stands for election until ctx is done, and leads whenever it is elected. It stands again only when lead has
// ended: what two do at once is what an election is against.
func elect(
	ctx context.Context, lease string, lock resourcelock.Interface, log logr.Logger,
	lead func(ctx context.Context, leads func() error),
) error {
	for ctx.Err() == nil {
		ended := make(chan struct{})
		var elected atomic.Bool
		running, lose := context.WithCancel(ctx)
		var elector *leaderelection.LeaderElector
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: guardedLock{Interface: lock, lost: func() {
				if elected.Load() {
					lose()
				}
			}},
			Name: lease, ReleaseOnCancel: true,
			LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: 2 * time.Second,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					defer close(ended)
					elected.Store(true)
					lead(ctx, func() error { return stillLeads(elector) })
				},
				OnStoppedLeading: func() { log.Info("Not leading", "lease", lease) },
			},
		})
		if err != nil {
			lose()
			return fmt.Errorf("set up election: %w", err)
		}
		elector.Run(running)
		lose()
		if ctx.Err() == nil { // it was elected
			<-ended
		}
	}
	return nil
}

// A guardedLock tells when the lease is found with somebody else, or nobody, or deleted. A process that stood still
// may find it so and get it back before the elector gives up: it would go on in a term that is over, and nobody takes
// for imported what it imported in that.
type guardedLock struct {
	resourcelock.Interface
	lost func()
}

// Get implements resourcelock.Interface.
func (l guardedLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if apierrors.IsNotFound(err) || err == nil && record.HolderIdentity != l.Identity() {
		l.lost()
	}
	return record, raw, err
}

// stillLeads fails once the lease has not been renewed within the deadline, by this process's clock.
func stillLeads(elector *leaderelection.LeaderElector) error {
	if !elector.IsLeader() {
		return errors.New("another replica holds the lease")
	}
	return elector.Check(renewDeadline - leaseDuration)
}

// again runs something until ctx is done, again where it fails.
func (r *replica) again(ctx context.Context, what string, run func(context.Context) error) {
	for ctx.Err() == nil {
		if err := run(ctx); err != nil && ctx.Err() == nil {
			r.log.Error(err, what+" failed, starting it again")
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
}

// keepBooks runs a janitor until ctx is done.
func (r *replica) keepBooks(ctx context.Context, _ func() error) {
	r.again(ctx, "Janitor", r.clean)
}

// rollOut hands out turns until ctx is done.
func (r *replica) rollOut(ctx context.Context, leads func() error) {
	defer r.counts.nodes.Reset() // they are another replica's to tell of
	if err := r.waitForNeighbours(ctx); err != nil {
		return // the lease is lost, or we end
	}
	r.again(ctx, "Rollout", func(ctx context.Context) error {
		return rollout.Run(ctx, rollout.Options{
			Config: r.config, Leads: leads, Observe: r.counts.observeRollout, Log: r.log.WithName("rollout"),
		})
	})
}

func (r *replica) clean(ctx context.Context) error {
	term, err := r.term(ctx)
	if err != nil {
		return err
	}
	vms, err := janitor.NewVMCache(r.config, r.direct.Scheme(), r.podNamespaces)
	if err != nil {
		return err
	}
	janitor := &janitor.Janitor{
		Ledger: r.ledger, VMs: vms, Client: r.direct, Namespace: r.options.Namespace, Term: term,
		Clock: clock.RealClock{}, Log: r.log.WithName("janitor"), Events: r.events,
		Unreadable: r.feed.Unreadable, Serving: r.pools.Serving, Foreign: r.pools.Foreign,
		TakesMAC: r.sources.NADs.TakesMAC,
	}
	r.janitor.Store(janitor)
	defer r.janitor.Store(nil)
	return janitor.Start(ctx)
}

// term returns the one for which this replica holds the lease of the janitor now.
func (r *replica) term(ctx context.Context) (cluster.Term, error) {
	var lease coordinationv1.Lease
	key := types.NamespacedName{Namespace: r.options.Namespace, Name: janitorLease}
	if err := r.direct.Get(ctx, key, &lease); err != nil {
		return cluster.Term{}, fmt.Errorf("read the janitor's lease: %w", err)
	}
	term := cluster.ReadLeadership(&lease).Term
	if term.Holder != r.identity {
		return cluster.Term{}, fmt.Errorf("the janitor's lease is held by %q", term.Holder)
	}
	return term, nil
}

// waitForNeighbours blocks until nobody else does our work, and tells once of each who does. Until then no node has a
// turn, so agents change nothing.
func (r *replica) waitForNeighbours(ctx context.Context) error {
	told := map[string]bool{}
	return wait.PollUntilContextCancel(ctx, 2*time.Second, true, func(ctx context.Context) (bool, error) {
		found, err := r.neighbours.Look(ctx)
		if err != nil {
			r.log.Error(err, "Cannot look for conflicting components, trying again")
			return false, nil
		}
		for _, n := range found {
			if !told[n.String()] {
				told[n.String()] = true
				r.tellOf(n)
			}
		}
		return len(found) == 0, nil
	})
}

// tellOf tells of somebody who does our work. The event is about both, for those of one reason about one object are
// counted as one.
func (r *replica) tellOf(n arming.Neighbour) {
	r.log.Info("Waiting until a conflicting component is removed", "found", n.String())
	deployment := &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Namespace: r.options.Namespace, Name: "bridgehead"},
	}
	other := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: n.Namespace, Name: n.Name}}
	other.SetGroupVersionKind(n.Kind)
	said := n.String()
	said = said[:min(len(said), 1000)]
	r.events.Eventf(deployment, other, corev1.EventTypeWarning, "InstalledBesideOthers", "Install", "%s", said)
}
