// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/bridgehead-dev/bridgehead/arming"
	"github.com/bridgehead-dev/bridgehead/certs"
	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/webhooks"

	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
	"github.com/bridgehead-dev/bridgehead/macpool/janitor"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

// A replica is what one process is made of.
type replica struct {
	options  Options
	identity string
	log      logr.Logger
	config   *rest.Config
	direct   client.Client // reads and writes past the cache
	ledger   *ledger.Ledger
	lease    *cluster.Lease
	format   *cluster.Format
	gate     *cluster.Gate // holds the right to lend back until the addresses in use are imported
	pools    *cluster.Pools
	feed     *cluster.Feed
	nodes    *webhooks.NodeAddresses
	claims   *webhooks.ClaimKeys
	looking  client.WithWatch // what the webhooks look at the cluster with
	sources  webhooks.Sources
	source   *certs.Source
	drain    *webhooks.Drain
	counts   counts
	events   events.EventRecorder
	// podNamespaces are those of Options, parsed.
	podNamespaces labels.Selector
	// ending is closed when the replica is told to end. It goes on serving for a while.
	ending <-chan struct{}
	// neighbours are looked for before anything is done that others do as well.
	neighbours *arming.Watch
	janitor    atomic.Pointer[janitor.Janitor] // nil while another replica's is at work
}

func newReplica(
	ctx context.Context, o Options, mgr manager.Manager, direct client.Client, source *certs.Source, log logr.Logger,
) (*replica, error) {
	r := &replica{
		options:    o,
		identity:   o.Pod + "-" + rand.String(5),
		log:        log,
		config:     mgr.GetConfig(),
		direct:     direct,
		pools:      &cluster.Pools{},
		source:     source,
		drain:      &webhooks.Drain{MaxAge: o.ConnectionMaxAge},
		counts:     newCounts(),
		events:     mgr.GetEventRecorder("bridgehead"),
		neighbours: &arming.Watch{Reader: direct},
	}
	r.nodes = &webhooks.NodeAddresses{Changed: r.pools.SetForeign}
	r.makeLeases()
	nads, err := webhooks.NewNADWatch(r.config, o.ResourceNameKeys, o.MultusNamespace, log)
	if err != nil {
		return nil, err
	}
	objects := janitor.Objects{Reader: direct, TakesMAC: nads.TakesMAC}
	// The ledger writes until it is closed, which is after everything else has ended.
	r.ledger = ledger.New(context.WithoutCancel(ctx), ledger.Options{
		Store: cluster.CountedStore{
			Store: cluster.KubeStore{Client: direct, Format: r.format}, Writes: r.counts.writes,
		},
		Lease:   r.gate,
		Objects: objects,
		Clock:   clock.RealClock{},

		MaxAdmission: o.RequestTimeout, GaveUp: r.giveUp,
	})
	r.feed = &cluster.Feed{Ledger: r.ledger, Pools: r.pools, Cache: mgr.GetCache(), Log: log.WithName("feed")}
	if r.looking, err = webhooks.NewClient(r.config); err != nil {
		return nil, err
	}
	r.sources = r.sourcesOf(nads, objects)
	return r, r.feed.Register(ctx)
}

// makeLeases makes what says whether this replica may lend, in which form it writes, and what it signs with.
func (r *replica) makeLeases() {
	o, direct, log := r.options, r.direct, r.log
	r.lease = &cluster.Lease{
		Client: direct, Namespace: o.Namespace, Pod: o.Pod, Clock: clock.RealClock{}, Log: log.WithName("lease"),
	}
	r.format = &cluster.Format{
		Client: direct, Namespace: o.Namespace, Known: func() []*macpool.Block { return r.ledger.Blocks() },
		Clock: clock.RealClock{}, Log: log.WithName("format"),
	}
	r.claims = &webhooks.ClaimKeys{
		Client: direct, Namespace: o.Namespace, Clock: clock.RealClock{}, Log: log.WithName("claims"),
		Unsigned: func() bool { return !r.format.Rows() },
	}
	r.gate = &cluster.Gate{
		Lease: r.lease, Reader: direct, Self: r.identity, Clock: clock.RealClock{},
		Janitor: types.NamespacedName{Namespace: o.Namespace, Name: janitorLease},
		Unread:  unreadNodes(r.nodes),
	}
}

