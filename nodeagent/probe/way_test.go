// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

func TestOnlyGatewaysThroughTheLinksAreAsked(t *testing.T) {
	state, problems := netstate.Parse([]byte(`
interfaces: [{name: eth0, type: ethernet, state: up}, {name: br1, type: linux-bridge, state: up}]
routes:
  running:
  - {destination: 0.0.0.0/0, next-hop-address: 192.0.2.1, next-hop-interface: eth0, metric: 10}
  - {destination: 0.0.0.0/0, next-hop-address: 198.51.100.1, next-hop-interface: br1, metric: 100}
`))
	require.Empty(t, problems)
	for name, test := range map[string]struct {
		links []string
		want  []neighbour
	}{
		"through any link the best counts":   {nil, []neighbour{{"eth0", netip.MustParseAddr("192.0.2.1")}}},
		"through one link what goes by that": {[]string{"br1", "eth1"}, []neighbour{{"br1", netip.MustParseAddr("198.51.100.1")}}},
		"through others nobody":              {[]string{"eth1"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := through{still(state), test.links}.Read()
			require.NoError(t, err)
			assert.Equal(t, test.want, gateways(got, false))
			if test.want == nil {
				answers := Way(still(state))(t.Context(), test.links, false)
				assert.ErrorIs(t, answers["default gateway"], ErrNobody)
				assert.ErrorIs(t, answers["IPv6 default gateway"], ErrNobody)
			}
		})
	}
	assert.Len(t, state.Routes.Running, 2, "what was read stays as it is")
}
