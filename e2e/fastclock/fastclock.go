// SPDX-License-Identifier: Apache-2.0

// Package fastclock has a clock that runs ahead: what takes a minute in production takes seconds in a test, with the
// intervals and deadlines that production has.
package fastclock

import (
	"time"

	"k8s.io/utils/clock"
)

// A Clock runs a number of times as fast as the machine's. It is safe for concurrent use.
type Clock struct {
	clock.RealClock
	began time.Time
	times time.Duration
}

var _ clock.WithTicker = Clock{}

// New returns a clock that shows the machine's time now, and from now on runs that many times as fast.
func New(times int) Clock { return Clock{began: time.Now(), times: time.Duration(times)} }

// Now implements clock.PassiveClock.
func (c Clock) Now() time.Time { return c.began.Add(c.times * time.Since(c.began)) }

// Since implements clock.PassiveClock.
func (c Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// After implements clock.Clock.
func (c Clock) After(d time.Duration) <-chan time.Time { return c.RealClock.After(d / c.times) }

// Sleep implements clock.Clock.
func (c Clock) Sleep(d time.Duration) { c.RealClock.Sleep(d / c.times) }

// NewTimer implements clock.Clock.
func (c Clock) NewTimer(d time.Duration) clock.Timer {
	return timer{Timer: c.RealClock.NewTimer(d / c.times), times: c.times}
}

// AfterFunc implements clock.WithDelayedExecution.
func (c Clock) AfterFunc(d time.Duration, f func()) clock.Timer {
	return timer{Timer: c.RealClock.AfterFunc(d/c.times, f), times: c.times}
}

// NewTicker implements clock.WithTicker.
func (c Clock) NewTicker(d time.Duration) clock.Ticker { return c.RealClock.NewTicker(d / c.times) }

type timer struct {
	clock.Timer
	times time.Duration
}

// Reset implements clock.Timer.
func (t timer) Reset(d time.Duration) bool { return t.Timer.Reset(d / t.times) }
