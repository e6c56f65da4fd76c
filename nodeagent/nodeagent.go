// SPDX-License-Identifier: Apache-2.0

// Package nodeagent is the agent of a node: it makes the node's network be as policies say and keeps it so, reports how
// it is, and offers its bridges to pods.
//
// A Keeper does what needs no API: it plans, applies, probes, and commits or undoes; after a crash or a reboot it
// restores. The Agent around it takes the turns that the rollout controller grants, and a publisher beside it tells the
// API server the results, whenever that can be reached.
package nodeagent

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

const (
	// debounce is how long the agent waits after a change of the network for the changes that come with it.
	debounce = 100 * time.Millisecond
	// resyncInterval is how often the network is read although nothing was heard of a change.
	resyncInterval = time.Minute
)

// A Network is the network of a node.
type Network interface {
	kernel.Node
	// Watch tells of changes as kernel.Kernel.Watch does.
	Watch(ctx context.Context) (<-chan kernel.Change, error)
}

// Options are what an Agent is made of.
type Options struct {
	// NodeName is the name of the node's Node.
	NodeName string
	// Network is the node's network. Its Do carries out every kind of step.
	Network Network
	// StateDir keeps the journal over reboots.
	StateDir string
	// Boot names this boot of the machine.
	Boot string
	// Config is how to reach the API server.
	Config *rest.Config
	// Probe is asked around every change; nil asks nothing.
	Probe Probe
	// ProbeDeadline is how long the probe may take after a change; DefaultProbeDeadline if zero.
	ProbeDeadline time.Duration
	// Way asks what the node reaches others by, for the next boot to ask the same. Nil asks nothing.
	Way WayProbe
	// Access returns what the process lacks to change the network. Nil asks nobody.
	Access func() error
	// Committed is called when a change is final. Nil is fine.
	Committed func()
	// Hold keeps links from the programs that manage links, and gives others back. Nil knows no such program.
	Hold func(links []string) error
	// Held returns the links that are kept from such programs. Nil knows none.
	Held func() ([]string, error)
	// RemoveProfiles deletes what kubernetes-nmstate left with a manager of links for some links, and returns the names.
	// Nil knows no such manager.
	RemoveProfiles func(links []string) ([]string, error)
	// RestoredAtBoot reports whether the host restores its network before kubelet starts. Nil asks nobody.
	RestoredAtBoot func() (bool, error)
	// BootUnit puts what restores the network at boot on the host, and takes it away. Nil leaves that to people.
	BootUnit BootUnit
	// Others returns who else configures or reports this node, with how to end that, or that it cannot tell. Until it
	// returns nil, once, the agent writes nothing to the API server and takes no turn, unless the node is committed to
	// something: then it was here first. Nil knows of nobody.
	Others func(context.Context) error
	// IgnoredBridges are patterns of bridges that are not offered to pods unless a policy declares them.
	IgnoredBridges []string
	// Event tells people of something about a policy, or about the node if the policy is "". Nil tells nobody.
	Event func(policy, kind, reason, note string)
	// Version goes into the NodeNetworkState.
	Version string
	// Metrics takes the agent's metrics. Nil is fine.
	Metrics prometheus.Registerer
	Clock   clock.PassiveClock
	Log     logr.Logger
}

// An Agent runs a node. Make one with New, and run it once.
type Agent struct {
	options Options
	keeper  *Keeper
	cluster *cluster
	publish *publisher
	metrics *metrics
	health  *health

	wake   chan struct{}
	synced chan struct{} // closed when the API is cached
	// claims are the generations whose turns were claimed and not taken yet, by policy: whether the API server heard is
	// not known.
	claims map[string]int64
	// installed is what became of the unit that restores the network at boot.
	installed installed
	// cleaned are the generations whose links have no profiles of kubernetes-nmstate any more, by the policies' keys.
	cleaned map[string]int64
	// attempts are the turns that failed and may be tried again, by the policies' keys.
	attempts map[string]attempt
}

// New makes an agent. It touches neither the network nor the API.
func New(o Options) (*Agent, error) {
	if o.Event == nil {
		o.Event = func(string, string, string, string) {}
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	journal, err := journal.Open(o.StateDir)
	if err != nil {
		return nil, err
	}
	c, err := newCluster(o.Config, o.NodeName)
	if err != nil {
		return nil, err
	}
	state := &health{clock: o.Clock}
	return &Agent{
		options: o,
		keeper: &Keeper{
			Node:      o.Network,
			Journal:   journal,
			Boot:      o.Boot,
			Probe:     o.Probe,
			Deadline:  o.ProbeDeadline,
			HoldLinks: o.Hold,
			HeldLinks: o.Held,
			Clock:     o.Clock,
			Event: func(policy, reason, note string) {
				o.Event(policy, corev1.EventTypeWarning, reason, o.NodeName+": "+note)
			},
			Log: o.Log.WithName("keeper"),
		},
		cluster: c,
		publish: newPublisher(c, o, func() { state.reached.Store(true) }),
		metrics: newMetrics(o.Metrics),
		health:  state,
		wake:    make(chan struct{}, 1),
		synced:  make(chan struct{}),
		claims:  map[string]int64{},

		cleaned:  map[string]int64{},
		attempts: map[string]attempt{},
	}, nil
}

// Run restores the node and then keeps it until ctx is done. It leaves the network as it is.
func (a *Agent) Run(ctx context.Context) error {
	if a.options.Access != nil {
		if err := a.options.Access(); err != nil {
			a.options.Log.Error(err, "The agent lacks permissions that it needs; policies will fail on this node")
		}
	}
	if err := a.keeper.Restore(); err != nil {
		a.options.Log.Error(err, "Could not restore everything")
	}
	a.tellFallen()
	a.committed()
	a.health.restored.Store(true)
	a.options.Log.Info("Restored", "policies", len(a.keeper.records))
	ctx, stop := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer stop()
	parts.Go(func() {
		if err := a.waitForOthers(ctx); err != nil {
			return // the agent ends
		}
		parts.Go(func() { a.publish.run(ctx) })
		a.watchCluster(ctx)
	})
	parts.Go(func() {
		if err := a.cluster.cache.Start(ctx); err != nil {
			a.options.Log.Error(err, "Watches ended")
		}
	})
	return a.loop(ctx)
}

// waitForOthers blocks until nobody else configures or reports this node, or ctx is done.
func (a *Agent) waitForOthers(ctx context.Context) error {
	if a.options.Others == nil || len(a.keeper.records) > 0 {
		return nil
	}
	var said string
	return wait.PollUntilContextCancel(ctx, publishRetry, true, func(ctx context.Context) (bool, error) {
		err := a.options.Others(ctx)
		a.health.others.Store(&err)
		if err != nil && err.Error() != said {
			said = err.Error()
			a.options.Log.Info("Waiting until a conflicting component is removed", "why", said)
		}
		return err == nil, nil
	})
}

// watchCluster has the main loop woken by what changes in the API, from when the API server can be reached.
func (a *Agent) watchCluster(ctx context.Context) {
	err := wait.PollUntilContextCancel(ctx, publishRetry, true, func(ctx context.Context) (bool, error) {
		err := a.cluster.watch(ctx, a.nudge, a.publish.nudge)
		if err != nil {
			a.options.Log.Info("Cannot reach the API server, trying again", "error", err.Error())
		}
		return err == nil, nil
	})
	if err != nil || !a.cluster.cache.WaitForCacheSync(ctx) {
		return
	}
	close(a.synced)
	a.nudge()
}

// nudge has the main loop look at everything again, and the publisher too.
func (a *Agent) nudge() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
	a.publish.nudge()
}
