// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

// publishRetry is how long to wait before a write that failed is tried again.
const publishRetry = time.Second

// A snapshot is the node's network at a moment, and what of it policies declare.
type snapshot struct {
	state, committed netstate.State
	// notUndone are policies of which a change could not be undone, and was set aside.
	notUndone []string
	err       error // why the state could not be read
}

// A publisher tells the API server how the node is. It works beside the agent's main loop, which must not wait for an
// API server that may be away: of what is told meanwhile, the last word is written when it is back.
type publisher struct {
	cluster *cluster
	ignored []string
	version string
	clock   clock.PassiveClock
	log     logr.Logger
	event   func(policy, kind, reason, note string)
	// published is called whenever all that was to be written of a snapshot is written.
	published func()

	mu      sync.Mutex // guards latest and results
	latest  *snapshot
	results map[string]Result
	wake    chan struct{}

	strays  map[string]bool // reported already; used by run only
	compare comparer        // used by run only
}

func newPublisher(c *cluster, o Options, published func()) *publisher {
	return &publisher{
		cluster: c, ignored: o.IgnoredBridges, version: o.Version, clock: o.Clock, log: o.Log.WithName("publisher"),
		event: o.Event, published: published, results: map[string]Result{}, wake: make(chan struct{}, 1),
		strays: map[string]bool{},
	}
}

// show has a snapshot published.
func (p *publisher) show(s snapshot) {
	p.mu.Lock()
	p.latest = &s
	p.mu.Unlock()
	p.nudge()
}

// tell has a result published.
func (p *publisher) tell(r Result) {
	p.mu.Lock()
	p.results[r.Policy] = r
	p.mu.Unlock()
	p.nudge()
}

// nudge has everything compared again with what the API server has.
func (p *publisher) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// busy reports whether a result of this policy is still to be written: until then the enactment says what was before.
func (p *publisher) busy(policy string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.results[policy]
	return ok
}

// run publishes until ctx is done.
func (p *publisher) run(ctx context.Context) {
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-retry.C:
		}
		if err := p.publish(ctx); err != nil && ctx.Err() == nil {
			p.log.Info("Cannot publish the state of the node, trying again", "error", err.Error())
			retry.Reset(publishRetry)
		}
	}
}

// publish writes what differs. One part that fails does not keep the others from being written.
func (p *publisher) publish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	p.mu.Lock()
	latest := p.latest
	p.mu.Unlock()
	failed := []error{p.publishResults(ctx)}
	if latest != nil {
		failed = append(failed, p.publishState(ctx, *latest))
	}
	if latest != nil && latest.err == nil { // what is offered stays until more is known
		failed = append(failed, p.publishCapacity(ctx, *latest))
	}
	err := errors.Join(failed...)
	if err == nil && latest != nil {
		p.published()
	}
	return err
}

func (p *publisher) publishResults(ctx context.Context) error {
	p.mu.Lock()
	pending := make([]Result, 0, len(p.results))
	for _, r := range p.results {
		pending = append(pending, r)
	}
	p.mu.Unlock()
	var failed []error
	for _, r := range pending {
		if err := p.cluster.end(ctx, r, metav1.NewTime(p.clock.Now())); err != nil {
			failed = append(failed, fmt.Errorf("report policy %s: %w", r.Policy, err))
			continue
		}
		p.mu.Lock()
		if p.results[r.Policy].Generation == r.Generation {
			delete(p.results, r.Policy)
		}
		p.mu.Unlock()
	}
	return errors.Join(failed...)
}

// publishState keeps the NodeNetworkState of the node. It is written when it says something new.
func (p *publisher) publishState(ctx context.Context, s snapshot) error {
	err := p.updateState(ctx, p.cluster.cache, s)
	if apierrors.IsConflict(err) {
		// The cache does not have our last write yet.
		err = p.updateState(ctx, p.cluster.live, s)
	}
	if apierrors.IsNotFound(err) {
		return p.createState(ctx)
	}
	return err
}

func (p *publisher) updateState(ctx context.Context, from client.Reader, s snapshot) error {
	var old v1beta1.NodeNetworkState
	if err := from.Get(ctx, types.NamespacedName{Name: p.cluster.node}, &old); err != nil {
		return fmt.Errorf("read node state: %w", err)
	}
	status, changed, err := p.compare.nodeState(old.Status, s, p.version, metav1.NewTime(p.clock.Now()))
	if err != nil || !changed {
		return err
	}
	next := old.DeepCopy()
	next.Status = status
	if err := p.cluster.live.Status().Update(ctx, next); err != nil {
		return fmt.Errorf("write node state: %w", err)
	}
	return nil
}

func (p *publisher) createState(ctx context.Context) error {
	node, err := p.cluster.self(ctx)
	if err != nil {
		return err
	}
	state := &v1beta1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{
		Name:            node.Name,
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}},
	}}
	// The watch tells when it is there, and then its status is written.
	if err := p.cluster.live.Create(ctx, state); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create node state: %w", err)
	}
	return nil
}

// publishCapacity keeps what the Node offers of bridges.
func (p *publisher) publishCapacity(ctx context.Context, s snapshot) error {
	node, err := p.cluster.self(ctx)
	if err != nil {
		return err
	}
	bridges, stray := advertised(s.state, s.committed, p.ignored)
	p.reportStrays(stray)
	patch, err := capacityPatch(node, bridges)
	if err != nil || patch == nil {
		return err
	}
	if err := p.cluster.live.Status().Patch(ctx, node, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("offer bridges on the node: %w", err)
	}
	p.log.Info("Offered bridges", "patch", string(patch))
	return nil
}

// reportStrays tells once of bridges that lack a port which a policy declares.
func (p *publisher) reportStrays(stray []string) {
	now := map[string]bool{}
	for _, bridge := range stray {
		now[bridge] = true
		if !p.strays[bridge] {
			p.event("", corev1.EventTypeWarning, "BridgeIncomplete",
				"bridge "+bridge+" lacks a port that a policy declares, so it is not offered to pods: "+
					"a CNI plugin may have made it while ours was missing")
		}
	}
	p.strays = now
}
