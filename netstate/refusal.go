// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
)

// A Refusal is why a kernel does not take a step.
type Refusal struct {
	Errno  syscall.Errno
	Reason string
}

// Refused returns why a kernel in this state would not take a step, beyond what Apply itself refuses; nil if it would.
func (s State) Refused(step Step) *Refusal {
	rules := []func(State, Step) (syscall.Errno, string){
		refuseName, refusePortKind, refuseReceiver, refuseTwin, refuseMTU, refuseToken, refuseHop,
		refuseSource,
	}
	for _, rule := range rules {
		if errno, reason := rule(s, step); errno != 0 {
			return &Refusal{Errno: errno, Reason: reason}
		}
	}
	return nil
}

// refuseName is the length of IFLA_IFNAME (net/core/rtnetlink.c) and dev_valid_name (net/core/dev.c).
func refuseName(_ State, step Step) (syscall.Errno, string) {
	made := step.To.Link
	if step.Kind != StepLink || made == nil {
		return 0, ""
	}
	switch {
	case len(made.Name) >= syscall.IFNAMSIZ:
		return syscall.ERANGE, fmt.Sprintf("%q is longer than 15 bytes", made.Name)
	case made.Name == "" || made.Name == "." || made.Name == ".." || strings.ContainsAny(made.Name, "/: \t\n"):
		return syscall.EINVAL, fmt.Sprintf("%q is not a link name", made.Name)
	}
	return 0, ""
}

// refusePortKind knows what can be a port of what (br_add_if, bond_enslave, vrf_add_slave).
func refusePortKind(s State, step Step) (syscall.Errno, string) {
	to := step.To.Port
	if step.Kind != StepPort || to == nil {
		return 0, ""
	}
	port, _ := s.Interface(step.Link)
	switch {
	case port.Type == TypeLoopback:
		return syscall.EINVAL, "the loopback cannot be a port"
	case to.Type == TypeBridge && port.Type == TypeBridge:
		return syscall.ELOOP, "Can not enslave a bridge to a bridge"
	case port.Type == TypeVRF:
		return syscall.EINVAL, "a vrf cannot be a port"
	case to.Type == TypeBond && port.Type == TypeBond:
		return syscall.EPERM, "Cannot enslave bond to bond"
	}
	return 0, ""
}

// refuseTwin is vlan_check_real_dev and vxlan_vni_in_use: two links that would take the same frames.
func refuseTwin(s State, step Step) (syscall.Errno, string) {
	made := step.To.Link
	if step.Kind != StepLink || made == nil {
		return 0, ""
	}
	for _, i := range s.Interfaces {
		if made.VLAN != nil && i.VLAN != nil && i.Base() == made.Base() &&
			same(i.VLAN.ID, made.VLAN.ID) && vlanProtocol(i.VLAN) == vlanProtocol(made.VLAN) {
			return syscall.EEXIST, "VLAN device already exists"
		}
		if made.VXLAN != nil && i.VXLAN != nil && same(i.VXLAN.ID, made.VXLAN.ID) &&
			same(i.VXLAN.DestinationPort, made.VXLAN.DestinationPort) &&
			i.VXLAN.overIPv6() == made.VXLAN.overIPv6() {
			return syscall.EEXIST, "A VXLAN device with the specified VNI already exists"
		}
	}
	return 0, ""
}

// refuseMTU is dev_validate_mtu, within the limits the driver told.
func refuseMTU(s State, step Step) (syscall.Errno, string) {
	to := step.To.Link
	if step.Kind != StepSet || to == nil || to.MTU == nil {
		return 0, ""
	}
	i, _ := s.Interface(step.Link)
	switch {
	case i.MinMTU != nil && *to.MTU < *i.MinMTU:
		return syscall.EINVAL, "mtu less than device minimum"
	case i.MaxMTU != nil && *to.MTU > *i.MaxMTU:
		return syscall.EINVAL, "mtu greater than device maximum"
	}
	return 0, ""
}

// refuseToken is inet6_set_iftoken (net/ipv6/addrconf.c). What else that asks for, who sets a token sees to.
func refuseToken(s State, step Step) (syscall.Errno, string) {
	to := step.To.Link
	if to == nil || to.IPv6 == nil || to.IPv6.Token == nil {
		return 0, ""
	}
	link, exists := s.Interface(step.Link)
	if !exists {
		link = *to
		link.IPv6 = disabledIPv6()
	}
	if link.takesToken() || deref(link.IPv6.Token) == *to.IPv6.Token {
		return 0, ""
	}
	return syscall.EINVAL, "Device does not do neighbour discovery"
}

// takesToken reports whether a link can look for neighbours, and so for routers. Those that the kernel makes with
// IFF_NOARP do not, unless somebody has taken the flag away, which the details tell.
func (i Interface) takesToken() bool {
	noARP := i.Type == TypeDummy || i.Type == TypeVRF
	return i.Type != TypeLoopback && (!noARP || i.Details != "")
}

// refuseHop is fib_check_nh: a next hop has to be on a subnet of its link. IPv6 link-local ones always are.
func refuseHop(s State, step Step) (syscall.Errno, string) {
	to := step.To.Route
	if step.Kind != StepRoute || to == nil || !to.NextHopAddress.IsValid() || to.OnLink || to.NextHopID != 0 ||
		to.NextHopAddress.IsLinkLocalUnicast() {
		return 0, ""
	}
	i, _ := s.Interface(to.NextHopInterface)
	for _, ip := range []*IP{i.IPv4, i.IPv6} {
		if ip != nil && reaches(ip.Address, to.NextHopAddress) {
			return 0, ""
		}
	}
	for _, route := range allRoutes(s.Routes) {
		onLink := route.NextHopInterface == to.NextHopInterface && !route.NextHopAddress.IsValid()
		if onLink && route.Destination.Contains(to.NextHopAddress) {
			return 0, ""
		}
	}
	return syscall.ENETUNREACH, "Nexthop has invalid gateway"
}

// reaches reports whether an address is in the subnet of one of a link's.
func reaches(addresses []Address, hop netip.Addr) bool {
	for _, a := range addresses {
		if a.Prefix().Contains(hop) {
			return true
		}
	}
	return false
}

// refuseSource is fib_valid_prefsrc and its like in ip6_route_info_create: a source is an address of the node.
func refuseSource(s State, step Step) (syscall.Errno, string) {
	to := step.To.Route
	if step.Kind != StepRoute || to == nil || !to.Source.IsValid() || hasAddress(s.index(), to.Source) {
		return 0, ""
	}
	return syscall.EINVAL, "Invalid prefsrc address"
}
