// SPDX-License-Identifier: Apache-2.0

package netstate

import "slices"

// shrinkLinks lowers MTUs, what stands on a link before the link.
func (p *planner) shrinkLinks() {
	for _, name := range slices.Backward(p.nowOrder) {
		now, target := p.now[name], p.target[name]
		if target != nil && !p.remade[name] && now.MTU != nil && target.MTU != nil && *target.MTU < *now.MTU {
			p.set(name, now.Type, Interface{MTU: now.MTU}, Interface{MTU: target.MTU})
		}
	}
}

// deleteLinks deletes what goes, what stands on a link before the link.
func (p *planner) deleteLinks() {
	done := map[string]bool{}
	for _, name := range slices.Backward(p.nowOrder) {
		if !p.gone(name) || done[name] {
			continue
		}
		link := *p.now[name]
		value := Value{Link: p.record(link, p.state[name], p.now)}
		if link.Type == TypeBridge && link.MTU != nil && *link.MTU != autoMTU(link, p.now) {
			value.Link.MTU = new(autoMTU(link, p.now))
			p.set(name, link.Type, Interface{MTU: link.MTU}, Interface{}) // for the inverse to pin it again
		}
		if peer := p.peer(link, p.now); peer != nil {
			value.Peer = p.record(*peer, p.state[peer.Name], p.now)
			done[peer.Name] = true
			delete(p.state, peer.Name)
		}
		p.emit(StepLink, name, value, Value{})
		p.unfollow(link)
		delete(p.state, name)
	}
}

func (p *planner) peer(link Interface, links map[string]*Interface) *Interface {
	if link.Veth == nil {
		return nil
	}
	return links[link.Veth.Peer]
}

// record returns what StepLink says about a link.
func (p *planner) record(link Interface, state LinkState, links map[string]*Interface) *Interface {
	link.State = state
	link.PermanentMAC, link.CopyMACFrom, link.Controller, link.IPv4 = nil, nil, nil, ipv4Settings(link.IPv4)
	link.ProfileName, link.WaitIP, link.LLDP, link.Identifier, link.Ethernet = nil, nil, nil, nil, nil
	link.Ethtool, link.Ignored = nil, ""
	link.Owned, link.Manager, link.Legacy = false, "", false
	link.IPv6 = ipv6Settings(link.IPv6)
	if inheritsMAC(link, links) {
		link.MAC = nil
	}
	if link.KeepsMAC != nil {
		link.KeepsMAC = new(link.MAC != nil) // one that it is made with is set
	}
	if link.Bridge != nil {
		link.Bridge = &Bridge{Options: link.Bridge.Options, VLANFiltering: link.Bridge.VLANFiltering,
			OwnVLANs: link.Bridge.OwnVLANs}
	}
	if link.Bond != nil {
		link.Bond = link.Bond.record()
	}
	if link.VRF != nil {
		link.VRF = &VRF{RouteTableID: link.VRF.RouteTableID}
	}
	return &link
}

// changeLinks makes, changes and brings up links, bases first. The ports of bonds stay down for now.
func (p *planner) changeLinks() {
	for _, name := range p.order {
		if _, made := p.state[name]; !made {
			p.make(name)
			continue
		}
		if !p.fresh(name) {
			p.change(name)
		}
		if !p.intoBond(name) {
			p.bring(name)
		}
	}
}

// intoBond reports whether the link is still to be attached to a bond.
func (p *planner) intoBond(name string) bool {
	controller := p.controller(p.target, name)
	return controller != nil && controller.Type == TypeBond && p.attaches(name)
}

func (p *planner) make(name string) {
	link := *p.target[name]
	value := Value{Link: p.record(link, p.firstState(name), p.target)}
	if link.Type == TypeBridge {
		value.Link.MTU = new(autoMTU(link, p.target))
	}
	peer := p.peer(link, p.target)
	if peer != nil {
		value.Peer = p.record(*peer, p.firstState(peer.Name), p.target)
		p.state[peer.Name] = value.Peer.State
	}
	p.state[name] = value.Link.State
	p.emit(StepLink, name, Value{}, value)
	p.follow(link)
	if link.Type == TypeBridge && link.MTU != nil && *link.MTU != *value.Link.MTU {
		p.set(name, link.Type, Interface{}, Interface{MTU: link.MTU})
	}
}

// firstState returns the state to make a link in: down as long as it could not be up.
func (p *planner) firstState(name string) LinkState {
	link := p.target[name]
	if p.intoBond(name) || link.followsBase() && p.state[link.Base()] != StateUp {
		return StateDown
	}
	return link.State
}

