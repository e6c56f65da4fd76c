// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
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
			_, err := Plan(current, desired)
			assert.NoError(t, err)
		})
	}
	small, large := count(50), count(500)
	assert.LessOrEqual(t, large, 11*small, "allocations")
}
