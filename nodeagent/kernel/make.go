// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// vethPeer is the attribute of a veth that describes its other end (VETH_INFO_PEER).
const vethPeer = 1

// doLink makes or deletes a link.
func (k *Kernel) doLink(step netstate.Step) error {
	switch {
	case step.From.Link != nil && step.To.Link != nil:
		return fmt.Errorf("link %s: a step makes or deletes, not both", step.Link)
	case step.To.Link != nil:
		return k.makeLink(*step.To.Link, step.To.Peer)
	case step.From.Link != nil:
		return k.deleteLink(*step.From.Link)
	}
	return nil
}

// makeLink makes a link with all its keys, or nothing.
func (k *Kernel) makeLink(to netstate.Interface, peer *netstate.Interface) error {
	operation := fmt.Sprintf("make %s %s", to.Type, to.Name)
	data, base, err := k.encodeNew(to, peer)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	attrs := encodeBirth(to)
	if base != 0 {
		attrs.addUint32(unix.IFLA_LINK, base)
	}
	attrs.nest(unix.IFLA_LINKINFO, linkInfo(linkKind(to.Type), data))
	err = k.request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, message(unix.IfInfomsg{}), attrs)
	if errors.Is(err, unix.EEXIST) && k.indexOf(to.Name) != 0 {
		// Somebody was faster: as a rule the module of that kind of link, which was loaded by our request and makes
		// bond0 of its own.
		return &StaleError{operation, "a link of that name exists now"}
	}
	if err != nil {
		return refused(err, "%s", operation)
	}
	k.restoreDetails(to.Name, to.Details)
	err = k.finish(to)
	if err == nil && peer != nil {
		k.restoreDetails(peer.Name, peer.Details)
		err = k.finish(*peer)
	}
	if err == nil && to.Bridge != nil && to.Bridge.OwnVLANs != nil {
		err = k.setOwnVLANs(to.Name, to.Bridge.OwnVLANs)
	}
	if err == nil {
		return nil
	}
	return errors.Join(refused(err, "%s", operation), k.removeLink(to.Name))
}

// encodeBirth returns what every new link can be given at once. A bridge is not given an MTU: its ports give it
// one, until a step sets and thereby pins it.
func encodeBirth(to netstate.Interface) attributes {
	var a attributes
	a.addString(unix.IFLA_IFNAME, to.Name)
	if to.MAC != nil {
		a.add(unix.IFLA_ADDRESS, to.MAC[:])
	}
	if to.MTU != nil && to.Type != netstate.TypeBridge {
		a.addUint32(unix.IFLA_MTU, uint32(*to.MTU))
	}
	return a
}

// finish gives a new link what it could not be born with.
func (k *Kernel) finish(to netstate.Interface) error {
	rest := netstate.Interface{Name: to.Name, State: to.State, IPv4: to.IPv4, IPv6: to.IPv6}
	if value(to.Description) != "" {
		rest.Description = to.Description
	}
	if isTrue(to.AcceptAllMAC) {
		rest.AcceptAllMAC = to.AcceptAllMAC
	}
	if rest.State == "" || rest.State == netstate.StateIgnore {
		rest.State = netstate.StateUp
	}
	if bornWithIPv6(to.IPv6) {
		rest.IPv6 = nil
	}
	if rest.State == netstate.StateDown && rest.IPv4 == nil && rest.IPv6 == nil && rest.Description == nil &&
		rest.AcceptAllMAC == nil {
		return nil
	}
	return k.setLink(0, rest)
}

// bornWithIPv6 reports whether nothing is said about IPv6 at all.
func bornWithIPv6(ip *netstate.IP) bool {
	return ip == nil || ip.Enabled == nil && ip.Autoconf == nil && ip.AddrGenMode == nil && ip.Token == nil &&
		ip.Forwarding == nil
}

// encodeNew returns the IFLA_INFO_DATA of a new link, and the index of the link it stands on (0 for none).
func (k *Kernel) encodeNew(to netstate.Interface, peer *netstate.Interface) (data attributes, base uint32, err error) {
	if name := to.Base(); name != "" {
		if base = k.indexOf(name); base == 0 {
			return nil, 0, fmt.Errorf("base %s: %w", name, errNoLink)
		}
	}
	switch {
	case to.Bridge != nil:
		return encodeBridge(to.Bridge), 0, nil
	case to.Bond != nil:
		bond := *to.Bond
		bond.Options = notDefault(bond.Options)
		return encodeBond(&bond, k.indexOf), 0, nil
	case to.VLAN != nil:
		return encodeVLAN(to.VLAN), base, nil
	case to.VXLAN != nil:
		data = encodeVXLAN(to.VXLAN, base)
		detailsOf(detailsOf(to.Details)[infoPart]).addTo(&data)
		return data, 0, nil
	case to.VRF != nil:
		encodeOptions(&data, vrfOptions(), to.VRF)
	case to.MACVLAN != nil:
		return encodeMACVLAN(to.MACVLAN), base, nil
	case to.Veth != nil:
		if peer == nil {
			peer = &netstate.Interface{Name: to.Veth.Peer}
		}
		data.add(vethPeer, append(message(unix.IfInfomsg{}), encodeBirth(*peer)...))
	}
	return data, base, nil
}

// deleteLink deletes a link that is as the plan expects.
func (k *Kernel) deleteLink(from netstate.Interface) error {
	operation := fmt.Sprintf("delete %s %s", from.Type, from.Name)
	l, err := k.readLink(from.Name)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if from.Type != "" && l.iface.Type != from.Type {
		return &StaleError{operation, fmt.Sprintf("type is %s, the plan expects %s", l.iface.Type, from.Type)}
	}
	if l.kind == "" {
		return fmt.Errorf("%s: it is a physical device", operation)
	}
	ports, err := k.portsOf(l)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if len(ports) > 0 {
		return &StaleError{operation, "it still has the ports " + strings.Join(ports, ", ")}
	}
	if upper := uppersOf(l); len(upper) > 0 {
		return &StaleError{operation, strings.Join(upper, ", ") + " would be deleted with it"}
	}
	return refused(k.removeLink(from.Name), "%s", operation)
}

// portsOf lists the names of the links whose controller a link is: a plan has detached its own before, so they are
// somebody else's.
func (k *Kernel) portsOf(l *link) ([]string, error) {
	if !slices.Contains([]string{"bridge", "bond", "vrf"}, l.kind) {
		return nil, nil
	}
	var filter attributes
	filter.addUint32(unix.IFLA_EXT_MASK, skipStats)
	filter.addUint32(unix.IFLA_MASTER, uint32(l.index))
	messages, err := k.dump(unix.RTM_GETLINK, message(unix.IfInfomsg{}), filter)
	if err != nil {
		return nil, fmt.Errorf("list the ports: %w", err)
	}
	var ports []string
	for _, msg := range messages {
		if port := parseLink(msg); port.controller == l.index {
			ports = append(ports, port.iface.Name)
		}
	}
	return ports, nil
}

// removeLink deletes a link by name.
func (k *Kernel) removeLink(name string) error {
	var attrs attributes
	attrs.addString(unix.IFLA_IFNAME, name)
	return k.request(unix.RTM_DELLINK, 0, message(unix.IfInfomsg{}), attrs)
}
