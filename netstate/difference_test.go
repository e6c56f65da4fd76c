// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDifference(t *testing.T) {
	for name, c := range map[string]struct {
		expected, found Interface
		want            string
	}{
		"a key that the step does not mention is not compared": {
			expected: Interface{Name: "eth1"}, found: Interface{Name: "eth1", MTU: new(9000)},
		},
		"a key that differs is named with both values": {
			expected: Interface{MTU: new(1500)}, found: Interface{MTU: new(9000)},
			want: "mtu is 9000, the plan expects 1500",
		},
		"a key at depth is named by its path, and only the first": {
			expected: Interface{VLAN: &VLAN{ID: new(5), BaseIface: new("eth1")}},
			found:    Interface{VLAN: &VLAN{ID: new(6), BaseIface: new("eth2")}},
			want:     "vlan.base-iface is eth2, the plan expects eth1",
		},
		"a key that the node does not have counts as zero": {
			expected: Interface{Description: new("")}, found: Interface{},
		},
		"a part that the node does not have counts as one without keys": {
			expected: Interface{VLAN: &VLAN{ID: new(5)}}, found: Interface{},
			want: "vlan.id is 0, the plan expects 5",
		},
		"a MAC is compared as one value": {
			expected: Interface{MAC: &MAC{2}}, found: Interface{MAC: &MAC{4}},
			want: "mac-address is 04:00:00:00:00:00, the plan expects 02:00:00:00:00:00",
		},
		"lists are not compared": {
			expected: Interface{IPv4: &IP{Address: []Address{{PrefixLength: 24}}}}, found: Interface{IPv4: &IP{}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, Difference(c.expected, c.found))
		})
	}
}
