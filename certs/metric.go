// SPDX-License-Identifier: Apache-2.0

package certs

import "github.com/prometheus/client_golang/prometheus"

// Metric returns a gauge of when the certificate that a replica serves expires, in seconds since 1970; 0 while there is
// none. It is to be more than two days ahead: certificates are replaced after two thirds of a week.
func (s *Source) Metric() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "bridgehead_certificate_expiry_timestamp_seconds",
		Help: "When the certificate of the webhooks expires, in seconds since 1970; 0 while there is none.",
	}, func() float64 {
		at := s.NotAfter()
		if at.IsZero() {
			return 0
		}
		return float64(at.Unix())
	})
}
