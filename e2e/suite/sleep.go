// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"time"
)

// Sleep lets time pass in which what runs goes on. The error is that of ctx, if it is done before.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Pause is Sleep for loops: it reports whether ctx still goes on.
func Pause(ctx context.Context, d time.Duration) bool { return Sleep(ctx, d) == nil }
