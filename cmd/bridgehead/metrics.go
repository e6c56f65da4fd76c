// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/bridgehead-dev/bridgehead/certs"
	"github.com/bridgehead-dev/bridgehead/rollout"
	"github.com/bridgehead-dev/bridgehead/version"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
)

// counts are what a replica counts for Prometheus.
type counts struct {
	reviews *prometheus.CounterVec
	latency *prometheus.HistogramVec
	writes  *prometheus.CounterVec
	givenUp prometheus.Counter
	nodes   *prometheus.GaugeVec
}

func newCounts() counts {
	return counts{
		reviews: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bridgehead_admission_reviews_total",
			Help: "Admission reviews by the path of the webhook and verdict: admitted, patched, denied, undecided, unreadable.",
		}, []string{"webhook", "verdict"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bridgehead_admission_duration_seconds", Help: "How long admission reviews took.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9), // 0.1 ms to 6.5 s: the time-out is 5 s
		}, []string{"webhook"}),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bridgehead_macblock_writes_total", Help: "Writes of MACBlocks by outcome: written, conflict, failed.",
		}, []string{"outcome"}),
		givenUp: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bridgehead_mac_records_given_up_total",
			Help: "Addresses that were given out and that their MACBlock has no room to record. They stay reserved.",
		}),
		nodes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "bridgehead_policy_nodes",
			Help: "Nodes of a policy by state: available, failed, aborted, pending, or progressing (its turn has begun).",
		}, []string{"policy", "state"}),
	}
}

// observeRollout is what a rollout tells of each policy.
func (c counts) observeRollout(policy string, s *rollout.Summary) {
	if s == nil {
		c.nodes.DeletePartialMatch(prometheus.Labels{"policy": policy})
		return
	}
	for state, n := range map[string]int{
		"available": s.Available, "failed": s.Failed, "aborted": s.Aborted, "pending": s.Pending,
		"progressing": s.Unavailable - s.Failed,
	} {
		c.nodes.WithLabelValues(policy, state).Set(float64(n))
	}
}

// observe returns what the handler of a webhook tells of its decisions.
func (c counts) observe(webhook string) func(verdict string, took time.Duration) {
	return func(verdict string, took time.Duration) {
		c.reviews.WithLabelValues(webhook, verdict).Inc()
		c.latency.WithLabelValues(webhook).Observe(took.Seconds())
	}
}

// giveUp tells of an address whose record the store has no room for.
func (r *replica) giveUp(m macpool.MAC, holder macpool.Holder, err error) {
	r.counts.givenUp.Inc()
	r.log.Error(err, "Record of an address given up: it stays reserved for this replica", "mac", m.String(),
		"holder", holder.String(), "interface", holder.Interface)
}

// metricsOptions say where and how metrics are served.
func metricsOptions(o Options, source *certs.Source) metricsserver.Options {
	if !o.MetricsSecure {
		return metricsserver.Options{BindAddress: o.MetricsAddress}
	}
	return metricsserver.Options{
		BindAddress: o.MetricsAddress, SecureServing: true, FilterProvider: filters.WithAuthenticationAndAuthorization,
		TLSOpts: []func(*tls.Config){func(c *tls.Config) {
			c.GetCertificate, c.MinVersion = source.GetCertificate, tls.VersionTLS13
		}},
	}
}

// registerMetrics has the metrics served with those of controller-runtime.
func (r *replica) registerMetrics() error {
	pools := cluster.Collector{Ledger: r.ledger, Pools: r.pools, Feed: r.feed, Collisions: func() []macpool.Collision {
		if janitor := r.janitor.Load(); janitor != nil {
			return janitor.Collisions()
		}
		return nil
	}}
	var failed []error
	for _, c := range []prometheus.Collector{
		version.Metric(), r.source.Metric(), r.counts.reviews, r.counts.latency, r.counts.writes, r.counts.givenUp,
		r.counts.nodes, pools,
	} {
		failed = append(failed, metrics.Registry.Register(c))
	}
	return errors.Join(failed...)
}
