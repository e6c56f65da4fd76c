// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"slices"
)

// mergeBases makes bases and what stands on them agree: a link that is wanted up brings its base up, a
// base that has state down takes its VLANs down, and one that is wanted smaller shrinks what it carries.
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
		if m.wish[base.Name] == nil && base.State == StateDown && !m.literal {
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

// basesFirst returns the names of the target's interfaces, every base before what stands on it.
func (m *merger) basesFirst() []string { return basesFirst(m.target) }

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
