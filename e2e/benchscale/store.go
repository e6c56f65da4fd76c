// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync/atomic"

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
