// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A node on which pods come and go changes under every dump: the kernel marks such a dump as interrupted, and what
// Read returns must be whole all the same.
func TestReadIsWholeWhileLinksComeAndGo(t *testing.T) {
	k, churner := openGuest(t), openGuest(t)
	for n := range 40 { // more than one message of a dump holds
		step := dummy(fmt.Sprintf("stays%d", n))
		require.NoError(t, k.Do(step))
		t.Cleanup(func() { assert.NoError(t, k.Do(step.Inverse())) })
	}
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			come := dummy("comes")
			if err := Apply(churner, []netstate.Step{come, come.Inverse()}); err != nil {
				stopped <- err
				return
			}
		}
	}()
	for range 50 {
		s := read(t, k)
		for n := range 40 {
			_, found := s.Interface(fmt.Sprintf("stays%d", n))
			assert.True(t, found, "stays%d", n)
		}
	}
	close(stop)
	require.NoError(t, <-stopped)
}
