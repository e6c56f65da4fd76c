// SPDX-License-Identifier: Apache-2.0

package netstate

import "k8s.io/apimachinery/pkg/util/validation/field"

// checkParts asks for what a new link cannot do without.
func (c checker) checkParts(d, target Interface, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	need := func(isSet bool, part, key string) {
		if !isSet {
			errs = append(errs, field.Required(at.Child(part, key), "a new "+string(target.Type)+" needs it"))
		}
	}
	switch target.Type {
	case TypeVLAN:
		need(target.VLAN.BaseIface != nil && *target.VLAN.BaseIface != "", "vlan", "base-iface")
		need(target.VLAN.ID != nil, "vlan", "id")
	case TypeBond:
		need(target.Bond.Mode != nil, "link-aggregation", "mode")
	case TypeVXLAN:
		need(target.VXLAN.ID != nil, "vxlan", "id")
	case TypeVRF:
		need(target.VRF.RouteTableID != nil, "vrf", "route-table-id")
	case TypeMACVLAN:
		need(target.MACVLAN.BaseIface != nil && *target.MACVLAN.BaseIface != "", "mac-vlan", "base-iface")
		need(target.MACVLAN.Mode != nil, "mac-vlan", "mode")
	case TypeVeth:
		need(target.Veth != nil && target.Veth.Peer != "" || c.now[d.Name] != nil, "veth", "peer")
		if v := target.Veth; v != nil {
			if peer := c.target[v.Peer]; peer == nil || peer.Veth == nil || peer.Veth.Peer != d.Name {
				errs = append(errs, field.Invalid(at.Child("veth", "peer"), v.Peer, "is not the other end of "+d.Name))
			}
		}
	}
	if base := target.Base(); base != "" && c.target[base] == nil {
		errs = append(errs, missing(at.Child(target.partKey(), "base-iface"), base)...)
	}
	return errs
}

// checkTwins refuses a second link that would take the same frames (vlan_check_real_dev, vxlan_vni_in_use).
func (c checker) checkTwins(target Interface, at *field.Path) field.ErrorList {
	sameVLAN := func(other *Interface) bool {
		return other.VLAN != nil && target.VLAN.ID != nil && same(target.VLAN.ID, other.VLAN.ID) &&
			target.Base() == other.Base() && vlanProtocol(target.VLAN) == vlanProtocol(other.VLAN)
	}
	sameTunnel := func(other *Interface) bool {
		return other.VXLAN != nil && target.VXLAN.ID != nil && same(target.VXLAN.ID, other.VXLAN.ID) &&
			same(target.VXLAN.DestinationPort, other.VXLAN.DestinationPort) &&
			target.VXLAN.overIPv6() == other.VXLAN.overIPv6()
	}
	switch {
	case target.VLAN != nil:
		if twin := c.firstOther(target.position(), target.Name, sameVLAN); twin != "" {
			return field.ErrorList{field.Invalid(at.Child("vlan", "id"), *target.VLAN.ID,
				twin+" is that VLAN of "+target.Base()+" already")}
		}
	case target.VXLAN != nil:
		if twin := c.firstOther(target.position(), target.Name, sameTunnel); twin != "" {
			return field.ErrorList{field.Invalid(at.Child("vxlan", "id"), *target.VXLAN.ID, twin+" is that tunnel already")}
		}
	}
	return nil
}

// checkBondMAC refuses a MAC for a bond that is to go on taking that of its active port.
func checkBondMAC(d, target Interface, at *field.Path) field.ErrorList {
	const why = "with fail_over_mac active the bond takes the MAC of its active port"
	switch {
	case target.Bond == nil || target.Bond.Options == nil || deref(target.Bond.Options.FailOverMAC) != "active" ||
		deref(target.Bond.Mode) != "active-backup":
		return nil
	case d.MAC != nil && !d.byMAC():
		return field.ErrorList{field.Forbidden(at.Child("mac-address"), why)}
	case d.CopyMACFrom != nil:
		return field.ErrorList{field.Forbidden(at.Child("copy-mac-from"), why)}
	}
	return nil
}

// checkBondDelays refuses delays of a bond that does not look at the carriers of its ports.
func checkBondDelays(d, target Interface, at *field.Path) field.ErrorList {
	if d.Bond == nil || d.Bond.Options == nil || target.Bond == nil || target.Bond.interval() > 0 {
		return nil
	}
	var errs field.ErrorList
	at = at.Child("link-aggregation", "options")
	for _, delay := range []struct {
		key  string
		said *int
	}{{"updelay", d.Bond.Options.UpDelay}, {"downdelay", d.Bond.Options.DownDelay}} {
		if positive(delay.said) {
			errs = append(errs, field.Forbidden(at.Child(delay.key), "has an effect only with miimon: set that, too"))
		}
	}
	return errs
}
