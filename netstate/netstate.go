// SPDX-License-Identifier: Apache-2.0

// Package netstate holds the network state of a node as a plain value, in the shape kubernetes-nmstate
// calls desiredState and currentState, and decides everything that can be decided about it without
// touching a node: Parse reads it strictly, Validate lists what is wrong with it, Merge says where a
// wish would lead, Plan lists the steps that lead there, Step.Inverse undoes one of them, Revert says
// what would undo the wish, and Format shows a plan to a person.
//
// Nothing here reads a clock, a file or a socket, and nothing modifies its arguments. Values share their
// pointers and slices: treat what a State, an Interface or a Step points to as constant, and replace the
// pointer instead of writing through it.
package netstate

// Keys that begin with "kernel-" are facts nmstate has no key for. A Step keeps them in its JSON, so that
// it can be journalled and read back with encoding/json; the JSON of a State, which is nmstate's, has none.
const internalKey = "kernel-"

// A State is the network configuration of one node, or a wish about it.
//
// The same type serves both. In a current state (read from a kernel, or the result of Merge) every key
// that applies to an interface is set. In a desired state a nil pointer or nil slice means "not
// mentioned, leave it as it is", while an empty, non-nil slice means "none". An interface, route or rule
// that a desired state does not mention is left alone; removal is asked for with StateAbsent.
type State struct {
	// Description is free text about the whole state. It has no effect.
	Description string `json:"description,omitzero"`
	// Interfaces keeps the order of the document it was parsed from; kernel.Read sorts it by name.
	// A name occurs once.
	Interfaces []Interface `json:"interfaces,omitzero"`
	Routes     Routes      `json:"routes,omitzero"`
	RouteRules RouteRules  `json:"route-rules,omitzero"`
	DNS        DNS         `json:"dns-resolver,omitzero"`
}

