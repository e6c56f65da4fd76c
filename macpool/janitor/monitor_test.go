// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestALeaseMonitorTrustsOnlyItsOwnClock(t *testing.T) {
	w := leaseMonitor{patience: 75 * time.Second}
	reserving := map[string]bool{"a": true, "b": true, "gone": true}
	at := func(second int, renewals map[string]string) []string {
		dead := w.dead(renewals, reserving, time.Unix(int64(second), 0))
		slices.Sort(dead)
		return dead
	}
	assert.Empty(
		t, at(0, map[string]string{"a": "noon", "b": "in a thousand years"}), "a Lease is first seen alive, whatever it says",
	)
	assert.Empty(t, at(74, map[string]string{"a": "noon", "b": "1970"}))
	assert.Equal(
		t, []string{"a", "gone"}, at(75, map[string]string{"a": "noon", "b": "1970"}), "b's Lease has changed, if backwards",
	)
	assert.Equal(t, []string{"a", "gone"}, at(80, map[string]string{"a": "noon", "b": "x"}), "until they are settled")
	delete(reserving, "a")
	assert.Equal(t, []string{"gone"}, at(81, map[string]string{"b": "y"}))
	assert.Equal(t, fmt.Sprint([]string{"b", "gone"}), fmt.Sprint(at(156, map[string]string{"b": "y"})))
}
