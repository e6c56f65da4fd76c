// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// refuse says why a kernel would not do a step, beyond what netstate.State.Apply itself refuses.
func (m *Model) refuse(step netstate.Step) error {
	rules := []func(netstate.State, netstate.Step) (unix.Errno, string){
		refuseName, refusePortKind, refuseTwin, refuseMTU, refuseHop,
	}
	for _, rule := range rules {
		if errno, reason := rule(m.state, step); errno != 0 {
			return &RefusedError{Operation: step.String(), Errno: errno, Reason: reason}
		}
	}
	return nil
}

// refuseName is the length of IFLA_IFNAME (net/core/rtnetlink.c) and dev_valid_name (net/core/dev.c).
func refuseName(_ netstate.State, step netstate.Step) (unix.Errno, string) {
	made := step.To.Link
	if step.Kind != netstate.StepLink || made == nil {
		return 0, ""
	}
	switch {
	case len(made.Name) >= unix.IFNAMSIZ:
		return unix.ERANGE, fmt.Sprintf("%q is longer than 15 bytes", made.Name)
	case made.Name == "" || made.Name == "." || made.Name == ".." || strings.ContainsAny(made.Name, "/: \t\n"):
		return unix.EINVAL, fmt.Sprintf("%q is no name of a link", made.Name)
	}
	return 0, ""
}

// refusePortKind knows what can be a port of what (br_add_if, bond_enslave, vrf_add_slave).
func refusePortKind(s netstate.State, step netstate.Step) (unix.Errno, string) {
	to := step.To.Port
	if step.Kind != netstate.StepPort || to == nil {
		return 0, ""
	}
	port, _ := s.Interface(step.Link)
	switch {
	case port.Type == netstate.TypeLoopback:
		return unix.EINVAL, "the loopback cannot be a port"
	case to.Type == netstate.TypeBridge && port.Type == netstate.TypeBridge:
		return unix.ELOOP, "Can not enslave a bridge to a bridge"
	case port.Type == netstate.TypeVRF:
		return unix.EINVAL, "a vrf cannot be a port"
	case to.Type == netstate.TypeBond && port.Type == netstate.TypeBond:
		return unix.EPERM, "Cannot enslave bond to bond"
	}
	return 0, ""
}

// refuseTwin is vlan_check_real_dev and vxlan_vni_in_use: two links that would take the same frames.
func refuseTwin(s netstate.State, step netstate.Step) (unix.Errno, string) {
	made := step.To.Link
	if step.Kind != netstate.StepLink || made == nil {
		return 0, ""
	}
	for _, i := range s.Interfaces {
		if made.VLAN != nil && i.VLAN != nil && i.Base() == made.Base() &&
			value(i.VLAN.ID) == value(made.VLAN.ID) && protocol(i.VLAN) == protocol(made.VLAN) {
			return unix.EEXIST, "VLAN device already exists"
		}
		if made.VXLAN != nil && i.VXLAN != nil && value(i.VXLAN.ID) == value(made.VXLAN.ID) &&
			value(i.VXLAN.DestinationPort) == value(made.VXLAN.DestinationPort) {
			return unix.EEXIST, "A VXLAN device with the specified VNI already exists"
		}
	}
	return 0, ""
}

// protocol is a VLAN's tag protocol, 802.1q when it is not said.
func protocol(v *netstate.VLAN) string {
	if v.Protocol == nil {
		return "802.1q"
	}
	return *v.Protocol
}

// refuseMTU is dev_validate_mtu, within the limits the driver told.
func refuseMTU(s netstate.State, step netstate.Step) (unix.Errno, string) {
	to := step.To.Link
	if step.Kind != netstate.StepSet || to == nil || to.MTU == nil {
		return 0, ""
	}
	i, _ := s.Interface(step.Link)
	switch {
	case i.MinMTU != nil && *to.MTU < *i.MinMTU:
		return unix.EINVAL, "mtu less than device minimum"
	case i.MaxMTU != nil && *to.MTU > *i.MaxMTU:
		return unix.EINVAL, "mtu greater than device maximum"
	}
	return 0, ""
}

// refuseHop is fib_check_nh: a next hop has to be on a subnet of its link. IPv6 link-local ones always are.
func refuseHop(s netstate.State, step netstate.Step) (unix.Errno, string) {
	to := step.To.Route
	if step.Kind != netstate.StepRoute || to == nil || !to.NextHopAddress.IsValid() ||
		to.NextHopAddress.IsLinkLocalUnicast() {
		return 0, ""
	}
	i, _ := s.Interface(to.NextHopInterface)
	for _, ip := range []*netstate.IP{i.IPv4, i.IPv6} {
		if ip != nil && reaches(ip.Address, to.NextHopAddress) {
			return 0, ""
		}
	}
	for _, route := range s.Routes.Running {
		onLink := route.NextHopInterface == to.NextHopInterface && !route.NextHopAddress.IsValid()
		if onLink && route.Destination.Contains(to.NextHopAddress) {
			return 0, ""
		}
	}
	return unix.ENETUNREACH, "Nexthop has invalid gateway"
}

// reaches reports whether an address is in the subnet of one of a link's.
func reaches(addresses []netstate.Address, hop netip.Addr) bool {
	for _, a := range addresses {
		if a.Prefix().Contains(hop) {
			return true
		}
	}
	return false
}
