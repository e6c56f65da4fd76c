// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// loop does one thing after the other: whatever wakes it, it looks at everything.
func (a *Agent) loop(ctx context.Context) error {
	changes, err := a.options.Network.Watch(ctx)
	if err != nil {
		return fmt.Errorf("watch the network: %w", err)
	}
	a.health.watching.Store(true)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		case <-timer.C:
		case _, ok := <-changes:
			if !ok {
				if changes, err = a.options.Network.Watch(ctx); err != nil {
					return fmt.Errorf("watch the network: %w", err)
				}
			}
			if !pause(ctx, debounce) {
				return nil
			}
		}
		timer.Reset(a.pass(ctx))
	}
}

// pause waits, and reports whether ctx is still in force.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// pass does what is to be done now, and says when to look again.
func (a *Agent) pass(ctx context.Context) time.Duration {
	defer a.health.beginPass()()
	a.keeper.NewPass()
	again := resyncInterval
	soon := func(d time.Duration) {
		if d > 0 {
			again = min(again, d)
		}
	}
	select {
	case <-a.synced:
		wait, err := a.follow(ctx)
		soon(wait)
		if err != nil && ctx.Err() == nil {
			a.options.Log.Info("Cannot reconcile policies, trying again", "error", err.Error())
			soon(publishRetry)
		}
	default:
	}
	healed, wait := a.keeper.heal()
	soon(wait)
	for _, h := range healed {
		a.reportHealed(h)
	}
	a.keepBootUnit()
	a.noteWay(ctx)
	current, err := a.keeper.Latest()
	aside, failed := a.keeper.Journal.Aside()
	a.publish.show(snapshot{
		state: current, committed: a.keeper.Committed(), notUndone: aside, err: errors.Join(err, failed),
	})
	return again
}

func (a *Agent) reportHealed(h Healed) {
	a.metrics.heal(h)
	if h.Err != nil {
		a.options.Event(h.Policy, corev1.EventTypeWarning, "NotHealed", a.options.NodeName+": "+oneLine(h.Err))
		return
	}
	done := oneLine(errors.New(netstate.Format(h.Steps)))
	note := a.options.NodeName + ": restored what was changed from outside: " + done
	a.options.Event(h.Policy, corev1.EventTypeWarning, "Healed", note)
}
