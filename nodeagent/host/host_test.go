// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"

	"github.com/bridgehead-dev/bridgehead/nodeagent/resolver"
)

func TestNameServersThatCannotBeWrittenAreWrittenLater(t *testing.T) {
	tests := map[string]struct {
		fails error
		want  int
	}{
		"it works":                           {nil, 1},
		"the program that keeps them starts": {errors.New("it hangs"), 2},
		"another program keeps the file":     {fmt.Errorf("write: %w", &resolver.KeptError{}), 1},
		"the agent may only read the folder": {fmt.Errorf("write: %w", &resolver.ReadOnlyError{}), 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				changed, writes := make(chan struct{}), 0
				go follow(ctx, changed, func() error {
					writes++
					if writes == 1 {
						return test.fails
					}
					return nil
				}, logr.Discard())
				changed <- struct{}{}
				<-time.After(time.Hour)
				synctest.Wait()
				assert.Equal(t, test.want, writes)
				cancel()
			})
		})
	}
}
