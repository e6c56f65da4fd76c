package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/clock"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// janitorLease is held by the replica whose janitor is at work.
const janitorLease = "bridgehead-janitor"

// election runs the janitor while this replica holds the lease. Losing the lease ends the janitor and nothing else:
// webhooks are served all the same, and the replica stands for election again.
func (r *replica) election() (func(context.Context) error, error) {
	clients, err := kubernetes.NewForConfig(r.config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, r.options.Namespace, janitorLease,
		clients.CoreV1(), clients.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: r.identity})
	if err != nil {
		return nil, fmt.Errorf("set up election: %w", err)
	}
	config := leaderelection.LeaderElectionConfig{
		Lock: lock, Name: janitorLease, ReleaseOnCancel: true,
		LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: r.lead,
			OnStoppedLeading: func() { r.log.Info("Janitor stopped") },
		},
	}
	return func(ctx context.Context) error {
		for ctx.Err() == nil {
			elector, err := leaderelection.NewLeaderElector(config)
			if err != nil {
				return fmt.Errorf("set up election: %w", err)
			}
			elector.Run(ctx)
		}
		return nil
	}, nil
}

// lead runs a janitor until ctx is done, again where it fails.
func (r *replica) lead(ctx context.Context) {
	for ctx.Err() == nil {
		if err := r.clean(ctx); err != nil && ctx.Err() == nil {
			r.log.Error(err, "Janitor failed, starting it again")
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
}

func (r *replica) clean(ctx context.Context) error {
	vms, err := macpool.NewVMCache(r.config, r.direct.Scheme())
	if err != nil {
		return err
	}
	janitor := &macpool.Janitor{
		Ledger: r.ledger, VMs: vms, Client: r.direct, Namespace: r.options.Namespace, Identity: r.identity,
		Clock: clock.RealClock{}, Log: r.log.WithName("janitor"),
	}
	return janitor.Start(ctx)
}