// unreadNodes returns what fails until the addresses of nodes are known. A pool may have some of them: what is lent
// before, by a request that reaches a replica which has just restarted, may be a node's, and stays so.
func unreadNodes(nodes *webhooks.NodeAddresses) func() error {
	return func() error {
		if !nodes.Ready() {
			return errors.New("the addresses of nodes, which no pool lends, are being read")
		}
		return nil
	}
}

// sourcesOf returns what the webhooks know of the cluster.
func (r *replica) sourcesOf(nads *webhooks.NADWatch, objects janitor.Objects) webhooks.Sources {
	return webhooks.Sources{
		Lending: webhooks.Lending{
			Ledger: r.ledger, PoolFor: r.pools.For, Claims: r.claims, NodeOf: r.nodes.Node, Having: objects.Having,
		},
		NADs:         nads,
		Bridges:      &webhooks.Bridges{},
		Cluster:      webhooks.Cluster{Reader: r.looking, MultusNamespace: r.options.MultusNamespace},
		Access:       webhooks.Access{Client: r.looking},
		ResourceKeys: r.options.ResourceNameKeys,
	}
}

// register has the manager run the parts.
func (r *replica) register(mgr manager.Manager) error {
	keeper := &arming.Keeper{
		Client: r.direct, Namespace: r.options.Namespace,
		Service: arming.Service, Trust: r.source.Trust, Paths: r.paths(),
		Keeping: certs.Keeping(r.options.CA), Log: r.log.WithName("arming"),
	}
	if err := keeper.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("set up webhook configurations: %w", err)
	}
	books, err := r.election(janitorLease, r.keepBooks)
	if err != nil {
		return err
	}
	turns, err := r.election(rolloutLease, r.rollOut)
	if err != nil {
		return err
	}
	for _, part := range []manager.Runnable{
		r.source, r.server(), r.probes(), r.watchCluster(), r.openGate(), r.chooseFormat(), r.endIfRewound(), books, turns,
	} {
		if err := mgr.Add(part); err != nil {
			return fmt.Errorf("set up: %w", err)
		}
	}
	return nil
}

// watchCluster keeps what the webhooks know of the cluster.
func (r *replica) watchCluster() everywhere {
	return func(ctx context.Context) error {
		var running sync.WaitGroup
		running.Go(func() { r.sources.NADs.Run(ctx) })
		running.Go(func() { r.sources.Bridges.Run(ctx, r.looking) })
		running.Go(func() { r.nodes.Run(ctx, r.looking) })
		running.Go(func() { r.claims.Run(ctx) })
		running.Wait()
		return nil
	}
}

// openGate has the replica lend once the addresses in use are imported.
func (r *replica) openGate() everywhere {
	return func(ctx context.Context) error {
		r.gate.Run(ctx)
		return nil
	}
}

// chooseFormat has the replica write blocks so that all others can read them.
func (r *replica) chooseFormat() everywhere {
	return func(ctx context.Context) error {
		r.format.Run(ctx)
		return nil
	}
}

// endIfRewound ends the program when etcd turned out to be older than it was: nothing that a process remembers is true
// then, and the next one begins with an import.
func (r *replica) endIfRewound() everywhere {
	return func(ctx context.Context) error {
		select {
		case <-r.ledger.Rewound():
			return r.ledger.Err()
		case <-ctx.Done():
			return nil
		}
	}
}

// everywhere is a part that runs in every replica.
type everywhere func(ctx context.Context) error

// Start implements manager.Runnable.
func (f everywhere) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (everywhere) NeedLeaderElection() bool { return false }
