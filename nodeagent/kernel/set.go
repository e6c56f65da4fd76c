// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// doSet changes keys of an existing link. A link that is as step.To says already, because the kernel took
// it along with another one, is left alone. When the kernel takes some keys and refuses others, those
// taken are set back.
func (k *Kernel) doSet(step netstate.Step) error {
	operation := "set " + step.Link
	l, err := k.readLink(step.Link)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	from, to := step.From.Link, step.To.Link
	if from == nil || to == nil {
		return fmt.Errorf("%s: the step has no value before or none after", operation)
	}
	if from.Ethtool != nil || to.Ethtool != nil || from.Ethernet != nil || to.Ethernet != nil {
		return k.doHardware(operation, *from, *to)
	}
	if l.iface.Ignored != "" {
		l.iface.State = l.iface.Ignored // a policy names it, or there would be no step
	}
	if d := netstate.Difference(*from, l.iface); d != "" {
		if netstate.Difference(*to, l.iface) == "" {
			return nil
		}
		return &StaleError{operation, d}
	}
	err = k.setLink(l.index, withMAC(*to, l))
	if err == nil {
		err = k.makeLinkLocal(l, *to)
	}
	if err != nil {
		_ = k.setLink(l.index, *from)
		return refused(err, "%s", operation)
	}
	return nil
}

// setLink gives an existing link, found by its name when the index is 0, every key that is set: first what
// may need it down, then the IPv6 switch, and at last its administrative state.
func (k *Kernel) setLink(index int, to netstate.Interface) error {
	if to.IPv6 != nil && value(to.IPv6.AddrGenMode) == genModes()[genModeStable] {
		if err := k.giveSecret(to.Name); err != nil {
			return err
		}
	}
	if err := k.setToken(to.Name, to.IPv6); err != nil {
		return err
	}
	attrs := k.encodeSettings(to)
	about, found := unix.IfInfomsg{Index: int32(index)}, attributes(nil)
	if index == 0 {
		found.addString(unix.IFLA_IFNAME, to.Name)
	}
	if to.AcceptAllMAC != nil {
		about.Change |= unix.IFF_PROMISC
		if *to.AcceptAllMAC {
			about.Flags |= unix.IFF_PROMISC
		}
	}
	sysctls := append(ipv4Settings(to.IPv4), ipv6Settings(to.IPv6)...)
	if len(sysctls) > 0 && (len(attrs) > 0 || about.Change != 0) {
		if err := k.request(unix.RTM_NEWLINK, 0, message(about), append(attrs, found...)); err != nil {
			return err
		}
		about, attrs = unix.IfInfomsg{Index: int32(index)}, nil
	}
	if err := k.setSysctls(to.Name, sysctls); err != nil {
		return err
	}
	switch to.State {
	case netstate.StateUp:
		about.Change, about.Flags = about.Change|unix.IFF_UP, about.Flags|unix.IFF_UP
	case netstate.StateDown:
		about.Change |= unix.IFF_UP
	}
	if about.Change == 0 && len(attrs) == 0 {
		return nil
	}
	return k.request(unix.RTM_NEWLINK, 0, message(about), append(attrs, found...))
}

// encodeSettings returns the attributes of the keys that netlink can set on an existing link.
func (k *Kernel) encodeSettings(to netstate.Interface) attributes {
	var a attributes
	if to.MAC != nil {
		a.add(unix.IFLA_ADDRESS, to.MAC[:])
	}
	if to.MTU != nil {
		a.addUint32(unix.IFLA_MTU, uint32(*to.MTU))
	}
	if to.Description != nil {
		a.add(unix.IFLA_IFALIAS, []byte(*to.Description))
	}
	if ip := to.IPv6; ip != nil && (ip.Enabled == nil || *ip.Enabled) {
		if mode := slices.Index(genModes(), value(ip.AddrGenMode)); mode >= 0 {
			var spec, families attributes
			spec.add(inet6AddrGenMode, []byte{byte(mode)})
			families.nest(unix.AF_INET6, spec)
			a.nest(unix.IFLA_AF_SPEC, families)
		}
	}
	kind, data := k.encodePart(to)
	if len(data) > 0 {
		a.nest(unix.IFLA_LINKINFO, linkInfo(kind, data))
	}
	return a
}

