// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A Store keeps blocks and lets a block change only from the version it was read at.
type Store interface {
	// Get is the latest state of a block; a block that is not stored has no entries and no version.
	Get(ctx context.Context, p macpool.Prefix) (*macpool.Block, error)
	// Put writes a block and returns it with its new version. It fails with ErrConflict, and writes nothing, if the
	// stored block has another version than b.
	Put(ctx context.Context, b *macpool.Block) (*macpool.Block, error)
}