// An Interface is one link with everything configured on it. At most one of the parts from Ethernet
// down is set, the one that goes with Type.
type Interface struct {
	// Name is the kernel's name, 1 to 15 bytes.
	Name string `json:"name"`
	// Description is kept in the link's alias (IFLA_IFALIAS). Empty means none.
	Description *string   `json:"description,omitzero"`
	Type        LinkType  `json:"type,omitzero"`
	State       LinkState `json:"state,omitzero"`
	// Ignored is the administrative state of a link that is shown with StateIgnore although a policy may name it: a veth
	// whose other end is in another network namespace, such as the NIC of a node that is a container itself.
	Ignored LinkState `json:"kernel-ignored,omitzero"`
	// Below is the link under one of a kind that no policy can make: the kernel deletes the one with the other.
	Below string `json:"kernel-below,omitzero"`
	// MAC is the address in use. A port of a bond shows the bond's. Nil for links that have none or a
	// longer one (tun, infiniband).
	MAC *MAC `json:"mac-address,omitzero"`
	// PermanentMAC is the one burnt into a NIC, or else the one that a port of a bond has when it leaves; read only.
	PermanentMAC *MAC `json:"permanent-mac-address,omitzero"`
	// CopyMACFrom names another interface whose permanent MAC, or else current MAC, a new bridge or bond
	// takes. Merge resolves it into MAC: it occurs in desired states only.
	CopyMACFrom *string `json:"copy-mac-from,omitzero"`
	// KeepsMAC says of a bridge that its MAC was set (addr_assign_type 3, NET_ADDR_SET), so that no port changes it by
	// coming or going; nil is not known. A bridge that a policy names and that carries addresses keeps its own. The
	// kernel has no way back from there.
	KeepsMAC *bool `json:"kernel-keeps-mac,omitzero"`
	MTU      *int  `json:"mtu,omitzero"           range:"68 65536"`
	// MinMTU and MaxMTU are the driver's limits (IFLA_MIN_MTU, IFLA_MAX_MTU); read only. A driver without
	// a limit shows 65535 at most.
	MinMTU *int `json:"min-mtu,omitzero"`
	MaxMTU *int `json:"max-mtu,omitzero"`
	// Controller is the bridge, bond or vrf the link is a port of. In a current state nil means none; in
	// a desired state nil means "as the port lists say" and "" means none. The port lists of the
	// controllers and this key always agree in a current state.
	Controller *string `json:"controller,omitzero"`
	// AcceptAllMAC is promiscuous mode asked for by the administrator (IFF_PROMISC), not the one a bridge
	// switches on for its ports.
	AcceptAllMAC *bool `json:"accept-all-mac-addresses,omitzero"`
	// Identifier says how a desired entry finds its link: by name, or by the MAC address in MAC; see Resolve.
	Identifier *string `json:"identifier,omitzero" words:"name mac-address"`
	// ProfileName and WaitIP mean something to NetworkManager only. They are accepted and have no effect.
	ProfileName *string `json:"profile-name,omitzero"`
	WaitIP      *string `json:"wait-ip,omitzero"      words:"any ipv4 ipv6 ipv4+ipv6"`
	// LLDP is no business of the kernel: kernel.Read shows it as disabled.
	LLDP *LLDP `json:"lldp,omitzero"`
	// Manager is the program that configures the link, if we do not. Like ProfileName it says something about a
	// current state; in a desired one it has no effect.
	Manager Manager `json:"managed-by,omitzero"`
	// Legacy says that the profile by which the manager configures the link was left by kubernetes-nmstate. Like
	// Manager it says something about a current state.
	Legacy bool `json:"profile-of-nmstate,omitzero"`

	// Ethtool is what a NIC's driver can be told.
	Ethtool *Ethtool `json:"ethtool,omitzero"`

	IPv4 *IP `json:"ipv4,omitzero"`
	IPv6 *IP `json:"ipv6,omitzero"`

	Ethernet *Ethernet `json:"ethernet,omitzero"`
	Bridge   *Bridge   `json:"bridge,omitzero"`
	VLAN     *VLAN     `json:"vlan,omitzero"`
	Bond     *Bond     `json:"link-aggregation,omitzero"`
	Veth     *Veth     `json:"veth,omitzero"`
	VXLAN    *VXLAN    `json:"vxlan,omitzero"`
	VRF      *VRF      `json:"vrf,omitzero"`
	MACVLAN  *MACVLAN  `json:"mac-vlan,omitzero"`

	// Details are creation attributes of a link that can be made, such as the length of its queue.
	Details Opaque `json:"kernel-details,omitzero"`

	// Owned marks a link that a policy of ours made or named. It is knowledge about a current state that
	// the kernel does not have: kernel.Read leaves it false and Own sets it. See Foreign.
	Owned bool `json:"-"`
}

// Foreign reports whether a link of a current state belongs to somebody else, typically a pod or a VM:
// it is ignored, or it is of a kind that workloads plug into bridges (veth, tun, tap, macvtap, unknown
// kinds), and no policy named it. A foreign link is never detached from its controller, removed or
// otherwise changed on the way.
func (i Interface) Foreign() bool {
	if i.Owned {
		return false
	}
	switch i.Type {
	case TypeVeth, TypeTun, TypeMACVTAP, TypeUnknown:
		return true
	}
	return i.State == StateIgnore
}

// theirs reports whether not even a desired entry of its own lets us remove the link: it is shown with
// StateIgnore, and no policy of ours made it.
func (i Interface) theirs() bool { return i.State == StateIgnore && !i.Owned }

// Interface returns the interface called name.
func (s State) Interface(name string) (Interface, bool) {
	for _, i := range s.Interfaces {
		if i.Name == name {
			return i, true
		}
	}
	return Interface{}, false
}

// Base returns the name of the link a vlan, vxlan or mac-vlan stands on, or "".
func (i Interface) Base() string {
	switch {
	case i.VLAN != nil && i.VLAN.BaseIface != nil:
		return *i.VLAN.BaseIface
	case i.VXLAN != nil && i.VXLAN.BaseIface != nil:
		return *i.VXLAN.BaseIface
	case i.MACVLAN != nil && i.MACVLAN.BaseIface != nil:
		return *i.MACVLAN.BaseIface
	}
	return ""
}
