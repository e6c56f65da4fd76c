// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

// A Collector is the metrics of the pools, counted when they are asked for.
type Collector struct {
	Ledger *ledger.Ledger
	Pools  *Pools
	// Feed knows the blocks that cannot be read.
	Feed *Feed
	// Collisions are those known to the janitor; none while it is not at work in this process.
	Collisions func() []macpool.Collision
}

var _ prometheus.Collector = Collector{}

// Describe implements prometheus.Collector.
func (c Collector) Describe(out chan<- *prometheus.Desc) {
	out <- addressesDesc()
	out <- collisionsDesc()
	out <- unreadableDesc()
}

// Collect implements prometheus.Collector.
func (c Collector) Collect(out chan<- prometheus.Metric) {
	for _, rule := range c.Pools.All() {
		u := c.Ledger.Usage(rule.Pool)
		for state, n := range map[string]uint64{
			"total": u.Total, "used": u.Used, "reserved": u.Reserved, "unreadable": u.Unread,
			"free": u.Free(),
		} {
			out <- prometheus.MustNewConstMetric(addressesDesc(), prometheus.GaugeValue, float64(n), rule.Name, state)
		}
	}
	out <- prometheus.MustNewConstMetric(unreadableDesc(), prometheus.GaugeValue, float64(len(c.Feed.Unreadable())))
	out <- prometheus.MustNewConstMetric(collisionsDesc(), prometheus.GaugeValue, float64(len(c.Collisions())))
}

func addressesDesc() *prometheus.Desc {
	return prometheus.NewDesc(
		"bridgehead_macpool_addresses",
		"Addresses of a MACPool by state: total, and of these used, reserved by replicas, unreadable as their rows are, free.",
		[]string{"pool", "state"}, nil,
	)
}

func unreadableDesc() *prometheus.Desc {
	return prometheus.NewDesc("bridgehead_macblocks_unreadable",
		"MACBlocks with rows that cannot be read.", nil, nil)
}

func collisionsDesc() *prometheus.Desc {
	return prometheus.NewDesc("bridgehead_mac_collisions",
		"Addresses that several objects have by accident. Zero in replicas whose janitor does not run.", nil, nil)
}

// A CountedStore counts the writes of a Store, by outcome.
type CountedStore struct {
	ledger.Store
	// Writes has the label outcome: written, conflict or failed.
	Writes *prometheus.CounterVec
}

// Put implements Store.
func (s CountedStore) Put(ctx context.Context, b *macpool.Block) (*macpool.Block, error) {
	written, err := s.Store.Put(ctx, b)
	outcome := "written"
	switch {
	case errors.Is(err, macpool.ErrConflict):
		outcome = "conflict"
	case err != nil:
		outcome = "failed"
	}
	s.Writes.WithLabelValues(outcome).Inc()
	return written, err
}
