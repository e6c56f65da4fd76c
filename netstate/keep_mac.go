// SPDX-License-Identifier: Apache-2.0

package netstate

// carriesAddresses reports whether others know the link by an address, so that its MAC must not change.
func (i Interface) carriesAddresses() bool {
	return i.IPv4.active() ||
		i.IPv6.active() && (len(i.IPv6.Address) > 0 || isTrue(i.IPv6.Autoconf) || isTrue(i.IPv6.DHCP))
}

// keepMACs has bridges keep their MAC that carry addresses, or for which a wish says one. A bridge whose MAC nobody set
// takes the lowest of its ports': a VM that starts would change it, and a DHCP client lose its lease over that. (A bond
// takes the MAC of its first port, and keeps it for as long as it has one.)
func (m *merger) keepMACs() {
	if m.literal {
		return
	}
	for _, d := range m.desired.Interfaces {
		link, now := m.target[d.Name], m.now[d.Name]
		if !d.wanted() || link == nil || link.Bridge == nil || now != nil && now.Bridge != nil && now.KeepsMAC == nil {
			continue
		}
		if d.MAC != nil || d.CopyMACFrom != nil || link.carriesAddresses() {
			link.KeepsMAC = new(true)
		}
	}
}

// keepMACs comes before ports leave or come for bridges that carry addresses already.
func (p *planner) keepMACs() {
	for _, name := range p.order {
		if p.losesMAC(name) && p.now[name].carriesAddresses() {
			p.keepMAC(name)
		}
	}
}

// losesMAC reports whether a bridge that stays is to keep its MAC and does not yet.
func (p *planner) losesMAC(name string) bool {
	now, target := p.now[name], p.target[name]
	return now != nil && !p.fresh(name) && isTrue(target.KeepsMAC) && !isTrue(now.KeepsMAC)
}

// finishMAC comes when the ports are there for the other bridges: they have the MAC of one of them by then.
func (p *planner) finishMAC(name string) {
	target := p.target[name]
	if !p.fresh(name) && p.losesMAC(name) && !p.now[name].carriesAddresses() ||
		p.fresh(name) && isTrue(target.KeepsMAC) && !isTrue(p.record(*target, target.State, p.target).KeepsMAC) {
		p.keepMAC(name)
	}
}

func (p *planner) keepMAC(name string) {
	p.set(name, TypeBridge, Interface{KeepsMAC: new(false)}, Interface{KeepsMAC: new(true)})
}
