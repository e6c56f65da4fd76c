// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
)

const (
	// reportInterval is how often the progress of a policy is written at most, where its nodes are few. That it begins,
	// ends or fails is written at once.
	reportInterval = time.Second
	// reportPerNode is what the interval has for each node, where they are many, up to resyncInterval: every write goes
	// to all agents.
	reportPerNode = 20 * time.Millisecond
	// retryInterval is when to look again at a cache that is behind, if no event came before.
	retryInterval = 200 * time.Millisecond
	// resyncInterval is the same where an event is all but certain.
	resyncInterval = 5 * time.Second
)

// A Reconciler carries out what Decide says about each policy. One at a time may run: the limit on turns is kept by
// what one process decides, and each of its writes is on the version that was decided on.
type Reconciler struct {
	// Client reads from a cache that has the index of Run.
	Client client.Client
	// Live reads past the cache.
	Live client.Reader
	// Leads reports whether this process may still write. It is asked before every turn that is granted: a process that
	// was paused must not go on with what it had decided. Nil means that it may.
	Leads func() error
	// Observe is told of each decision about a policy; the Summary is nil if there is none any more. Nil for nobody.
	Observe func(policy string, s *Summary)
	// Events tells of enactments that abort.
	Events events.EventRecorder
	Clock  clock.PassiveClock
	Log    logr.Logger
	// Workers is how many writes are made at a time; at least one is.
	Workers int

	memory memory
}

// Reconcile decides about the policy that the request names.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	result, err := r.reconcile(ctx, request.Name)
	if err == nil || !onlyOutdated(err) {
		return result, err
	}
	// Somebody else wrote first. We are about to hear of it, if we have not already.
	r.Log.V(1).Info("Decided on outdated objects", "policy", request.Name, "error", err.Error())
	return reconcile.Result{RequeueAfter: retryInterval}, nil
}

func (r *Reconciler) reconcile(ctx context.Context, policy string) (reconcile.Result, error) {
	view, err := r.read(ctx, policy)
	if err != nil {
		return reconcile.Result{}, err
	}
	behind, err := r.behind(ctx, policy, view.enactments)
	if err != nil {
		return reconcile.Result{}, err
	}
	if behind {
		return reconcile.Result{RequeueAfter: retryInterval}, nil
	}
	decision := Decide(view.View)
	if r.Observe != nil {
		r.Observe(policy, decision.Summary)
	}
	var later time.Duration
	if decision.Summary != nil {
		if later, err = r.report(ctx, view, *decision.Summary); err != nil {
			return reconcile.Result{}, err
		}
	}
	if err := r.act(ctx, policy, view, decision.Actions); err != nil {
		return reconcile.Result{}, err
	}
	if len(decision.Actions) > 0 && later == 0 {
		later = resyncInterval
	}
	if view.policy == nil && len(view.enactments) == 0 {
		r.memory.forget(policy)
	}
	return reconcile.Result{RequeueAfter: later}, nil
}

// report writes the status of a policy if it changes. What is only a detail may have to wait; later is for how long.
func (r *Reconciler) report(ctx context.Context, view *reading, s Summary) (later time.Duration, err error) {
	now := metav1.NewTime(r.Clock.Now())
	status, change := s.Status(view.policy.Status, now)
	switch change {
	case Same:
		return 0, nil
	case Detail:
		pause := min(max(reportInterval, time.Duration(len(view.Nodes))*reportPerNode), resyncInterval)
		if later = pause - now.Sub(lastReport(view.policy.Status)); later > 0 && later <= pause {
			return later, nil
		}
	}
	// A zero count, or map, is left out of what is written, and must be removed from what is stored.
	patch := mergePatch{"metadata": onVersion(view.policy), "status": map[string]any{
		"conditions":                     status.Conditions,
		"observedGeneration":             status.ObservedGeneration,
		"unavailableNodeCount":           status.UnavailableNodeCount,
		"unavailableNodeCountMap":        replaced(view.policy.Status.UnavailableNodeCountMap, status.UnavailableNodeCountMap),
		"lastUnavailableNodeCountUpdate": status.LastUnavailableNodeCountUpdate,
	}}
	written := view.policy.DeepCopy()
	if err := r.Client.Status().Patch(ctx, written, patch); err != nil {
		return 0, fmt.Errorf("write status: %w", err)
	}
	r.memory.reports(written)
	if change == Turnover {
		r.Log.Info("Policy is "+string(s.State), "policy", view.policy.Name, "generation", s.Generation, "message", s.Message)
	}
	return 0, nil
}

// lastReport returns when a status was written last.
func lastReport(s nmstate.PolicyStatus) time.Time {
	var last time.Time
	if s.LastUnavailableNodeCountUpdate != nil {
		last = s.LastUnavailableNodeCountUpdate.Time
	}
	for _, c := range s.Conditions {
		if c.LastHeartbeatTime.After(last) {
			last = c.LastHeartbeatTime.Time
		}
	}
	return last
}

// replaced returns the merge patch that leaves nothing of an old map in a new one.
func replaced(before, after map[string]int) map[string]any {
	patch := map[string]any{}
	for key := range before {
		patch[key] = nil
	}
	for key, value := range after {
		patch[key] = value
	}
	return patch
}

// onlyOutdated reports whether all that went wrong is that objects were not as they had been read.
func onlyOutdated(err error) bool {
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) {
		for _, each := range many.Unwrap() {
			if !onlyOutdated(each) {
				return false
			}
		}
		return true
	}
	return apierrors.IsConflict(err) || apierrors.IsNotFound(err)
}

// announce tells of an enactment that has aborted.
func (r *Reconciler) announce(view *reading, enactment string) {
	if r.Events == nil {
		return
	}
	reference := &corev1.ObjectReference{
		APIVersion: "nmstate.io/v1", Kind: "NodeNetworkConfigurationPolicy", Name: view.policy.Name, UID: view.policy.UID,
		ResourceVersion: view.policy.ResourceVersion,
	}
	r.Events.Eventf(reference, nil, corev1.EventTypeWarning, "ReconcileFailed", "Abort", "%s", abortedMessage(enactment))
}

// request returns one for a policy.
func request(policy string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: policy}}
}
