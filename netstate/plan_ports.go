// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
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
	for _, name := range p.inOrderOfPorts(p.nowOrder, p.now, p.detaches, -1) {
		controller := p.controller(p.now, name)
		if controller.Type == TypeBond {
			if p.state[name] == StateDown {
				p.raise(name) // so that the inverse, which leaves it up, restores it
			}
			p.raiseFollowers(name)
		}
		p.prepareVRF(name, *controller)
		p.emit(StepPort, name, Value{Port: attachment(name, *controller)}, Value{})
		if controller.Type == TypeBond {
			p.state[name] = StateDown
			p.cascade(name, StateDown)
		}
	}
	for _, name := range p.nowOrder {
		if p.hasOwnMAC(name) {
			p.set(name, TypeBond, Interface{}, Interface{MAC: p.now[name].MAC})
		}
	}
}

// prepareVRF comes before a link moves into a VRF or out of one: the kernel restarts a link that is up, and takes what
// follows it along, up (cycle_netdev of drivers/net/vrf.c).
func (p *planner) prepareVRF(name string, controller Interface) {
	if controller.Type == TypeVRF && p.state[name] == StateUp {
		p.raiseFollowers(name)
	}
}

// attachPorts attaches ports to their controllers, to bonds only when they are down.
func (p *planner) attachPorts() {
	for _, name := range p.order {
		if p.hasOwnMAC(name) {
			p.set(name, TypeBond, Interface{MAC: p.now[name].MAC}, Interface{})
		}
	}
	for _, name := range p.inOrderOfPorts(p.order, p.target, p.attaches, 1) {
		controller := p.controller(p.target, name)
		if controller.Type == TypeBond {
			if base := p.target[name].Base(); p.follows(name) && p.state[base] == StateDown {
				p.raise(base) // the bond could not bring the port up; bringLinks takes it down again
			}
			p.lower(name)
		}
		p.prepareVRF(name, *controller)
		p.emit(StepPort, name, Value{}, Value{Port: attachment(name, *controller)})
		if controller.Type == TypeBond {
			p.state[name] = StateUp
			p.cascade(name, StateUp)
		}
	}
}

// inOrderOfPorts returns the links of a list that move, in their order, but the ports of one bridge or bond in that of
// precedes when they come, with a sign of 1, and the other way round when they leave, with -1. Bridges and bonds have
// the MAC of one port, and the kernel makes the link-local address of the one they have when the first comes: that one
// is to be the same on the way there and on the way back.
func (p *planner) inOrderOfPorts(
	names []string, links map[string]*Interface, moves func(string) bool, sign int,
) []string {
	var moving []string
	ports, places := map[string][]string{}, map[string][]int{}
	for _, name := range names {
		if !moves(name) {
			continue
		}
		if c := p.controller(links, name); c.Type == TypeBridge || c.Type == TypeBond {
			ports[c.Name] = append(ports[c.Name], name)
			places[c.Name] = append(places[c.Name], len(moving))
		}
		moving = append(moving, name)
	}
	for controller, list := range ports {
		order := precedence(*links[controller], links)
		slices.SortStableFunc(list, func(a, b string) int { return sign * order(a, b) })
		for n, place := range places[controller] {
			moving[place] = list[n]
		}
	}
	return moving
}

// precedence returns the order in which the ports of a controller come: of a bridge by their MACs, of which it has the
// lowest; of a bond the one first that gives it its MAC.
func precedence(controller Interface, links map[string]*Interface) func(a, b string) int {
	if controller.Bond == nil {
		return func(a, b string) int { return compareMACs(links[a].MAC, links[b].MAC) }
	}
	first := namesake(controller, links)
	rank := func(name string) int {
		if name == first {
			return 0
		}
		return 1
	}
	return func(a, b string) int { return rank(a) - rank(b) }
}

// namesake returns the port that gives a bond its MAC, or "" where that is not known. With fail_over_mac active it is
// the port that the bond sends through; else the one that came first, whose own MAC the bond has (bond_enslave and
// bond_do_fail_over_mac of drivers/net/bonding/bond_main.c).
func namesake(bond Interface, links map[string]*Interface) string {
	if o := bond.Bond.Options; o != nil && deref(o.FailOverMAC) == "active" {
		return cmp.Or(bond.Bond.Active, deref(o.Primary))
	}
	for _, port := range bond.Bond.Port {
		link := links[port]
		if link == nil || bond.MAC == nil {
			continue
		}
		if own := cmp.Or(link.PermanentMAC, link.MAC); own != nil && *own == *bond.MAC {
			return port
		}
	}
	return ""
}

// compareMACs puts what has none last.
func compareMACs(a, b *MAC) int {
	switch {
	case a != nil && b != nil:
		return slices.Compare(a[:], b[:])
	case a != nil:
		return -1
	case b != nil:
		return 1
	}
	return 0
}

// hasOwnMAC reports whether a bond that changes hands keeps a MAC that no port gives it. It gets that back while it is
// without ports, on the way there and on the way back: the kernel makes the link-local address of the one that the bond
// has when it goes up.
func (p *planner) hasOwnMAC(bond string) bool {
	now, target := p.now[bond], p.target[bond]
	return p.changesHands(bond) && !p.gone(bond) && len(now.Bond.Port) > 0 && now.MAC != nil && target.MAC != nil &&
		*now.MAC == *target.MAC && namesake(*now, p.now) == "" && namesake(*target, p.target) == ""
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
	return sameBondPort(a.Bond, b.Bond)
}

// sameBondPort compares the options of a bond's port. What is not set is the kernel's default.
func sameBondPort(a, b *BondPort) bool {
	options := func(p *BondPort) [2]int {
		if p == nil {
			return [2]int{}
		}
		return [2]int{number(p.Priority), number(p.QueueID)}
	}
	return options(a) == options(b)
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
