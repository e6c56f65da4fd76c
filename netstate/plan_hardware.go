// SPDX-License-Identifier: Apache-2.0

package netstate

// changeHardware emits a step for each group of keys of the driver that change: a driver checks a group as a whole.
func (p *planner) changeHardware(name string) {
	now, target := *p.now[name], *p.target[name]
	for _, group := range []func(Interface) Interface{
		func(i Interface) Interface { return Interface{Ethernet: settableVFs(i.Ethernet)} },
		func(i Interface) Interface {
			return i.onlyEthtool(func(e Ethtool) Ethtool { return Ethtool{Ring: e.Ring} })
		},
		func(i Interface) Interface {
			return i.onlyEthtool(func(e Ethtool) Ethtool { return Ethtool{Coalesce: e.Coalesce} })
		},
		func(i Interface) Interface {
			return i.onlyEthtool(func(e Ethtool) Ethtool { return Ethtool{Feature: e.Feature} })
		},
	} {
		var from, to Interface
		for _, d := range deltas(group(now), group(target)) {
			from, to = overlay(from, d.from), overlay(to, d.to)
		}
		if to.Ethtool != nil || to.Ethernet != nil {
			p.set(name, now.Type, from, to)
		}
	}
}

func (i Interface) onlyEthtool(part func(Ethtool) Ethtool) Interface {
	if i.Ethtool == nil {
		return Interface{}
	}
	return Interface{Ethtool: new(part(*i.Ethtool.withoutLimits()))}
}
