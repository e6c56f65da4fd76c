// SPDX-License-Identifier: Apache-2.0

package fastclock

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAMinuteTakesASecond(t *testing.T) {
	waits := map[string]func(c Clock){
		"after":  func(c Clock) { <-c.After(time.Minute) },
		"sleep":  func(c Clock) { c.Sleep(time.Minute) },
		"timer":  func(c Clock) { <-c.NewTimer(time.Minute).C() },
		"ticker": func(c Clock) { <-c.NewTicker(time.Minute).C() },
		"a timer that is reset": func(c Clock) {
			timer := c.NewTimer(time.Hour)
			timer.Reset(time.Minute)
			<-timer.C()
		},
		"a function": func(c Clock) {
			done := make(chan struct{})
			c.AfterFunc(time.Minute, func() { close(done) })
			<-done
		},
	}
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				c := New(60)
				assert.True(t, c.Now().Equal(begun))
				wait(c)
				assert.Equal(t, time.Second, time.Since(begun))
				assert.Equal(t, time.Minute, c.Since(begun))
			})
		})
	}
}
