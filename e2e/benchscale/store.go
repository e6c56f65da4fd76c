// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

// A countingStore counts writes.
type countingStore struct {
	ledger.Store
	puts atomic.Int64
}

// Put implements ledger.Store.
func (s *countingStore) Put(ctx context.Context, b *macpool.Block) (*macpool.Block, error) {
	s.puts.Add(1)
	return s.Store.Put(ctx, b)
}

// A sweepCounter counts sweeps of the janitor: each lists the Leases of the replicas once.
type sweepCounter struct {
	next  http.RoundTripper
	lists atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (c *sweepCounter) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/leases") {
		c.lists.Add(1)
	}
	return c.next.RoundTrip(r)
}

// wait returns when n more sweeps have got that far.
func (c *sweepCounter) wait(ctx context.Context, n int64) error {
	end := c.lists.Load() + n
	return wait.PollUntilContextCancel(ctx, time.Millisecond, true, func(context.Context) (bool, error) {
		return c.lists.Load() >= end, nil
	})
}
