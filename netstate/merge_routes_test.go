// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An entry with state absent is about configured routes. Who taught the others would do it again.
func TestALearntRouteIsNotRemoved(t *testing.T) {
	const protoStatic, protoBoot, protoRA, protoDHCP, protoKeepalived = 4, 3, 9, 16, 18
	tests := map[string]struct {
		protocol int
		goes     bool
	}{
		"one somebody made with ip": {protoBoot, true},
		"a static one":              {protoStatic, true},
		"one of a lease":            {protoDHCP, false},
		"one of a router":           {protoRA, false},
		"one of keepalived":         {protoKeepalived, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			current := parse(t, `interfaces: [{name: eth0, type: ethernet, state: up, mtu: 1500,
  ipv4: {enabled: true, address: [{ip: 192.0.2.10, prefix-length: 24}]}}]
routes: {running: [{destination: 0.0.0.0/0, next-hop-interface: eth0, next-hop-address: 192.0.2.1}]}`).complete()
			current.Routes.Running[0].Protocol = test.protocol
			if current.Routes.Running[0].configured() {
				current.Routes.Config = current.Routes.Running
			}
			steps, err := Plan(current, parse(t, `routes: {config: [{state: absent, next-hop-interface: eth0}]}`))
			require.NoError(t, err)
			assert.Equal(t, test.goes, len(steps) > 0, Format(steps))
		})
	}
}
