// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"reflect"
	"slices"
)

// mergeBond merges mode and options. A change of mode resets the options that are not said again, and
// options the kernel does not take in the mode are left out: they can only be defaults. The ports come
// later, from mergeControllers.
func mergeBond(now, desired *Bond) *Bond {
	if desired == nil || now == nil {
		return now
	}
	merged := *now
	options := now.Options
	if desired.Mode != nil {
		if now.Mode == nil || *now.Mode != *desired.Mode {
			options = resetOptions(now.Options, *desired.Mode)
		}
		merged.Mode = desired.Mode
	}
	merged.Options = overlayPart(options, desired.Options)
	if merged.Options != nil && merged.Mode != nil {
		merged.Options = applicable(*merged.Options, options, *merged.Mode)
		merged.Options = merged.inStep()
	}
	if desired.Active != "" {
		merged.Active = desired.Active
	}
	if !merged.hasActivePort() {
		merged.Active = ""
	}
	if desired.PortsConfig != nil {
		merged.PortsConfig = overlayBondPorts(now.PortsConfig, desired.PortsConfig)
	}
	return &merged
}

// hasActivePort reports whether one port of the bond is the active one: in the other modes all are, and the kernel
// takes none for it.
func (b *Bond) hasActivePort() bool { return b.Mode != nil && bondOptionApplies(*b.Mode, "primary") }

// overlayBondPorts returns the ports of a wish with what that does not say as it is.
func overlayBondPorts(now, wish []BondPort) []BondPort {
	ports := make([]BondPort, len(wish))
	for n, port := range wish {
		ports[n] = port
		if at := slices.IndexFunc(now, func(p BondPort) bool { return p.Name == port.Name }); at >= 0 {
			ports[n] = overlay(now[at], port)
		}
	}
	return ports
}

// resetOptions returns the defaults of those options that are known and that the mode has a use for; the
// others stay what they are.
func resetOptions(now *BondOptions, mode string) *BondOptions {
	if now == nil {
		return nil
	}
	options, defaults := *now, reflect.ValueOf(bondDefaults(mode))
	eachKey(defaults, reflect.ValueOf(&options).Elem(), func(path []keyStep, byDefault, is reflect.Value) bool {
		if !is.IsNil() && bondOptionApplies(mode, path[0].key()) {
			is.Set(byDefault)
		}
		return false
	})
	if options.Primary != nil {
		options.Primary = new("") // forgotten with the mode: only a port that is named again is preferred
	}
	return &options
}

// record returns what to make the bond with: mode and options without those the kernel would refuse in
// the mode, even with their default values, and without the primary, which has to be a port.
func (b *Bond) record() *Bond {
	record := wishBond(b)
	if record.Options == nil {
		return record
	}
	options := *record.Options
	options.Primary = nil
	if record.interval() == 0 {
		options.UpDelay, options.DownDelay = nil, nil
	}
	if options.ADActorSystem != nil && *options.ADActorSystem == (MAC{}) {
		options.ADActorSystem = nil
	}
	record.Options = &options
	return record
}

// forgetMAC forgets the MAC of a bond that gets all its ports again, unless the policy says it or no port
// gave it to the bond: the kernel takes that of the first port that comes.
func (m *merger) forgetMAC(name string, names []string) {
	now, wish, link := m.now[name], m.wish[name], m.target[name]
	if now == nil || now.Bond == nil || link.MAC == nil || wish != nil && (wish.MAC != nil || wish.CopyMACFrom != nil) {
		return
	}
	if slices.ContainsFunc(now.Bond.Port, func(port string) bool { return slices.Contains(names, port) }) {
		return
	}
	given := len(now.Bond.Port) == 0 && len(names) > 0
	for _, port := range now.Bond.Port {
		p := m.now[port]
		given = given || p != nil && p.PermanentMAC != nil && *p.PermanentMAC == *link.MAC
	}
	if given {
		link.MAC = nil
	}
}

// mergeBondPorts returns the bond with these ports, the options of ports it no longer has removed, and
// no primary that is not a port.
func (m *merger) mergeBondPorts(bond Bond, names []string) *Bond {
	bond.Port = append([]string{}, names...)
	if !slices.Contains(names, bond.Active) {
		bond.Active = ""
	}
	if bond.PortsConfig != nil {
		bond.PortsConfig = slices.DeleteFunc(slices.Clone(bond.PortsConfig), func(p BondPort) bool {
			return !slices.Contains(names, p.Name) || !positive(p.QueueID) && (p.Priority == nil || *p.Priority == 0)
		})
		slices.SortFunc(bond.PortsConfig, func(a, b BondPort) int { return cmp.Compare(a.Name, b.Name) })
	}
	if bond.Options != nil && bond.Options.Primary != nil && !slices.Contains(names, *bond.Options.Primary) {
		options := *bond.Options
		options.Primary = new("")
		bond.Options = &options
	}
	return &bond
}
