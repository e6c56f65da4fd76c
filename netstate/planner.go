// SPDX-License-Identifier: Apache-2.0

package netstate

import "slices"

// A planner collects the steps of one plan.
type planner struct {
	now, target     map[string]*Interface
	nowRoutes       []Route
	targetRoutes    []Route
	nowOrder, order []string // of now and of target, bases first

	// remade are links that exist before and after, but have to be deleted and made again in between.
	remade map[string]bool
	// released are bonds all of whose ports have to leave for a while; lowered are links that go up or down
	// at some time, with everything that follows them.
	released, lowered map[string]bool

	// state is the administrative state of every link as the steps so far leave it.
	state     map[string]LinkState
	followers map[string][]string // base → links that go up and down with it, as the steps so far leave it
	steps     []Step
}

func newPlanner(now, target State) *planner {
	p := &planner{
		now: now.index(), target: target.index(),
		nowRoutes: allRoutes(now.Routes), targetRoutes: allRoutes(target.Routes),
		remade: map[string]bool{}, released: map[string]bool{}, lowered: map[string]bool{},
		state: map[string]LinkState{}, followers: map[string][]string{},
	}
	p.nowOrder, p.order = basesFirst(p.now), basesFirst(p.target)
	for _, name := range p.nowOrder {
		p.state[name] = p.now[name].State
		p.follow(*p.now[name])
	}
	p.findRemade()
	p.findLowered()
	return p
}

func (p *planner) emit(kind StepKind, link string, from, to Value) {
	p.steps = append(p.steps, Step{Kind: kind, Link: link, From: from, To: to})
}

// set emits a StepSet.
func (p *planner) set(name string, kind LinkType, from, to Interface) {
	from.Name, to.Name, from.Type, to.Type = name, name, kind, kind
	p.emit(StepSet, name, Value{Link: &from}, Value{Link: &to})
}

func (p *planner) follow(link Interface) {
	if link.followsBase() {
		p.followers[link.Base()] = append(p.followers[link.Base()], link.Name)
	}
}

// follows reports whether a link goes up and down with its base, as the steps so far leave it.
func (p *planner) follows(name string) bool {
	return slices.Contains(p.followers[p.link(name).Base()], name)
}

func (p *planner) unfollow(link Interface) {
	if link.followsBase() {
		p.followers[link.Base()] = slices.DeleteFunc(p.followers[link.Base()],
			func(name string) bool { return name == link.Name })
	}
}

// gone reports whether a link is deleted on the way, and fresh whether it is made.
func (p *planner) gone(name string) bool {
	return p.now[name] != nil && (p.target[name] == nil || p.remade[name])
}

func (p *planner) fresh(name string) bool {
	return p.target[name] != nil && (p.now[name] == nil || p.remade[name])
}

// link returns a link as it is while the steps so far are taken: as it was, unless it has been made since.
func (p *planner) link(name string) *Interface {
	if now := p.now[name]; now != nil && (!p.gone(name) || p.target[name] == nil) {
		return now
	}
	return p.target[name]
}

// findRemade finds the links whose type changes, or something the kernel cannot change, and what stands
// on them.
func (p *planner) findRemade() {
	for _, name := range p.order {
		now, target := p.now[name], p.target[name]
		if now == nil || target == nil {
			continue
		}
		on := now.Base() != "" && p.remade[now.Base()] || target.Base() != "" && p.remade[target.Base()]
		if on || now.Type != target.Type || !sameForever(*now, *target) {
			p.remade[name] = true
		}
	}
	for name := range p.remade {
		if veth := p.target[name].Veth; veth != nil && p.now[veth.Peer] != nil {
			p.remade[veth.Peer] = true
		}
		if veth := p.now[name].Veth; veth != nil && p.target[veth.Peer] != nil && p.now[veth.Peer] != nil {
			p.remade[veth.Peer] = true
		}
	}
}

// sameForever compares what the kernel fixes when it makes a link of now's type.
func sameForever(now, target Interface) bool {
	switch {
	case now.Base() != target.Base():
		return false
	case now.VLAN != nil && target.VLAN != nil:
		return same(now.VLAN.ID, target.VLAN.ID) && vlanProtocol(now.VLAN) == vlanProtocol(target.VLAN)
	case now.VXLAN != nil && target.VXLAN != nil:
		a, b := *now.VXLAN, *target.VXLAN
		a.Learning, b.Learning = nil, nil
		return agrees(a, b)
	case now.VRF != nil && target.VRF != nil:
		return same(now.VRF.RouteTableID, target.VRF.RouteTableID)
	case now.MACVLAN != nil && target.MACVLAN != nil:
		a, b := deref(now.MACVLAN.Mode), deref(target.MACVLAN.Mode)
		return a == b || a != passthru && b != passthru
	case now.Veth != nil && target.Veth != nil:
		return now.Veth.Peer == target.Veth.Peer
	}
	return true
}

