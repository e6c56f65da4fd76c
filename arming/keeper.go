// SPDX-License-Identifier: Apache-2.0

package arming

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/bridgehead-dev/bridgehead/certs"
)

// wait is when to look again whether somebody answers.
const wait = time.Second

// A Keeper keeps the webhook configurations as their templates say, and their caBundles in step with the CA. It runs in
// every replica: all of them write the same.
type Keeper struct {
	// Client reads and writes past the cache.
	Client client.Client
	// Namespace has the Secret of the CA and the Service of the webhooks.
	Namespace, Service string
	// Trust is told the bundles of all webhooks in force: certs.Source.Trust.
	Trust func(bundles ...[]byte)
	// Keeping is who keeps the CA. If that is cert-manager, its cainjector keeps the bundles as well, once there are any.
	Keeping certs.Keeping
	// Paths are those that this replica answers at.
	Paths []string
	Log   logr.Logger

	said string // what was lacking last
	// before are the bundles that were last in force: replicas may still serve what a CA in them signed when somebody
	// deletes or spoils all there are.
	before []byte
}

// SetupWithManager has the keeper called when the Secret, a configuration or a template changes. The manager's cache
// has the Secret and the configurations, and nothing else of their kinds.
func (k *Keeper) SetupWithManager(mgr ctrl.Manager) error {
	one := func(name string) predicate.Predicate {
		return predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetName() == name })
	}
	mutating, validating := NameOf(Mutating), NameOf(Validating)
	named := func(name string) cache.ByObject {
		return cache.ByObject{Field: fields.OneTermEqualSelector("metadata.name", name+TemplateSuffix)}
	}
	templates, err := cache.New(mgr.GetConfig(), cache.Options{
		Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), ByObject: map[client.Object]cache.ByObject{
			&admissionregistrationv1.MutatingWebhookConfiguration{}:   named(mutating),
			&admissionregistrationv1.ValidatingWebhookConfiguration{}: named(validating),
		},
	})
	if err != nil {
		return fmt.Errorf("make cache of templates: %w", err)
	}
	if err := mgr.Add(templates); err != nil {
		return fmt.Errorf("set up cache of templates: %w", err)
	}
	ours := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: Configuration}}}
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("webhook-configurations").
		For(&admissionregistrationv1.MutatingWebhookConfiguration{}, builder.WithPredicates(one(mutating))).
		Watches(
			&admissionregistrationv1.ValidatingWebhookConfiguration{}, ours, builder.WithPredicates(one(validating)),
		).
		Watches(&corev1.Secret{}, ours, builder.WithPredicates(one(certs.SecretName))).
		WatchesRawSource(source.Kind(
			templates, client.Object(&admissionregistrationv1.MutatingWebhookConfiguration{}), ours,
		)).
		WatchesRawSource(source.Kind(
			templates, client.Object(&admissionregistrationv1.ValidatingWebhookConfiguration{}), ours,
		)).
		WithOptions(controller.Options{NeedLeaderElection: ptr.To(false)}).
		Complete(k)
}

// Reconcile implements reconcile.Reconciler.
func (k *Keeper) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	live, err := k.inForce(ctx)
	failed := []error{err}
	situation, err := k.situation(ctx)
	if err != nil {
		return reconcile.Result{}, errors.Join(append(failed, err)...)
	}
	var lacking []string
	for _, kind := range kinds() {
		c, read := live[kind]
		if !read {
			continue
		}
		said, err := k.keep(ctx, kind, c, situation)
		lacking, failed = append(lacking, said...), append(failed, err)
		if kind == Mutating && c != nil && err == nil {
			failed = append(failed, k.retire(ctx))
		}
	}
	k.say(lacking)
	if len(lacking) > 0 {
		return reconcile.Result{RequeueAfter: wait}, errors.Join(failed...)
	}
	return reconcile.Result{}, errors.Join(failed...)
}

func kinds() []string { return []string{Mutating, Validating} }

// inForce returns the configurations by their kinds, nil where there is none, and tells Trust of their bundles. One
// that cannot be read is not among them, and nothing is told then: the API server goes on trusting what it did.
func (k *Keeper) inForce(ctx context.Context) (map[string]*unstructured.Unstructured, error) {
	live := map[string]*unstructured.Unstructured{}
	var trusted [][]byte
	var failed []error
	for _, kind := range kinds() {
		c, err := k.read(ctx, kind, NameOf(kind))
		if err != nil {
			failed = append(failed, err)
			continue
		}
		live[kind] = c
		trusted = append(trusted, Bundles(c)...)
	}
	if len(failed) == 0 {
		k.Trust(trusted...)
	}
	if all := bytes.Join(trusted, []byte("\n")); certs.Readable(all) {
		k.before = all
	}
	return live, errors.Join(failed...)
}

