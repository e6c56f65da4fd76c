// SPDX-License-Identifier: Apache-2.0

package nmstate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestProbeDeadlines(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"60s": time.Minute, "1s": time.Second, "10m": 10 * time.Minute,
		"999ms": 0, "10m1s": 0, "60": 0, "": 0, "-5s": 0, "soon": 0,
	} {
		got, err := ParseProbeDeadline(map[string]string{ProbeDeadlineAnnotation: text})
		assert.Equal(t, want, got, text)
		assert.Equal(t, want == 0, err != nil, text)
	}
	got, err := ParseProbeDeadline(nil)
	assert.Zero(t, got)
	assert.NoError(t, err)
}
