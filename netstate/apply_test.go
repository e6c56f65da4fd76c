// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestApplyRefuses(t *testing.T) {
	address := Address{IP: netip.MustParseAddr("192.0.2.10"), PrefixLength: 24}
	tests := map[string]Step{
		"a link twice": {Kind: StepLink, Link: "br0",
			To: Value{Link: &Interface{Name: "br0", Type: TypeBridge}}},
		"a link without its base": {Kind: StepLink, Link: "v",
			To: Value{Link: &Interface{Name: "v", Type: TypeVLAN, VLAN: &VLAN{BaseIface: new("eth9")}}}},
		"a VLAN up on a base that is down": {Kind: StepLink, Link: "v",
			To: Value{Link: &Interface{Name: "v", Type: TypeVLAN, State: StateUp, VLAN: &VLAN{BaseIface: new("eth3")}}}},
		"a VLAN larger than its base": {Kind: StepLink, Link: "v",
			To: Value{Link: &Interface{Name: "v", Type: TypeVLAN, MTU: new(9000), VLAN: &VLAN{BaseIface: new("eth1")}}}},
		"a bridge deleted under its ports": {Kind: StepLink, Link: "br0",
			From: Value{Link: &Interface{Name: "br0", Type: TypeBridge}}},
		"a link of another type": {Kind: StepLink, Link: "eth2",
			From: Value{Link: &Interface{Name: "eth2", Type: TypeDummy}}},
		"a value that is not what was there": {Kind: StepSet, Link: "eth2", From: Value{Link: &Interface{MTU: new(1400)}},
			To: Value{Link: &Interface{MTU: new(1450)}}},
		"a link down under its routes": {Kind: StepSet, Link: "eth0", From: Value{Link: &Interface{State: StateUp}},
			To: Value{Link: &Interface{State: StateDown}}},
		"a port of something else": {Kind: StepPort, Link: "eth1",
			To: Value{Port: &Attachment{Controller: "br0", Type: TypeBridge}}},
		"a controller that is not there": {Kind: StepPort, Link: "eth2",
			To: Value{Port: &Attachment{Controller: "br9", Type: TypeBridge}}},
		"a detach from another controller": {Kind: StepPort, Link: "eth1",
			From: Value{Port: &Attachment{Controller: "br9", Type: TypeBridge}}},
		"an address twice":             {Kind: StepAddress, Link: "eth0", To: Value{Address: &address}},
		"an address that is not there": {Kind: StepAddress, Link: "eth2", From: Value{Address: &address}},
		"a route that is not there": {Kind: StepRoute,
			From: Value{Route: &Route{Destination: netip.MustParsePrefix("10.0.0.0/8")}}},
		"a route through a link that is down": {Kind: StepRoute,
			To: Value{Route: &Route{Destination: netip.MustParsePrefix("10.0.0.0/8"), NextHopInterface: "eth3"}}},
		"a rule that is not there": {Kind: StepRule, From: Value{Rule: &RouteRule{Priority: new(1)}}},
		"a kind that is not there": {Kind: "rename"},
	}
	state := loadStates(t)["02-bridge-trunk"]
	for name, step := range tests {
		t.Run(name, func(t *testing.T) {
			after, err := state.Apply(step)
			require.Error(t, err)
			wantEqual(t, "after the refusal", after, state)
		})
	}
}
