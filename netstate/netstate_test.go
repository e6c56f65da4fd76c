// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestForeign(t *testing.T) {
	tests := map[string]struct {
		link Interface
		want bool
	}{
		"a tap":                           {Interface{Type: TypeTun, State: StateIgnore}, true},
		"a veth of a pod":                 {Interface{Type: TypeVeth, State: StateIgnore}, true},
		"a veth a policy named":           {Interface{Type: TypeVeth, State: StateUp, Owned: true}, false},
		"a NIC":                           {Interface{Type: TypeEthernet, State: StateUp}, false},
		"a NIC somebody wants left alone": {Interface{Type: TypeEthernet, State: StateIgnore}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, test.link.Foreign())
		})
	}
}

func TestOwnMarksLinksPortsAndPeers(t *testing.T) {
	current := parse(t, `interfaces: [{name: a, type: linux-bridge}, {name: b, type: veth}, {name: c, type: tun, state: ignore}, {name: d, type: tun, state: ignore}]`)
	committed := parse(t, `interfaces: [{name: a, type: linux-bridge, bridge: {port: [{name: c}]}}, {name: x, type: veth, veth: {peer: b}}]`)
	owned := Own(current, committed)
	for n, want := range []bool{true, true, true, false} {
		assert.Equal(t, want, owned.Interfaces[n].Owned, owned.Interfaces[n].Name)
		assert.False(t, current.Interfaces[n].Owned, "the argument stays as it is")
	}
}
