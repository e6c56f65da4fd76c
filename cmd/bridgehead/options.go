// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/bridgehead-dev/bridgehead/certs"
	"github.com/bridgehead-dev/bridgehead/macpool/janitor"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
	"github.com/bridgehead-dev/bridgehead/nad"
	"github.com/bridgehead-dev/bridgehead/webhooks"
)

// Options are what the command line says.
type Options struct {
	// Kubeconfig is the file that says how to reach the API server; empty inside a cluster.
	Kubeconfig string
	// Namespace has the Secret of the CA and the Leases of the replicas.
	Namespace string
	// Pod is the name of this replica. It begins the name of its Lease.
	Pod string
	// WebhookAddress and ProbeAddress are where to listen.
	WebhookAddress, ProbeAddress string
	// MetricsAddress is where to serve metrics; "0" for nowhere.
	MetricsAddress string
	// MetricsSecure has metrics served by TLS, to those whom the API server allows to get /metrics.
	MetricsSecure bool
	// CA is who keeps the CA of the webhooks.
	CA string
	// DrainDelay is how long to go on serving after SIGTERM, at least. DrainTimeout is how long at most, for clients to
	// close the connections that they do not use.
	DrainDelay, DrainTimeout time.Duration
	// ConnectionMaxAge is how old a connection of the API server may become.
	ConnectionMaxAge time.Duration
	// PodNamespaces selects the namespaces whose pods are given addresses, as the webhook of pods in force does: those
	// that pods have there are imported.
	PodNamespaces string
	// MultusNamespace is where Multus looks for default networks that are named without a namespace.
	MultusNamespace string
	// ResourceNameKeys are the annotations of NADs that name resources for pods to ask for.
	ResourceNameKeys []string
	// RequestTimeout is the --request-timeout of the API server: how long after an answer the object may come to exist.
	RequestTimeout time.Duration
	// LogLevel is info or debug.
	LogLevel string
	// Version has the program say which version it is, and do nothing else.
	Version bool
}

func defaultOptions(namespace, pod string) Options {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "bridgehead"
	}
	return Options{
		Namespace:        cmp.Or(namespace, "bridgehead-system"),
		Pod:              cmp.Or(pod, hostname),
		WebhookAddress:   ":9443",
		ProbeAddress:     ":8081",
		MetricsAddress:   "0",
		MetricsSecure:    true,
		CA:               string(certs.BuiltIn),
		DrainDelay:       5 * time.Second,
		DrainTimeout:     webhooks.DrainTimeout,
		ConnectionMaxAge: time.Minute,
		PodNamespaces:    janitor.OptedIn().String(),
		MultusNamespace:  "kube-system",
		ResourceNameKeys: []string{nad.ResourceAnnotation},
		RequestTimeout:   ledger.MaxAdmission,
		LogLevel:         "info",
	}
}

// parse takes in the command line.
func (o *Options) parse(args []string) error {
	flags := o.flags()
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag: write values of flags as --flag=value", flags.Arg(0))
	}
	return nil
}

func (o *Options) flags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("bridgehead", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() {
		fmt.Fprintf(os.Stderr, `bridgehead serves the admission webhooks for KubeVirt VMs, pods,
NetworkAttachmentDefinitions and NodeNetworkConfigurationPolicies, and runs the
controllers that keep the ledger of MAC addresses and roll policies out to nodes.

Any number of replicas serve at once. Who holds which address is in MACBlock
objects; see 'kubectl get macpools,macblocks'.

Usage:
  bridgehead [flags]

Flags:
%s
GET /readyz on the probe address tells what a replica still waits for.
On SIGTERM a replica reports not ready, leaves its controllers to another one,
goes on serving until the API server has closed its connections or sent the last
request over them, for --drain-delay at least and --drain-timeout at most, gives
back the addresses it had reserved, and exits.
`, flags.FlagUsages())
	}
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "kubeconfig `file`; not needed inside a cluster")
	flags.StringVar(&o.Namespace, "namespace", o.Namespace, "`namespace` of this program, for its CA and its Leases; POD_NAMESPACE if that is set")
	flags.StringVar(&o.Pod, "pod-name", o.Pod, "`name` of this replica, unique among them; POD_NAME if that is set, else that of the host")
	flags.StringVar(&o.WebhookAddress, "webhook-address", o.WebhookAddress, "`address` to serve webhooks on, over TLS")
	flags.StringVar(&o.ProbeAddress, "probe-address", o.ProbeAddress, "`address` to serve /readyz and /healthz on")
	flags.StringVar(&o.MetricsAddress, "metrics-address", o.MetricsAddress, "`address` to serve Prometheus metrics on, at /metrics; 0 for none")
	flags.BoolVar(&o.MetricsSecure, "metrics-secure", o.MetricsSecure,
		"serve metrics over TLS, with the webhooks' certificate, to clients that may get /metrics")
	flags.StringVar(&o.CA, "ca", o.CA, "who manages the webhooks' CA in the Secret bridgehead-ca: built-in (the replicas do) or cert-manager (whose cainjector then manages the caBundles)")
	flags.DurationVar(&o.DrainDelay, "drain-delay", o.DrainDelay, "how long to keep serving after SIGTERM, until no more requests are routed to this replica")
	flags.DurationVar(&o.DrainTimeout, "drain-timeout", o.DrainTimeout, "how long to keep serving after SIGTERM at most, while the API server keeps connections that it does not use: closing one may lose a request")
	flags.DurationVar(&o.ConnectionMaxAge, "connection-max-age", o.ConnectionMaxAge, "maximum age of a connection before it is closed after an answer, so that replicas share the load; 0 for no limit")
	flags.StringVar(&o.PodNamespaces, "pod-namespaces", o.PodNamespaces, "label `selector` of the namespaces whose pods are assigned addresses, as in the webhook mutatepods.kubemacpool.io: the addresses that pods have there are taken")
	flags.StringVar(&o.MultusNamespace, "multus-namespace", o.MultusNamespace, "`namespace` of Multus, used for default networks that a pod names without a namespace")
	flags.StringSliceVar(&o.ResourceNameKeys, "resource-name-keys", o.ResourceNameKeys, "`annotations` of network attachment definitions that name the resources pods have to request")
	flags.DurationVar(&o.RequestTimeout, "request-timeout", o.RequestTimeout, "at least the --request-timeout of the API server: an assigned address is kept this long if its object is not created")
	flags.StringVar(&o.LogLevel, "log-level", o.LogLevel, "info or debug")
	flags.BoolVar(&o.Version, "version", false, "print the version and exit")
	return flags
}
