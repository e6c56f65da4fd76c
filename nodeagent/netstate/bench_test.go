package netstate

import (
	"fmt"
	"net/netip"
	"testing"
)

// BenchmarkPlan plans n VLANs on one NIC and n bridges, each with one of the VLANs as its port, on a
// node that has none of them, and again on the node that has them all.
func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{50, 500} {
		current, desired := manyLinks(n)
		b.Run(fmt.Sprintf("make/%d", n), func(b *testing.B) { benchmarkPlan(b, current, desired, 3*n) })
		made := Merge(current, desired)
		b.Run(fmt.Sprintf("agree/%d", n), func(b *testing.B) { benchmarkPlan(b, made, desired, 0) })
	}
}

func benchmarkPlan(b *testing.B, current, desired State, want int) {
	b.ReportAllocs()
	for b.Loop() {
		steps, err := Plan(current, desired)
		if err != nil || len(steps) != want {
			b.Fatalf("%d steps, want %d: %v", len(steps), want, err)
		}
	}
}

func manyLinks(n int) (current, desired State) {
	current = State{Interfaces: []Interface{{Name: "eth1", Type: TypeEthernet, State: StateUp, MTU: new(1500)}}}.complete()
	for id := range n {
		vlan, bridge := fmt.Sprintf("eth1.%d", id+1), fmt.Sprintf("br%d", id+1)
		desired.Interfaces = append(desired.Interfaces,
			Interface{Name: vlan, Type: TypeVLAN, State: StateUp, VLAN: &VLAN{BaseIface: new("eth1"), ID: new(id + 1)}},
			Interface{Name: bridge, Type: TypeBridge, State: StateUp, Bridge: &Bridge{Port: []BridgePort{{Name: vlan}}}},
		)
	}
	return current, desired
}

// TestPlanGrowsWithTheNode counts allocations, which unlike time are the same on every machine: ten times
// the links may cost no more than ten times as many, and a tenth for the sorting.
func TestPlanGrowsWithTheNode(t *testing.T) {
	count := func(n int) float64 {
		current, desired := manyLinks(n)
		return testing.AllocsPerRun(3, func() {
			if _, err := Plan(current, desired); err != nil {
				t.Error(err)
			}
		})
	}
	small, large := count(50), count(500)
	if large > 11*small {
		t.Errorf("50 links: %.0f allocations, 500 links: %.0f", small, large)
	}
}

func TestMACs(t *testing.T) {
	mac, err := ParseMAC("52:55:00:d1:56:0a")
	if err != nil || mac.String() != "52:55:00:D1:56:0A" {
		t.Errorf("got %s, %v", mac, err)
	}
	for _, text := range []string{"", "52:55", "52:55:00:d1:56:0a:00:01", "x"} {
		if _, err := ParseMAC(text); err == nil {
			t.Errorf("%q is no MAC", text)
		}
	}
}

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
			if got := test.link.Foreign(); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestOwnMarksLinksPortsAndPeers(t *testing.T) {
	current := parse(t, `interfaces: [{name: a, type: linux-bridge}, {name: b, type: veth}, {name: c, type: tun, state: ignore}, {name: d, type: tun, state: ignore}]`)
	committed := parse(t, `interfaces: [{name: a, type: linux-bridge, bridge: {port: [{name: c}]}}, {name: x, type: veth, veth: {peer: b}}]`)
	owned := Own(current, committed)
	for n, want := range []bool{true, true, true, false} {
		if got := owned.Interfaces[n]; got.Owned != want || current.Interfaces[n].Owned {
			t.Errorf("%s: owned %v, want %v", got.Name, got.Owned, want)
		}
	}
}

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
			if err == nil {
				t.Fatal("no error")
			}
			wantEqual(t, "after the refusal", after, state)
		})
	}
}
