// SPDX-License-Identifier: Apache-2.0

package netstate

import "slices"

// Reported returns what a NodeNetworkState shows of a current state: all of it, but for what belongs to pods
// and comes and goes with them, which are veths nobody configured and the routes through them. With Marshal or
// MarshalJSON, which leave out lifetimes and sort keys, the text changes only when something was configured.
func (s State) Reported() State {
	hidden := map[string]bool{}
	s.Interfaces = slices.DeleteFunc(slices.Clone(s.Interfaces), func(i Interface) bool {
		hides := i.Type == TypeVeth && i.theirs()
		hidden[i.Name] = hides
		return hides
	})
	through := func(r Route) bool { return hidden[r.NextHopInterface] }
	s.Routes.Running = slices.DeleteFunc(slices.Clone(s.Routes.Running), through)
	s.Routes.Config = slices.DeleteFunc(slices.Clone(s.Routes.Config), through)
	return s
}

// Uplinks returns, for every bridge of a current state that has some, the ports through which it reaches
// beyond the node's own workloads, in the order of its port list: those that are not foreign. Whether bridge
// and ports are up is not looked at.
func (s State) Uplinks() map[string][]string {
	links, uplinks := s.index(), map[string][]string{}
	for _, i := range s.Interfaces {
		if i.Type != TypeBridge {
			continue
		}
		for _, port := range i.Ports() {
			if link := links[port]; link != nil && !link.Foreign() {
				uplinks[i.Name] = append(uplinks[i.Name], port)
			}
		}
	}
	return uplinks
}

// DeclaredBridges returns, by name, the bridges that a desired state wants to be there. One that is to be gone, or left
// alone, it does not declare.
func (s State) DeclaredBridges() map[string]Interface {
	declared := map[string]Interface{}
	for _, i := range s.Interfaces {
		if i.wanted() && (i.Type == TypeBridge || i.Type == "" && i.Bridge != nil) {
			declared[i.Name] = i
		}
	}
	return declared
}
