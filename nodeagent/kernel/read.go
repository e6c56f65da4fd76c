// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// skipStats leaves the counters out of a link's message (RTEXT_FILTER_SKIP_STATS).
const skipStats = 1 << 3

// Read returns the current state: every link with its part and its addresses, routes and rules that
// somebody decided on, and the resolver configuration. Each of the kernel's tables is read in one
// consistent dump; what changes between two dumps shows in the next Read.
func (k *Kernel) Read() (netstate.State, error) {
	links, err := k.readLinks()
	if err != nil {
		return netstate.State{}, err
	}
	names := make(map[int]string, len(links))
	for _, l := range links {
		names[l.index] = l.iface.Name
	}
	var s netstate.State
	if err := k.readAddresses(links); err != nil {
		return netstate.State{}, err
	}
	if err := k.readHardware(links); err != nil {
		return netstate.State{}, err
	}
	if s.Routes, err = k.readRoutes(names); err != nil {
		return netstate.State{}, err
	}
	if s.RouteRules.Config, err = k.readRules(); err != nil {
		return netstate.State{}, err
	}
	s.Interfaces = interfaces(links)
	s.DNS = readResolver(k.resolver)
	return s, nil
}

// readLinks dumps all links, with names and port lists filled in, in the order of their names.
func (k *Kernel) readLinks() ([]*link, error) {
	var filter attributes
	filter.addUint32(unix.IFLA_EXT_MASK, skipStats)
	messages, err := k.dump(unix.RTM_GETLINK, message(unix.IfInfomsg{}), filter)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	links := make([]*link, 0, len(messages))
	byIndex := make(map[int]*link, len(messages))
	for _, msg := range messages {
		l := parseLink(msg)
		links = append(links, &l)
		byIndex[l.index] = &l
	}
	slices.SortFunc(links, func(a, b *link) int { return cmp.Compare(a.iface.Name, b.iface.Name) })
	vlans, err := k.readPortVLANs(links)
	if err != nil {
		return nil, err
	}
	if err := k.readStaticMACs(byIndex); err != nil {
		return nil, err
	}
	for _, l := range links {
		l.name(func(index int) string {
			if other := byIndex[index]; other != nil {
				return other.iface.Name
			}
			return ""
		})
		if b := l.iface.Bridge; b != nil {
			l.iface.KeepsMAC = keepsMAC(l)
			own := vlans[l.index]
			if !sameVLANs(own, (*netstate.PortVLAN)(nil).Entries(value(b.Options.VLANDefaultPVID))) {
				b.OwnVLANs = append([]netstate.VLANEntry{}, own...)
			}
		}
		if controller := byIndex[l.controller]; controller != nil {
			controller.takePort(l, vlans[l.index])
		}
	}
	return links, nil
}

// sameVLANs compares entries one VLAN by one.
func sameVLANs(a, b []netstate.VLANEntry) bool { return *expand(a) == *expand(b) }

// takePort adds a port to its controller's list. Ports come in the order of their names.
func (l *link) takePort(port *link, vlans []netstate.VLANEntry) {
	switch i := &l.iface; {
	case i.Bridge != nil:
		p := port.bridgePort
		p.VLAN = nil
		pvid := value(i.Bridge.Options.VLANDefaultPVID)
		if isTrue(i.Bridge.VLANFiltering) {
			p.VLAN = netstate.PortVLANFromEntries(vlans, pvid)
		}
		if !sameVLANs(vlans, p.VLAN.Entries(pvid)) {
			p.RawVLANs = append([]netstate.VLANEntry{}, vlans...)
		}
		p.Static = port.static
		i.Bridge.Port = append(i.Bridge.Port, p)
	case i.Bond != nil:
		i.Bond.Port = append(i.Bond.Port, port.iface.Name)
		if value(port.bondPort.Priority) != 0 || value(port.bondPort.QueueID) != 0 {
			i.Bond.PortsConfig = append(i.Bond.PortsConfig, port.bondPort)
		}
	case i.VRF != nil:
		i.VRF.Port = append(i.VRF.Port, port.iface.Name)
	}
}

// interfaces returns the list of a State.
func interfaces(links []*link) []netstate.Interface {
	list := make([]netstate.Interface, len(links))
	for n, l := range links {
		list[n] = l.iface
	}
	return list
}

// errNoLink says that there is no link of a name.
var errNoLink = errors.New("no such link")

// readLink reads one link by name, with the names of its controller and base, without its addresses and
// ports.
func (k *Kernel) readLink(name string) (*link, error) {
	l, err := k.getLink(0, name)
	if err != nil {
		return nil, err
	}
	l.name(k.nameOf)
	if l.iface.Bridge != nil {
		l.iface.KeepsMAC = keepsMAC(l)
	}
	return l, nil
}

// nameOf returns the name of a link, "" for none of that index.
func (k *Kernel) nameOf(index int) string {
	if index == 0 {
		return ""
	}
	l, err := k.getLink(index, "")
	if err != nil {
		return ""
	}
	return l.iface.Name
}

// getLink reads one link by index, or by name when the index is 0.
func (k *Kernel) getLink(index int, name string) (*link, error) {
	var attrs attributes
	attrs.addUint32(unix.IFLA_EXT_MASK, skipStats)
	if index == 0 {
		attrs.addString(unix.IFLA_IFNAME, name)
	}
	messages, err := k.exchange(unix.RTM_GETLINK, 0, message(unix.IfInfomsg{Index: int32(index)}), attrs)
	if errors.Is(err, unix.ENODEV) {
		return nil, errNoLink
	}
	if err != nil {
		return nil, fmt.Errorf("read link %s: %w", name, err)
	}
	if len(messages) != 1 {
		return nil, fmt.Errorf("read link %s: %d answers", name, len(messages))
	}
	l := parseLink(messages[0])
	return &l, nil
}

// value returns what a key is set to, or zero.
func value[T any](key *T) T {
	if key == nil {
		var zero T
		return zero
	}
	return *key
}

func isTrue(key *bool) bool { return value(key) }