// findLowered finds the links that stay and go up or down at some time: on the way there, or on the way
// back, their routes and IPv6 addresses are lost.
func (p *planner) findLowered() {
	for _, name := range p.nowOrder {
		now, target := p.now[name], p.target[name]
		if target == nil || p.remade[name] {
			continue
		}
		if now.Bond != nil && target.Bond != nil {
			p.released[name], p.lowered[name] = bondNeeds(now.Bond, target.Bond)
		}
	}
	for _, name := range p.nowOrder {
		if p.bondMove(name) && p.now[name].State == StateDown {
			p.lowerBases(*p.now[name]) // they go up for the port to be able to, and down again
		}
	}
	for _, name := range p.nowOrder {
		now, target := p.now[name], p.target[name]
		if target == nil || p.remade[name] || now.State == StateIgnore {
			continue
		}
		base := now.Base()
		follows := now.followsBase() && p.lowered[base] ||
			(now.followsBase() || target.followsBase()) && p.changesVRF(base)
		if p.bondMove(name) || follows || target.State != now.State {
			p.lowered[name] = true
		}
	}
}

// lowerBases notes that the bases of a link go up or down.
func (p *planner) lowerBases(link Interface) {
	for base := p.now[link.Base()]; base != nil && link.followsBase() && !p.lowered[base.Name]; base = p.now[link.Base()] {
		p.lowered[base.Name] = true
		link = *base
	}
}

// bondMove reports whether the link changes its place in a bond, on either side.
func (p *planner) bondMove(name string) bool {
	if !p.detaches(name) && !p.attaches(name) {
		return false
	}
	was, is := p.controller(p.now, name), p.controller(p.target, name)
	return was != nil && was.Type == TypeBond || is != nil && is.Type == TypeBond
}

// changesVRF reports whether a link that stays comes into or leaves a VRF: the kernel restarts it.
func (p *planner) changesVRF(name string) bool {
	if !p.detaches(name) && !p.attaches(name) {
		return false
	}
	was, is := p.controller(p.now, name), p.controller(p.target, name)
	return was != nil && was.Type == TypeVRF || is != nil && is.Type == TypeVRF
}

// bondNeeds reports whether the options that change need all ports to leave the bond, or the bond to be
// down.
func bondNeeds(now, target *Bond) (released, lowered bool) {
	for _, d := range deltas(*settableBond(now), *settableBond(target)) {
		if d.to.Mode != nil {
			return true, true
		}
		o := d.to.Options
		if o.FailOverMAC != nil {
			released = true
		}
		if o.LACPRate != nil || o.ADSelect != nil || o.ADUserPortKey != nil || o.TLBDynamicLB != nil {
			lowered = true
		}
	}
	return released, lowered
}

// changesHands reports whether a bond is without ports at some time before, on or after the way, and not
// all the way. The kernel takes the MAC of the first port that comes, and a random one when the last
// leaves: so the plan forgets the MAC before all that, for the inverse to set it again after it.
func (p *planner) changesHands(bond string) bool {
	now, target := p.now[bond], p.target[bond]
	if now == nil || now.Bond == nil {
		return false
	}
	if slices.ContainsFunc(now.Bond.Port, func(port string) bool { return !p.detaches(port) }) {
		return false
	}
	return len(now.Bond.Port) > 0 || target != nil && target.Bond != nil && len(target.Bond.Port) > 0
}

// controller returns the controller of a link in one of the two states, or nil.
func (p *planner) controller(links map[string]*Interface, name string) *Interface {
	link := links[name]
	if link == nil || link.Controller == nil {
		return nil
	}
	return links[*link.Controller]
}

// detaches reports whether a port leaves its controller on the way, and attaches whether it comes to one.
func (p *planner) detaches(name string) bool {
	was, is := p.controller(p.now, name), p.controller(p.target, name)
	return was != nil && (is == nil || is.Name != was.Name || p.gone(name) || p.gone(was.Name) || p.released[was.Name])
}

func (p *planner) attaches(name string) bool {
	was, is := p.controller(p.now, name), p.controller(p.target, name)
	return is != nil && (was == nil || is.Name != was.Name || p.fresh(name) || p.fresh(is.Name) || p.released[is.Name])
}
