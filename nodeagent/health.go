// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// maxPass is how long one pass of the main loop may take before it counts as stuck. It is longer than any deadline of
// probes, and than many changes one after the other.
const maxPass = 15 * time.Minute

// A health is what an agent knows of itself. It is written by the agent's goroutines and read by whoever asks.
type health struct {
	clock clock.PassiveClock
	// restored, watching and reached say what has been done since the start: what the node is committed to was restored,
	// the kernel tells of changes, and the API server took a report.
	restored, watching, reached atomic.Bool
	// others is what Options.Others said last; nil before it was asked.
	others atomic.Pointer[error]
	// begun is when the pass began that is under way, in nanoseconds since 1970; zero between passes.
	begun atomic.Int64
}

// beginPass notes that a pass is under way; the function it returns, that it has ended.
func (h *health) beginPass() (end func()) {
	h.begun.Store(h.clock.Now().UnixNano())
	return func() { h.begun.Store(0) }
}

// Alive returns an error if the main loop is stuck, so that only another process can help. That the API server is away,
// or that a policy fails, is no such reason.
func (a *Agent) Alive() error {
	begun := a.health.begun.Load()
	if begun == 0 {
		return nil
	}
	if took := a.health.clock.Since(time.Unix(0, begun)); took > maxPass {
		return fmt.Errorf("one pass of the main loop has taken %s", took.Round(time.Second))
	}
	return nil
}

// Ready returns nil once the agent does its work: the node is restored, the kernel is watched, the API server has taken
// a first report, nobody else does the same, and nothing that the process needs is missing. Else it returns what is not
// so.
func (a *Agent) Ready() error {
	var missing []error
	for _, part := range []struct {
		done *atomic.Bool
		what string
	}{
		{&a.health.restored, "the configuration of this node is not restored yet"},
		{&a.health.watching, "the watch of the kernel has not started yet"},
		{&a.health.reached, "no report has reached the API server yet"},
	} {
		if !part.done.Load() {
			missing = append(missing, errors.New(part.what))
		}
	}
	if others := a.health.others.Load(); others != nil {
		missing = append(missing, *others)
	}
	if a.options.Access != nil {
		missing = append(missing, a.options.Access())
	}
	return errors.Join(missing...)
}
