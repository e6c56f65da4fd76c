// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the kernel gives a bridge by itself is not written into the step that makes it again: written, it would stay
// when the ports change.
func TestWhatABridgeHasFromItsPorts(t *testing.T) {
	const ports = `
- {name: eth1, type: ethernet, state: up, mtu: 1400, mac-address: "02:00:00:00:00:02"}
- {name: eth2, type: ethernet, state: up, mtu: 9000, mac-address: "02:00:00:00:00:01"}
`
	for name, c := range map[string]struct {
		bridge string
		mtu    int
		mac    string // that the bridge is made again with
		pinned bool   // its MTU is written
	}{
		"all of it": {
			bridge: `mtu: 1400, mac-address: "02:00:00:00:00:01"`, mtu: 1400,
		},
		"not its MAC": {
			bridge: `mtu: 1400, mac-address: "02:00:00:00:00:02"`, mtu: 1400, mac: "02:00:00:00:00:02",
		},
		"not its MTU": {
			bridge: `mtu: 1300, mac-address: "02:00:00:00:00:01"`, mtu: 1400, pinned: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := parse(t, "interfaces:"+ports+
				"- {name: br0, type: linux-bridge, state: up, "+c.bridge+", bridge: {port: [{name: eth1}, {name: eth2}]}}")
			steps, err := Plan(now, parse(t, "interfaces: [{name: br0, state: absent}]"))
			require.NoError(t, err)
			var made *Interface
			pinned := false
			for _, s := range steps {
				switch {
				case s.Kind == StepLink:
					made = s.From.Link
				case s.Kind == StepSet && s.Link == "br0" && s.From.Link.MTU != nil:
					pinned = true
				}
			}
			require.NotNil(t, made)
			require.NotNil(t, made.MTU)
			assert.Equal(t, c.mtu, *made.MTU)
			assert.Equal(t, c.pinned, pinned)
			if c.mac == "" {
				assert.Nil(t, made.MAC)
			} else if assert.NotNil(t, made.MAC) {
				assert.Equal(t, c.mac, made.MAC.String())
			}
		})
	}
}
