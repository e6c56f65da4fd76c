package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	applyv1 "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// fieldOwner owns nothing but the caBundle fields of our webhooks.
const fieldOwner = client.FieldOwner("bridgehead-certs")

// A BundleKeeper keeps the caBundles of our webhook configurations in step with the CA. It runs in every replica: all of
// them write the same.
type BundleKeeper struct {
	Client client.Client
	// Configuration is the name of the MutatingWebhookConfiguration and of the ValidatingWebhookConfiguration. Either may
	// be missing.
	Configuration string
	// Namespace has the Secret SecretName.
	Namespace string
	Source    *Source
}

// SetupWithManager has the keeper called when the Secret or a configuration changes.
func (k *BundleKeeper) SetupWithManager(mgr ctrl.Manager) error {
	one := func(name string) predicate.Predicate {
		return predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetName() == name })
	}
	ours := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: k.Configuration}}}
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("ca-bundle").
		For(&admissionregistrationv1.MutatingWebhookConfiguration{}, builder.WithPredicates(one(k.Configuration))).
		Watches(&admissionregistrationv1.ValidatingWebhookConfiguration{}, ours, builder.WithPredicates(one(k.Configuration))).
		Watches(&corev1.Secret{}, ours, builder.WithPredicates(one(SecretName))).
		WithOptions(controller.Options{NeedLeaderElection: ptr.To(false)}).
		Complete(k)
}

// Reconcile implements reconcile.Reconciler.
func (k *BundleKeeper) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	var secret corev1.Secret
	if err := k.Client.Get(ctx, client.ObjectKey{Namespace: k.Namespace, Name: SecretName}, &secret); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err) // it is about to be made, and then we are called again
	}
	mutating, err := k.mutating(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	validating, err := k.validating(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	hooks := append(mutating, validating...)
	var present [][]byte
	for _, h := range hooks {
		present = append(present, h.bundle)
	}
	k.Source.Trust(present...)
	ca := secret.Data[corev1.TLSCertKey]
	return reconcile.Result{}, errors.Join(
		k.write(ctx, ca, mutating, applyMutating(k.Configuration)),
		k.write(ctx, ca, validating, applyValidating(k.Configuration)))
}

// A hook is one webhook of a configuration, as far as its caBundle goes.
type hook struct {
	name   string
	bundle []byte
}

func (k *BundleKeeper) mutating(ctx context.Context) (hooks []hook, err error) {
	var c admissionregistrationv1.MutatingWebhookConfiguration
	if err := k.Client.Get(ctx, client.ObjectKey{Name: k.Configuration}, &c); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	for _, w := range c.Webhooks {
		hooks = append(hooks, hook{w.Name, w.ClientConfig.CABundle})
	}
	return hooks, nil
}

func (k *BundleKeeper) validating(ctx context.Context) (hooks []hook, err error) {
	var c admissionregistrationv1.ValidatingWebhookConfiguration
	if err := k.Client.Get(ctx, client.ObjectKey{Name: k.Configuration}, &c); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	for _, w := range c.Webhooks {
		hooks = append(hooks, hook{w.Name, w.ClientConfig.CABundle})
	}
	return hooks, nil
}

// write gives every webhook of one configuration the bundle it should have. It writes nothing where all have it.
func (k *BundleKeeper) write(ctx context.Context, ca []byte, hooks []hook, configuration func([]hook) runtime.ApplyConfiguration) error {
	changed := false
	wanted := make([]hook, len(hooks))
	for i, h := range hooks {
		wanted[i] = hook{h.name, mergeBundles(ca, h.bundle, time.Now())}
		changed = changed || !bytes.Equal(wanted[i].bundle, h.bundle)
	}
	if !changed {
		return nil
	}
	if err := k.Client.Apply(ctx, configuration(wanted), fieldOwner, client.ForceOwnership); err != nil {
		return fmt.Errorf("write caBundles of %s: %w", k.Configuration, err)
	}
	return nil
}

func applyMutating(name string) func([]hook) runtime.ApplyConfiguration {
	return func(hooks []hook) runtime.ApplyConfiguration {
		c := applyv1.MutatingWebhookConfiguration(name)
		for _, h := range hooks {
			c.WithWebhooks(applyv1.MutatingWebhook().WithName(h.name).WithClientConfig(clientConfig(h)))
		}
		return c
	}
}

func applyValidating(name string) func([]hook) runtime.ApplyConfiguration {
	return func(hooks []hook) runtime.ApplyConfiguration {
		c := applyv1.ValidatingWebhookConfiguration(name)
		for _, h := range hooks {
			c.WithWebhooks(applyv1.ValidatingWebhook().WithName(h.name).WithClientConfig(clientConfig(h)))
		}
		return c
	}
}

func clientConfig(h hook) *applyv1.WebhookClientConfigApplyConfiguration {
	return applyv1.WebhookClientConfig().WithCABundle(h.bundle...)
}

// mergeBundles is the current CA, and the one before it while that lasts: replicas may still serve certificates that
// it signed. CAs of others are dropped.
func mergeBundles(current, present []byte, now time.Time) []byte {
	merged := bytes.TrimSpace(current)
	for rest, kept := present, 0; kept == 0; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		encoded := bytes.TrimSpace(pem.EncodeToMemory(block))
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil || ca.Subject.CommonName != caName || now.After(ca.NotAfter) || bytes.Contains(merged, encoded) {
			continue
		}
		merged = append(append(bytes.Clone(merged), '\n'), encoded...)
		kept++
	}
	return append(bytes.Clone(merged), '\n')
}