// linkInfo returns the IFLA_LINKINFO of a link of some kind.
func linkInfo(kind string, data attributes) attributes {
	var a attributes
	a.addString(nl.IFLA_INFO_KIND, kind)
	if len(data) > 0 {
		a.nest(nl.IFLA_INFO_DATA, data)
	}
	return a
}

// encodePart returns the IFLA_INFO_DATA of the part a value has.
func (k *Kernel) encodePart(to netstate.Interface) (kind string, data attributes) {
	switch {
	case to.Bridge != nil:
		return "bridge", encodeBridge(to.Bridge)
	case to.Bond != nil:
		return "bond", encodeBond(to.Bond, k.indexOf)
	case to.VLAN != nil:
		return "vlan", encodeVLAN(&netstate.VLAN{
			ReorderHeaders: to.VLAN.ReorderHeaders, LooseBinding: to.VLAN.LooseBinding,
			RegistrationProtocol: to.VLAN.RegistrationProtocol,
		})
	case to.VXLAN != nil:
		return "vxlan", encodeVXLAN(to.VXLAN, 0)
	case to.MACVLAN != nil:
		return "macvlan", encodeMACVLAN(to.MACVLAN)
	}
	return "", nil
}

// indexOf returns the index of a link, 0 for none of that name.
func (k *Kernel) indexOf(name string) uint32 {
	if name == "" {
		return 0
	}
	l, err := k.getLink(0, name)
	if err != nil {
		return 0
	}
	return uint32(l.index)
}

// A sysctl is one setting of a link that a file of Kernel.Sysctls changes.
type sysctl struct{ family, name, value string }

func onOff(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// ipv4Settings returns the settings for the keys that are set.
func ipv4Settings(ip *netstate.IP) []sysctl {
	if ip == nil || ip.Forwarding == nil {
		return nil
	}
	return []sysctl{{"ipv4", "forwarding", onOff(*ip.Forwarding)}}
}

// ipv6Settings returns the settings for the keys that are set. Autoconf is the kernel's autoconf and
// accept_ra together. IPv6 goes off last and comes on last, so that it never runs with the wrong settings.
func ipv6Settings(ip *netstate.IP) []sysctl {
	if ip == nil {
		return nil
	}
	var settings []sysctl
	off := ip.Enabled != nil && !*ip.Enabled
	if ip.Autoconf != nil && !off {
		accept := "0"
		if *ip.Autoconf {
			accept = "2" // also where the node forwards IPv6, as nodes of clusters do
		}
		if ip.AcceptRA != nil {
			accept = strconv.Itoa(*ip.AcceptRA)
		}
		settings = append(settings, sysctl{"ipv6", "autoconf", onOff(*ip.Autoconf || isTrue(ip.AutoconfSwitch))},
			sysctl{"ipv6", "accept_ra", accept})
	}
	if ip.Forwarding != nil && !off { // after accept_ra: with 1 the kernel forgets its routers when it begins to forward
		settings = append(settings, sysctl{"ipv6", "forwarding", onOff(*ip.Forwarding)})
	}
	if ip.Enabled != nil {
		settings = append(settings, sysctl{"ipv6", "disable_ipv6", onOff(!*ip.Enabled)})
	}
	return settings
}

// setSysctls writes settings of a link. A link whose MTU is too small for IPv6 has none, nor has any link of a
// kernel without IPv6: there, off is off.
func (k *Kernel) setSysctls(name string, settings []sysctl) error {
	for _, s := range settings {
		file := filepath.Join(k.Sysctls, s.family, "conf", name, s.name)
		err := os.WriteFile(file, []byte(s.value), 0)
		if errors.Is(err, os.ErrNotExist) && s == (sysctl{"ipv6", "disable_ipv6", "1"}) {
			if _, err = os.Stat(filepath.Join(k.Sysctls, "ipv4")); err == nil {
				continue
			}
		}
		if err != nil {
			return fmt.Errorf("write a setting of the network: %w", err)
		}
	}
	return nil
}
