// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"slices"
)

// A ground is what stays of the links that a removal would take, lower or empty because of what others have on them.
type ground struct {
	now map[string]*Interface
	// goes are the links that a wish removes or makes again, and named those that a wish has an entry for.
	goes, named map[string]bool
	// stood are links that others' links stand on, or are plugged into, or have as their other end; routed are those
	// that their routes lead through, and plugged the ports of stood links that would go.
	stood, routed, plugged map[string]bool
	seen                   map[string]bool
}

// groundOf finds out what other policies stand on.
func groundOf(current, others State, wishes []State) ground {
	g := ground{now: current.index(), goes: map[string]bool{}, named: map[string]bool{}, stood: map[string]bool{},
		routed: map[string]bool{}, plugged: map[string]bool{}, seen: map[string]bool{}}
	for _, wish := range wishes {
		for _, d := range wish.Interfaces {
			g.named[d.Name] = true
			if now := g.now[d.Name]; now != nil && g.replaced(d) {
				g.goes[d.Name] = true
			}
		}
	}
	for _, d := range others.Interfaces {
		if !d.wanted() {
			continue
		}
		g.visit(d.Name)
		g.stand(d.Base())
		g.stand(deref(d.Controller))
		if d.Veth != nil {
			g.stand(d.Veth.Peer)
		}
	}
	for _, route := range others.Routes.Config {
		if route.State != StateAbsent && route.NextHopInterface != "" {
			g.routed[route.NextHopInterface] = true
			g.stand(route.NextHopInterface)
		}
	}
	return g
}

// addPeople adds what links stand on that the wishes have no entry for.
func (g ground) addPeople(current State) {
	for _, link := range current.Interfaces {
		if base := cmp.Or(link.Base(), link.Below); g.goes[base] && !g.named[link.Name] {
			g.stand(base)
		}
	}
}

// replaced reports whether an entry removes its link, or makes another of it.
func (g ground) replaced(d Interface) bool {
	now := g.now[d.Name]
	return d.State == StateAbsent || !sameType(*now, d) || d.Base() != "" && !sameForever(*now, overlay(*now, d))
}

func (g ground) stand(name string) {
	if g.now[name] != nil {
		g.stood[name] = true
		g.visit(name)
	}
}

// visit finds what a link that stays needs itself.
func (g ground) visit(name string) {
	link := g.now[name]
	if link == nil || g.seen[name] {
		return
	}
	g.seen[name] = true
	g.stand(link.Base())
	if link.Veth != nil {
		g.stand(link.Veth.Peer)
	}
	if !g.goes[name] {
		return
	}
	for _, port := range link.Ports() {
		g.plugged[port] = true
		g.stand(port)
	}
}

// spare returns a wish without what would take the ground from under others.
func (g ground) spare(wish State) State {
	var spared []Interface
	for _, d := range wish.Interfaces {
		now := g.now[d.Name]
		switch {
		case now != nil && g.plugged[d.Name]:
			continue
		case now != nil && g.stood[d.Name] && g.replaced(d):
			if d.State != StateAbsent {
				continue
			}
			d = g.emptied(*now)
		case now != nil && g.stood[d.Name]:
			d = g.lifted(d)
		}
		spared = append(spared, d.WithoutPorts(func(port string) bool {
			return g.plugged[port] && deref(g.now[port].Controller) != d.Name
		}))
	}
	wish.Interfaces = spared
	return wish
}

// emptied returns an entry for a link that was to go and stays: with its ports, and without addresses of ours unless
// routes of others lead through it.
func (g ground) emptied(now Interface) Interface {
	kept := Interface{Name: now.Name, Type: now.Type, State: now.State}
	if g.routed[now.Name] {
		return kept
	}
	kept.IPv4 = &IP{Enabled: new(false)}
	if now.IPv6 == nil || !slices.ContainsFunc(now.IPv6.Address, func(a Address) bool { return a.extra(true) }) {
		kept.IPv6 = &IP{Enabled: new(false)}
	}
	return kept
}

// lifted returns an entry that does not lower its link: it stays up, as large as it is, and its addresses stay where
// routes of others need them.
func (g ground) lifted(d Interface) Interface {
	now := g.now[d.Name]
	if now.State == StateUp {
		d.State = StateUp
	}
	if d.MTU != nil && now.MTU != nil && *d.MTU < *now.MTU {
		d.MTU = nil
	}
	if g.routed[d.Name] {
		d.IPv4, d.IPv6 = nil, nil
	}
	return d
}
