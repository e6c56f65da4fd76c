// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/zap/zapcore"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/arming"
	"github.com/bridgehead-dev/bridgehead/certs"

	"github.com/bridgehead-dev/bridgehead/macpool/janitor"
)

// run serves until ctx is done, drains, and returns.
func run(ctx context.Context, o Options) error {
	level, err := zapcore.ParseLevel(o.LogLevel)
	if err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	if o.RequestTimeout < time.Second {
		return fmt.Errorf("--request-timeout: %s is too short: use that of the API server, which is one minute by default", o.RequestTimeout)
	}
	keeping := certs.Keeping(o.CA)
	if keeping != certs.BuiltIn && keeping != certs.CertManager {
		return fmt.Errorf("--ca: %q is none of %s, %s", o.CA, certs.BuiltIn, certs.CertManager)
	}
	podNamespaces, err := labels.Parse(o.PodNamespaces)
	if err != nil {
		return fmt.Errorf("--pod-namespaces: %w", err)
	}
	log := zap.New(zap.Level(level))
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	cfg, err := restConfig(o.Kubeconfig)
	if err != nil {
		return err
	}
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	source := certs.NewSource(cfg, keeping, o.Namespace, arming.Service+"."+o.Namespace+".svc")
	mgr, err := ctrl.NewManager(cfg, managerOptions(o, scheme, source, log))
	if err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	direct, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	// What serves ends after what it is to drain: its context outlives the signal.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	r, err := newReplica(serving, o, mgr, direct, source, log)
	if err != nil {
		return err
	}
	r.podNamespaces, r.ending = podNamespaces, ctx.Done()
	if err := errors.Join(r.register(mgr), r.registerMetrics()); err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		log.Info("Draining", "for", o.DrainDelay.String(), "atMost", o.DrainTimeout.String())
		log.Info("Drained", "connectionsLeft", r.drain.End(o.DrainDelay, o.DrainTimeout))
		stop()
	}()
	log.Info("Starting", "replica", r.identity, "namespace", o.Namespace)
	return mgr.Start(serving)
}

func managerOptions(o Options, scheme *runtime.Scheme, source *certs.Source, log logr.Logger) ctrl.Options {
	ca := fields.OneTermEqualSelector("metadata.name", certs.SecretName)
	named := func(kind string) fields.Selector {
		return fields.OneTermEqualSelector("metadata.name", arming.NameOf(kind))
	}
	watched := map[client.Object]cache.ByObject{
		&corev1.Secret{}: {Namespaces: map[string]cache.Config{o.Namespace: {FieldSelector: ca}}},
		&admissionregistrationv1.MutatingWebhookConfiguration{}:   {Field: named(arming.Mutating)},
		&admissionregistrationv1.ValidatingWebhookConfiguration{}: {Field: named(arming.Validating)},
	}
	grace := time.Minute
	return ctrl.Options{
		Scheme: scheme,
		Logger: log,
		Cache:  cache.Options{DefaultTransform: cache.TransformStripManagedFields(), ByObject: watched},

		Metrics:                 metricsOptions(o, source),
		GracefulShutdownTimeout: &grace,
	}
}

func restConfig(kubeconfig string) (*rest.Config, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read how to reach the API server (--kubeconfig): %w", err)
	}
	cfg.QPS = -1 // the API server's priority and fairness limits us
	cfg.UserAgent = "bridgehead"
	return cfg, nil
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, v1alpha1.AddToScheme, janitor.AddVMsToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("make scheme: %w", err)
		}
	}
	return scheme, nil
}
