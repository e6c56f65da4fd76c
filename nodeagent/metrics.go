// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are what an agent counts.
type metrics struct {
	healed  *prometheus.CounterVec
	applied *prometheus.CounterVec
	took    prometheus.Histogram
}

// newMetrics registers the metrics; with nil they are counted for nobody.
func newMetrics(registry prometheus.Registerer) *metrics {
	make := promauto.With(registry)
	return &metrics{
		healed: make.NewCounterVec(prometheus.CounterOpts{
			Name: "bridgehead_agent_healed_total",
			Help: "How often something that a policy declares was restored after a change from outside, or could not be.",
		}, []string{"policy", "result"}),
		applied: make.NewCounterVec(prometheus.CounterOpts{
			Name: "bridgehead_agent_applied_total",
			Help: "Turns taken: applied, failed, or undone because the node lost connectivity.",
		}, []string{"result"}),
		took: make.NewHistogram(prometheus.HistogramOpts{
			Name:    "bridgehead_agent_apply_seconds",
			Help:    "How long turns took, with the probes.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 12),
		}),
	}
}

// heal counts a policy that was healed.
func (m *metrics) heal(h Healed) {
	result := "healed"
	if h.Err != nil {
		result = "failed"
	}
	m.healed.WithLabelValues(h.Policy, result).Inc()
}

// turn counts a turn that was taken.
func (m *metrics) turn(err error, took time.Duration) {
	var lost *LostError
	result := "applied"
	switch {
	case errors.As(err, &lost):
		result = "undone"
	case err != nil:
		result = "failed"
	}
	m.applied.WithLabelValues(result).Inc()
	m.took.Observe(took.Seconds())
}