// situation returns what decides.
func (k *Keeper) situation(ctx context.Context) (Situation, error) {
	var secret corev1.Secret
	err := k.Client.Get(ctx, client.ObjectKey{Namespace: k.Namespace, Name: certs.SecretName}, &secret)
	if client.IgnoreNotFound(err) != nil {
		return Situation{}, fmt.Errorf("read the CA: %w", err)
	}
	written := certs.Written(&secret)
	s := Situation{Paths: k.Paths, Bundle: func(ca, present []byte) []byte {
		switch {
		case !certs.Readable(present):
			return certs.MergeBundles(ca, k.before, written)
		case k.Keeping == certs.CertManager:
			return present
		}
		return certs.MergeBundles(ca, present, written)
	}}
	// What cannot sign is replaced, and is no reason to forget the CA before.
	if s.CA, err = certs.CAIn(&secret); err != nil {
		s.NoCA = err.Error()
	}
	s.Answered, err = k.answered(ctx)
	return s, err
}

// keep does what is to be done with the configuration of one kind. It returns what is lacking.
func (k *Keeper) keep(
	ctx context.Context, kind string, live *unstructured.Unstructured, s Situation,
) (lacking []string, err error) {
	name := NameOf(kind)
	template, err := k.read(ctx, kind, name+TemplateSuffix)
	if err != nil {
		return nil, err
	}
	do, wanted, said := Decide(template, live, s)
	if said != "" {
		lacking = append(lacking, said)
	}
	if do == Keep {
		return lacking, nil
	}
	err = k.write(ctx, do, wanted)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
		return lacking, nil // another replica was first; we are called again with what it wrote
	}
	if err != nil {
		return lacking, fmt.Errorf("%s %s %s: %w", do, kind, name, err)
	}
	k.Log.Info("Wrote webhook configuration", "action", do, "kind", kind, "name", name)
	return lacking, nil
}

// retire deletes the mutating configuration of an earlier release, which had another name, and first its template: its
// replicas, where there are some still, make none without.
func (k *Keeper) retire(ctx context.Context) error {
	for _, name := range []string{Configuration + TemplateSuffix, Configuration} {
		old, err := k.read(ctx, Mutating, name)
		if err != nil {
			return err
		}
		if !Retires(old, k.Namespace, k.Service) {
			continue
		}
		if err := k.write(ctx, Delete, old); client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
			return fmt.Errorf("delete %s %s of an earlier release: %w", Mutating, name, err)
		}
		k.Log.Info("Deleted a webhook configuration of an earlier release", "kind", Mutating, "name", name)
	}
	return nil
}

func (k *Keeper) write(ctx context.Context, do Action, wanted *unstructured.Unstructured) error {
	switch do {
	case Create:
		return k.Client.Create(ctx, wanted)
	case Update:
		return k.Client.Update(ctx, wanted)
	case Delete:
		return k.Client.Delete(ctx, wanted, client.Preconditions{UID: ptr.To(wanted.GetUID())})
	case Keep:
	}
	return nil
}

// read returns nil if there is no such configuration, or it is being deleted.
func (k *Keeper) read(ctx context.Context, kind, name string) (*unstructured.Unstructured, error) {
	c := &unstructured.Unstructured{}
	c.SetGroupVersionKind(admissionregistrationv1.SchemeGroupVersion.WithKind(kind))
	err := k.Client.Get(ctx, client.ObjectKey{Name: name}, c)
	if apierrors.IsNotFound(err) || err == nil && c.GetDeletionTimestamp() != nil {
		return nil, nil //nolint:nilnil // that there is none is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", kind, name, err)
	}
	return c, nil
}

// answered reports whether the Service has an endpoint that is ready.
func (k *Keeper) answered(ctx context.Context) (bool, error) {
	var slicesOf discoveryv1.EndpointSliceList
	err := k.Client.List(
		ctx, &slicesOf, client.InNamespace(k.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: k.Service},
	)
	if err != nil {
		return false, fmt.Errorf("look for endpoints of %s: %w", k.Service, err)
	}
	return slices.ContainsFunc(slicesOf.Items, func(s discoveryv1.EndpointSlice) bool {
		return slices.ContainsFunc(
			s.Endpoints, func(e discoveryv1.Endpoint) bool { return ptr.Deref(e.Conditions.Ready, true) },
		)
	}), nil
}

// say logs what is lacking, once.
func (k *Keeper) say(lacking []string) {
	said := fmt.Sprint(lacking)
	if len(lacking) > 0 && said != k.said {
		k.Log.Info("Webhooks wait", "for", lacking)
	}
	k.said = said
}
