// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"reflect"
	"slices"
)

// detachPorts takes ports off their controllers. A bond forgets its MAC and its primary first, and takes
// the port down.
func (p *planner) detachPorts() {
	for _, name := range p.nowOrder {
		if p.changesHands(name) && p.now[name].MAC != nil {
			p.set(name, TypeBond, Interface{MAC: p.now[name].MAC}, Interface{})
		}
	}
	for _, name := range p.nowOrder {
		now := p.now[name]
		if now.Bond != nil && p.forgetsPrimary(name) {
			p.setPrimary(name, now.Bond.Options.Primary, new(""))
		}
	}
	for _, name := range p.nowOrder {
		if !p.detaches(name) {
			continue
		}
		controller := p.controller(p.now, name)
		if controller.Type == TypeBond {
			if p.state[name] == StateDown {
				p.raise(name) // so that the inverse, which leaves it up, restores it
			}
			p.raiseFollowers(name)
		}
		p.emit(StepPort, name, Value{Port: attachment(name, *controller)}, Value{})
		if controller.Type == TypeBond {
			p.state[name] = StateDown
			p.cascade(name, StateDown)
		}
	}
}

// attachPorts attaches ports to their controllers, to bonds only when they are down.
func (p *planner) attachPorts() {
	for _, name := range p.order {
		if !p.attaches(name) {
			continue
		}
		controller := p.controller(p.target, name)
		if controller.Type == TypeBond {
			if base := p.target[name].Base(); p.follows(name) && p.state[base] == StateDown {
				p.raise(base) // the bond could not bring the port up; settleLinks takes it down again
			}
			p.lower(name)
		}
		p.emit(StepPort, name, Value{}, Value{Port: attachment(name, *controller)})
		if controller.Type == TypeBond {
			p.state[name] = StateUp
			p.cascade(name, StateUp)
		}
	}
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

// attachment describes a port of a controller.
func attachment(port string, controller Interface) *Attachment {
	a := &Attachment{Controller: controller.Name, Type: controller.Type}
	if controller.Bridge != nil {
		a.DefaultPVID = controller.Bridge.defaultPVID()
		a.Bridge = &BridgePort{Name: port}
		for _, p := range controller.Bridge.Port {
			if p.Name == port {
				*a.Bridge = p
			}
		}
	}
	if controller.Bond != nil {
		a.Active = controller.Bond.Active == port
		for _, p := range controller.Bond.PortsConfig {
			if p.Name == port {
				a.Bond = &p
			}
		}
	}
	return a
}

// changePorts changes the options of ports that stay, and what bridges and bonds can be told only now
// that all ports are there: to filter VLANs, the MAC, and which port is the primary.
func (p *planner) changePorts() {
	for _, name := range p.order {
		p.changePort(name)
	}
	for _, name := range p.order {
		now, target := p.now[name], p.target[name]
		if p.changesHands(name) && !p.gone(name) && target.MAC != nil {
			p.set(name, TypeBond, Interface{}, Interface{MAC: target.MAC})
		}
		if target.Bond != nil && p.learnsPrimary(name) {
			p.setPrimary(name, new(""), target.Bond.Options.Primary)
		}
		kept := now != nil && !p.remade[name] && target.Bridge != nil
		if kept && isTrue(target.Bridge.VLANFiltering) && !isTrue(now.Bridge.VLANFiltering) {
			p.setFiltering(name)
		}
	}
}

func (p *planner) changePort(name string) {
	is := p.controller(p.target, name)
	if is == nil || p.attaches(name) {
		return
	}
	from, to := attachment(name, *p.controller(p.now, name)), attachment(name, *is)
	if !sameAttachment(*from, *to) {
		p.emit(StepPort, name, Value{Port: from}, Value{Port: to})
	}
}

func sameAttachment(a, b Attachment) bool {
	if a.Bridge != nil && b.Bridge != nil {
		return agrees(*a.Bridge, *b.Bridge) && reflect.DeepEqual(a.Entries(), b.Entries())
	}
	return reflect.DeepEqual(a.Bond, b.Bond)
}

// Entries returns the VLANs that the port of a bridge has to have.
func (a Attachment) Entries() []VLANEntry {
	switch {
	case a.Bridge == nil:
		return new(PortVLAN).Entries(a.DefaultPVID)
	case a.Bridge.RawVLANs != nil:
		return a.Bridge.RawVLANs
	}
	return a.Bridge.VLAN.Entries(a.DefaultPVID)
}

// forgetsPrimary reports whether a bond has a primary that leaves it or stops being it.
func (p *planner) forgetsPrimary(bond string) bool {
	was := primary(p.now[bond])
	return was != "" && (p.gone(bond) || p.detaches(was) || primary(p.target[bond]) != was)
}

func (p *planner) learnsPrimary(bond string) bool {
	is := primary(p.target[bond])
	return is != "" && (p.fresh(bond) || p.attaches(is) || primary(p.now[bond]) != is)
}

func (p *planner) setPrimary(bond string, from, to *string) {
	p.set(bond, TypeBond,
		Interface{Bond: &Bond{Options: &BondOptions{Primary: from}}},
		Interface{Bond: &Bond{Options: &BondOptions{Primary: to}}})
}
