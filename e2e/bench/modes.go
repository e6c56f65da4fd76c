// SPDX-License-Identifier: Apache-2.0

package main

// A mode is one way to admit VMs.
type mode struct {
	name      string
	namespace string // see namespaceOf
	assigns   bool   // ours
	explicit  bool   // the VMs name their addresses
	base      int    // the index of the mode it is compared with
	aside     bool   // nothing is aimed at: it is measured every other round
}

// loads are the concurrencies with the number of VMs of one round: as many as are created in some two seconds. After
// three, our janitor would write down what others gave, while they are measured.
func loads() [][2]int { return [][2]int{{1, 256}, {16, 512}, {64, 512}} }

// warmUp is how many objects are created right before a sample: what lay idle while others were measured has its
// connections and its memory again.
const warmUp = 64

// modes with so many replicas of ours. Each is compared with the webhook that gives VMs addresses without keeping a
// record, which does the least that any of its kind can; where KubeVirt's own webhook is in the way, so it is there.
// What is compared stands side by side, so that it is measured one right after the other.
func modes(replicas int) []mode {
	if replicas == 2 {
		return []mode{
			{name: patching, namespace: patching},
			{name: "bridgehead, 2 replicas", namespace: "two", assigns: true},
			{name: patching + withMutator, namespace: patching + mutated, base: 2},
			{name: "bridgehead, 2 replicas" + withMutator, namespace: "two" + mutated, assigns: true, base: 2},
			{name: patching + behind, namespace: patching + followed, base: 4, aside: true},
			{name: "bridgehead, 2 replicas" + behind, namespace: "two" + followed, assigns: true, base: 4, aside: true},
			{name: patching + ", 2 replicas", namespace: twice, aside: true}, // what a second process costs by itself
		}
	}
	return []mode{
		{name: patching, namespace: patching},
		{name: "bridgehead, 1 replica", namespace: "one", assigns: true},
		{name: patching + withMutator, namespace: patching + mutated, base: 2},
		{name: "bridgehead, 1 replica" + withMutator, namespace: "one" + mutated, assigns: true, base: 2},
		{name: "bridgehead, explicit MACs", namespace: "explicit", assigns: true, explicit: true, aside: true},
		{name: allowing, namespace: allowing, aside: true},
		{name: "no webhook", namespace: "none", aside: true},
		{name: "a write per admission", namespace: durable, aside: true},
	}
}

const (
	withMutator = ", with KubeVirt's mutator"
	behind      = ", with a mutator behind"
)

// mutated ends the names of namespaces in which a mutator like KubeVirt's is called too, and followed of those in which
// one is that is called after ours, and has ours called again.
const mutated, followed = "-mutated", "-followed"

func namespaceOf(mode string) string { return "bench-" + mode }
