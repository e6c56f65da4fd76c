package netstate

import (
	"cmp"
	"slices"
)

// mergeBases makes bases and what stands on them agree: a link that is wanted up brings its base up, a
// base that is wanted down takes its VLANs down, and one that is wanted smaller shrinks what it carries.
func (m *merger) mergeBases() {
	order := m.basesFirst()
	for _, link := range m.target {
		if link.Type == TypeBridge && link.MTU == nil {
			link.MTU = new(autoMTU(*link, m.target))
		}
	}
	for _, name := range slices.Backward(order) {
		link, base := m.target[name], m.target[m.target[name].Base()]
		wish := m.wish[name]
		if base == nil || wish == nil || !wish.wanted() || link.State != StateUp {
			continue
		}
		if m.wish[base.Name] == nil && base.State == StateDown {
			base.State = StateUp
		}
	}
	for _, name := range order {
		link, base := m.target[name], m.target[m.target[name].Base()]
		if base == nil || link.Foreign() {
			continue
		}
		if base.State == StateDown && link.State == StateUp && link.followsBase() {
			link.State = StateDown
		}
		if link.MTU == nil && link.VXLAN == nil {
			link.MTU = base.MTU // as the kernel does for a new one
		}
		wish := m.wish[name]
		stated := wish != nil && wish.wanted() && wish.MTU != nil
		if !stated && link.VXLAN == nil && link.MTU != nil && base.MTU != nil && *link.MTU > *base.MTU {
			link.MTU = base.MTU
		}
	}
}

// followsBase reports whether the kernel takes the link down and up with its base: a VLAN without loose binding.
func (i Interface) followsBase() bool { return i.VLAN != nil && !isTrue(i.VLAN.LooseBinding) }

// basesFirst returns the names of the target's interfaces, every base before what stands on it.
func (m *merger) basesFirst() []string { return basesFirst(m.target) }

// basesFirst sorts names by how many links are below each, and by name. Rings end somewhere.
func basesFirst(links map[string]*Interface) []string {
	depths := make(map[string]int, len(links))
	var depth func(name string, left int) int
	depth = func(name string, left int) int {
		link, exists := links[name]
		if !exists || left == 0 {
			return 0
		}
		if known, done := depths[name]; done {
			return known
		}
		d := 0
		if base := link.Base(); base != "" {
			d = 1 + depth(base, left-1)
		}
		depths[name] = d
		return d
	}
	names := make([]string, 0, len(links))
	for name := range links {
		depth(name, len(links))
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(depths[a], depths[b]), cmp.Compare(a, b))
	})
	return names
}

// resolveMACs gives links with copy-mac-from the MAC of the link they name.
func (m *merger) resolveMACs() {
	for _, d := range m.desired.Interfaces {
		link := m.target[d.Name]
		if !d.wanted() || d.CopyMACFrom == nil || link == nil {
			continue
		}
		source := m.now[*d.CopyMACFrom]
		switch {
		case source == nil:
		case source.PermanentMAC != nil:
			link.MAC = source.PermanentMAC
		case source.MAC != nil:
			link.MAC = source.MAC
		}
	}
}
