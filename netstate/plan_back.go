// SPDX-License-Identifier: Apache-2.0

package netstate

import "slices"

// PlanBack returns the steps towards a wish that we derived ourselves: what Revert returned, or what a node is
// committed to. It never fails. Rules for what users write do not apply, since what a node was, it can be again,
// and what cannot be carried out on this node any more is left out: entries for links that are gone, ports and
// bases that are missing, routes through them. A bridge that is to go stays while it has foreign ports, without
// ports and addresses of ours.
func PlanBack(current, wish State) []Step {
	current = WithoutLeases(current.complete()).heeding(wish)
	wish = feasible(current, wish)
	target := mergeBack(current, wish)
	target.Routes = possibleRoutes(current.Routes, target)
	return possibleSteps(current, planBetween(current, target))
}

// possibleSteps returns the steps without those that cannot be taken once those before are.
func possibleSteps(current State, steps []Step) []Step {
	return slices.DeleteFunc(steps, func(step Step) bool {
		if current.Refused(step) != nil {
			return true
		}
		after, err := current.Apply(step)
		if err == nil {
			current = after
		}
		return err != nil
	})
}

// possibleRoutes returns the routes of a target without new ones whose link is missing, down, or without an
// address of their IP version.
func possibleRoutes(now Routes, target State) Routes {
	links, had := target.index(), routeKeys(allRoutes(now))
	impossible := func(r Route) bool {
		if r.NextHopInterface == "" || had[r.complete().key()] {
			return false
		}
		link := links[r.NextHopInterface]
		return link == nil || link.State == StateDown
	}
	return Routes{
		Running: slices.DeleteFunc(slices.Clone(target.Routes.Running), impossible),
		Config:  slices.DeleteFunc(slices.Clone(target.Routes.Config), impossible),
		Other:   target.Routes.Other,
	}
}

// feasible returns the part of a wish that can be carried out on a node.
func feasible(current, wish State) State {
	f := feasibility{now: current.index(), wish: wish.index()}
	entries := make([]Interface, 0, len(wish.Interfaces))
	for _, d := range wish.Interfaces {
		if d.State == StateAbsent {
			d = f.keepUnderForeignPorts(d)
		}
		entries = append(entries, f.keepCarrying(d))
	}
	for {
		before := len(entries)
		f.find(entries)
		entries = slices.DeleteFunc(entries, func(d Interface) bool { return d.wanted() && !f.exists[d.Name] })
		if len(entries) == before {
			break
		}
	}
	for n, d := range entries {
		entries[n] = f.withoutMissing(d)
	}
	wish.Interfaces = entries
	return wish
}

// A feasibility knows which links there will be.
type feasibility struct {
	now, wish map[string]*Interface
	exists    map[string]bool
}

// find works out which links the node has or can make, so far as the entries that are left go.
func (f *feasibility) find(entries []Interface) {
	f.exists = make(map[string]bool, len(f.now))
	for name := range f.now {
		f.exists[name] = true
	}
	for _, d := range entries {
		if d.State == StateAbsent && f.now[d.Name] != nil && f.now[d.Name].Type != TypeEthernet {
			delete(f.exists, d.Name)
		}
	}
	made := map[string]bool{}
	for _, d := range entries {
		if d.wanted() {
			made[d.Name] = true
			if d.Veth != nil {
				made[d.Veth.Peer] = true
			}
		}
	}
	for _, d := range entries {
		if !d.wanted() {
			continue
		}
		base := d.Base()
		f.exists[d.Name] = f.possible(d) && (base == "" || f.exists[base] || made[base])
		if d.Veth != nil && f.exists[d.Name] {
			f.exists[d.Veth.Peer] = true
		}
	}
}

// possible reports whether the entry's link exists, or can be made with what the entry says.
func (f *feasibility) possible(d Interface) bool {
	now := f.now[d.Name]
	if now != nil && sameType(*now, d) {
		return true
	}
	if now != nil && (now.theirs() || !makeable(now.Type) || len(foreignPorts(*now, f.now)) > 0 ||
		len(carried(d.Name, f.now)) > 0) {
		return false
	}
	return makeable(d.Type) && missingPart(d) == ""
}

// missingPart returns the key that a new link cannot do without and the entry does not have, or "".
func missingPart(d Interface) string {
	is := func(set bool, key string) string {
		if set {
			return ""
		}
		return key
	}
	switch d.Type {
	case TypeVLAN:
		return is(d.Base() != "" && d.VLAN.ID != nil, "vlan")
	case TypeBond:
		return is(d.Bond != nil && d.Bond.Mode != nil, "link-aggregation")
	case TypeVXLAN:
		return is(d.VXLAN != nil && d.VXLAN.ID != nil, "vxlan")
	case TypeVRF:
		return is(d.VRF != nil && d.VRF.RouteTableID != nil, "vrf")
	case TypeMACVLAN:
		return is(d.Base() != "" && d.MACVLAN.Mode != nil, "mac-vlan")
	case TypeVeth:
		return is(d.Veth != nil && d.Veth.Peer != "", "veth")
	}
	return ""
}

// keepUnderForeignPorts returns an entry that removes a controller, or one that only clears it while a pod, a VM or
// anything else that no policy named is plugged into it.
func (f *feasibility) keepUnderForeignPorts(d Interface) Interface {
	now := f.now[d.Name]
	if now == nil || now.theirs() || now.Type == TypeEthernet {
		return d
	}
	foreign := slices.DeleteFunc(slices.Clone(now.Ports()), func(port string) bool {
		link := f.now[port]
		return link == nil || link.Owned || f.wish[port] != nil
	})
	if len(foreign) == 0 {
		return d
	}
	kept := Interface{Name: d.Name, Type: now.Type, State: now.State, IPv4: &IP{Enabled: new(false)},
		IPv6: &IP{Enabled: new(false)}}
	switch {
	case now.Bridge != nil:
		kept.Bridge = &Bridge{Port: []BridgePort{}, VLANFiltering: now.Bridge.VLANFiltering}
	case now.Bond != nil:
		kept.Bond = &Bond{Port: []string{}}
	case now.VRF != nil:
		kept.VRF = &VRF{Port: []string{}}
	}
	for _, port := range foreign {
		if !f.now[port].Foreign() { // those stay unless they are named
			kept = kept.withPortOf(*now, port)
		}
	}
	return kept
}

// withoutMissing returns an entry without the ports and the controller that the node does not have.
func (f *feasibility) withoutMissing(d Interface) Interface {
	missing := func(name string) bool { return !f.exists[name] }
	d = d.WithoutPorts(missing)
	if d.Controller != nil && *d.Controller != "" && missing(*d.Controller) {
		d.Controller = nil
	}
	return d
}

// keepCarrying returns an entry that removes a link, or makes it again, or one that does not while others have links on
// it: those that it was to lose by being removed are its addresses only.
func (f *feasibility) keepCarrying(d Interface) Interface {
	now := f.now[d.Name]
	if now == nil || len(carried(d.Name, f.now)) == 0 {
		return d
	}
	if d.State == StateAbsent && now.Type != TypeEthernet {
		return Interface{Name: d.Name, Type: now.Type, State: now.State, IPv4: &IP{Enabled: new(false)},
			IPv6: &IP{Enabled: new(false)}}
	}
	if d.wanted() && sameType(*now, d) && !sameForever(*now, overlay(*now, d)) {
		d.VLAN, d.VXLAN, d.MACVLAN, d.VRF = nil, nil, nil, nil
	}
	return d
}
