package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
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

// A BundleKeeper keeps the caBundle of our MutatingWebhookConfiguration in step with the CA. It runs in every replica:
// all of them write the same.
type BundleKeeper struct {
	Client client.Client
	// Configuration is the name of the MutatingWebhookConfiguration.
	Configuration string
	// Namespace has the Secret SecretName.
	Namespace string
	Source    *Source
}

// SetupWithManager has the keeper called when the Secret or the configuration changes.
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
	var configuration admissionregistrationv1.MutatingWebhookConfiguration
	if err := k.Client.Get(ctx, client.ObjectKey{Name: k.Configuration}, &configuration); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	changed := false
	apply := applyv1.MutatingWebhookConfiguration(k.Configuration)
	for _, webhook := range configuration.Webhooks {
		present := webhook.ClientConfig.CABundle
		wanted := mergeBundles(secret.Data[corev1.TLSCertKey], present, time.Now())
		changed = changed || !bytes.Equal(wanted, present)
		apply.WithWebhooks(applyv1.MutatingWebhook().WithName(webhook.Name).
			WithClientConfig(applyv1.WebhookClientConfig().WithCABundle(wanted...)))
		k.Source.Trust(present)
	}
	if !changed {
		return reconcile.Result{}, nil
	}
	if err := k.Client.Apply(ctx, apply, fieldOwner, client.ForceOwnership); err != nil {
		return reconcile.Result{}, fmt.Errorf("write caBundle of MutatingWebhookConfiguration %s: %w", k.Configuration, err)
	}
	return reconcile.Result{}, nil
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
