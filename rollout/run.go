// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
)

const (
	// byPolicy is the index of enactments by the policy they are labelled with.
	byPolicy = "policy"
	// writers is how many writes are made at a time.
	writers = 16
)

// Options are what a rollout needs of the process that it runs in.
type Options struct {
	Config *rest.Config
	// Leads and Observe are as those of Reconciler.
	Leads   func() error
	Observe func(policy string, s *Summary)
	Log     logr.Logger
}

// Run hands out turns until ctx is done, which is when the lease is lost. What is cached is cached while it runs only,
// so that a replica without the lease pays nothing for it.
func Run(ctx context.Context, o Options) error {
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1.AddToScheme(scheme), v1beta1.AddToScheme(scheme)); err != nil {
		return fmt.Errorf("make scheme: %w", err)
	}
	mgr, err := ctrl.NewManager(o.Config, ctrl.Options{
		Scheme:  scheme,
		Logger:  o.Log,
		Cache:   cacheOptions(),
		Metrics: metricsserver.Options{BindAddress: "0"},
		// It is run again when the lease comes back, under the same name.
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		return fmt.Errorf("set up rollout: %w", err)
	}
	err = mgr.GetFieldIndexer().IndexField(ctx, &v1beta1.NodeNetworkConfigurationEnactment{}, byPolicy, policyNames)
	if err != nil {
		return fmt.Errorf("index enactments: %w", err)
	}
	r := &Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Leads: o.Leads, Observe: o.Observe,
		Events: mgr.GetEventRecorder("bridgehead"), Clock: clock.RealClock{}, Log: o.Log, Workers: writers,
	}
	if err := r.setup(mgr); err != nil {
		return fmt.Errorf("set up rollout: %w", err)
	}
	return mgr.Start(ctx)
}

// setup has policies decided about when anything changes that a decision depends on.
func (r *Reconciler) setup(mgr manager.Manager) error {
	state := &metav1.PartialObjectMetadata{}
	state.SetGroupVersionKind(v1beta1.GroupVersion().WithKind("NodeNetworkState"))
	every := handler.EnqueueRequestsFromMapFunc(r.everyPolicy)
	return ctrl.NewControllerManagedBy(mgr).
		Named("rollout").
		For(&v1.NodeNetworkConfigurationPolicy{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1beta1.NodeNetworkConfigurationEnactment{}, handler.EnqueueRequestsFromMapFunc(ofPolicy),
			builder.WithPredicates(predicate.Funcs{UpdateFunc: enactmentMatters})).
		Watches(&corev1.Node{}, every, builder.WithPredicates(predicate.Funcs{UpdateFunc: nodeMatters})).
		Watches(state, every, builder.WithPredicates(predicate.Funcs{UpdateFunc: never})).
		Complete(r)
}

func ofPolicy(_ context.Context, o client.Object) []reconcile.Request {
	if name := o.GetLabels()[nmstate.PolicyLabel]; name != "" {
		return []reconcile.Request{request(name)}
	}
	return nil
}

// everyPolicy asks for a decision about each policy: which ones a node was, and is, selected by is for Decide to say.
func (r *Reconciler) everyPolicy(ctx context.Context, _ client.Object) []reconcile.Request {
	var list v1.NodeNetworkConfigurationPolicyList
	if err := r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		r.Log.Error(err, "List policies")
		return nil
	}
	var requests []reconcile.Request
	for i := range list.Items {
		requests = append(requests, request(list.Items[i].Name))
	}
	return requests
}

// nodeMatters reports whether a node changed in what a rollout depends on. Heartbeats are not that.
func nodeMatters(e event.UpdateEvent) bool {
	before, wasNode := e.ObjectOld.(*corev1.Node)
	after, isNode := e.ObjectNew.(*corev1.Node)
	if !wasNode || !isNode {
		return true
	}
	return before.UID != after.UID || notReady(before) != notReady(after) || !maps.Equal(before.Labels, after.Labels)
}

// enactmentMatters reports whether an enactment changed in what a rollout is decided by: its turn, its owner, or what
// its conditions say. Messages, times and attempts are not that.
func enactmentMatters(e event.UpdateEvent) bool {
	before, wasEnactment := e.ObjectOld.(*v1beta1.NodeNetworkConfigurationEnactment)
	after, isEnactment := e.ObjectNew.(*v1beta1.NodeNetworkConfigurationEnactment)
	if !wasEnactment || !isEnactment {
		return true
	}
	a, b := enactmentOf(before), enactmentOf(after)
	same := slices.EqualFunc(a.Conditions, b.Conditions, func(x, y nmstate.Condition) bool {
		return x.Type == y.Type && x.Status == y.Status
	})
	a.Conditions, b.Conditions = nil, nil
	return !same || !reflect.DeepEqual(a, b) || before.Labels[nmstate.PolicyLabel] != after.Labels[nmstate.PolicyLabel]
}

// never is for updates of what matters only by existing.
func never(event.UpdateEvent) bool { return false }

func policyNames(o client.Object) []string {
	if name := o.GetLabels()[nmstate.PolicyLabel]; name != "" {
		return []string{name}
	}
	return nil
}

// cacheOptions has the cache keep what a rollout needs to know, which of large objects is little.
func cacheOptions() cache.Options {
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Node{}: {Transform: stripNode},
			&v1beta1.NodeNetworkConfigurationEnactment{}: {Transform: stripEnactment},
		},
	}
}

func stripNode(o any) (any, error) {
	n, ok := o.(*corev1.Node)
	if !ok {
		return o, nil
	}
	stripped := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion, Labels: n.Labels,
	}}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			stripped.Status.Conditions = []corev1.NodeCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	return stripped, nil
}

func stripEnactment(o any) (any, error) {
	e, ok := o.(*v1beta1.NodeNetworkConfigurationEnactment)
	if !ok {
		return o, nil
	}
	e.ManagedFields = nil
	e.Status = nmstate.EnactmentStatus{PolicyGeneration: e.Status.PolicyGeneration, Conditions: e.Status.Conditions}
	return e, nil
}