// change emits the steps that change a link that stays.
func (p *planner) change(name string) {
	now, target := p.now[name], p.target[name]
	if now.State == StateIgnore && target.State == StateIgnore {
		return
	}
	if now.MTU == nil && target.MTU != nil || now.MTU != nil && target.MTU != nil && *now.MTU < *target.MTU {
		p.set(name, now.Type, Interface{MTU: now.MTU}, Interface{MTU: target.MTU})
	}
	if p.lowered[name] && now.Bond != nil || p.intoBond(name) {
		p.lower(name)
	}
	keys := settable(*target)
	if p.changesHands(name) {
		keys.MAC = nil
	}
	was := settable(*now)
	if calm := undelayed(was, keys); calm.Bond != was.Bond {
		p.setKeys(name, was, calm)
		was = calm
	}
	p.setKeys(name, was, keys)
	p.changeHardware(name)
	p.unfollow(*now)
	p.follow(*target) // loose binding may have changed
	from, to := ipv6Settings(now.IPv6), ipv6Settings(target.IPv6)
	if to != nil && (from == nil || !agrees(*from, *to)) {
		p.set(name, now.Type, Interface{IPv6: from}, Interface{IPv6: to})
	}
	if now.Bridge != nil && !isTrue(target.Bridge.VLANFiltering) && isTrue(now.Bridge.VLANFiltering) {
		p.setFiltering(name)
	}
}

// setKeys emits a step for each key that changes.
func (p *planner) setKeys(name string, from, to Interface) {
	for _, d := range deltas(from, to) {
		p.set(name, p.now[name].Type, d.from, d.to)
	}
}

// undelayed returns a link without delays if it is a bond whose miimon changes: the kernel counts them in that, so that
// they would change, too.
func undelayed(was, keys Interface) Interface {
	if was.Bond == nil || was.Bond.Options == nil || keys.Bond == nil || keys.Bond.Options == nil ||
		unsetOr(keys.Bond.Options.Miimon, was.Bond.Options.Miimon) {
		return was
	}
	bond, options := *was.Bond, *was.Bond.Options
	options.UpDelay, options.DownDelay = zeroed(options.UpDelay), zeroed(options.DownDelay)
	bond.Options, was.Bond = &options, &bond
	return was
}

func (p *planner) setFiltering(name string) {
	p.set(name, TypeBridge,
		Interface{Bridge: &Bridge{VLANFiltering: p.now[name].Bridge.VLANFiltering}},
		Interface{Bridge: &Bridge{VLANFiltering: p.target[name].Bridge.VLANFiltering}})
}

// bringLinks brings every link into the state it is wanted in.
func (p *planner) bringLinks() {
	for _, name := range p.order {
		p.finishMAC(name)
		p.bring(name)
	}
}

func (p *planner) bring(name string) {
	switch target := p.target[name].State; {
	case p.state[name] == target || target == StateIgnore:
	case target == StateDown:
		p.lower(name)
	case !p.follows(name) || p.state[p.target[name].Base()] == StateUp:
		p.raise(name)
	}
}

// lower takes a link down. What follows it must be up before, so that the inverse, which brings all of
// it up, restores it.
func (p *planner) lower(name string) {
	if p.state[name] == StateDown {
		return
	}
	p.raiseFollowers(name)
	p.setState(name, StateDown)
	p.cascade(name, StateDown)
}

// raise brings a link up, and before it the bases it cannot be up without.
func (p *planner) raise(name string) {
	if base := p.link(name).Base(); p.follows(name) && p.state[base] == StateDown {
		p.raise(base)
	}
	if p.state[name] == StateUp {
		return
	}
	p.setState(name, StateUp)
	p.cascade(name, StateUp)
}

func (p *planner) raiseFollowers(name string) {
	for _, follower := range p.followers[name] {
		if p.state[follower] == StateDown {
			p.raise(follower)
		}
		p.raiseFollowers(follower)
	}
}

// cascade notes that the kernel takes the followers of a link along.
func (p *planner) cascade(name string, state LinkState) {
	for _, follower := range p.followers[name] {
		p.state[follower] = state
		p.cascade(follower, state)
	}
}

func (p *planner) setState(name string, state LinkState) {
	from := Interface{State: p.state[name]}
	if from.State == StateIgnore {
		from.State = "" // up or down, we were not told
	}
	p.set(name, p.link(name).Type, from, Interface{State: state})
	p.state[name] = state
}
