// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"
	"slices"
)

// A LinkType is the kind of a link, in nmstate's words. The empty LinkType of a desired interface means
// "whatever it is now".
type LinkType string

// The kinds of links that can be configured.
const (
	TypeEthernet LinkType = "ethernet"
	TypeBridge   LinkType = "linux-bridge"
	TypeVLAN     LinkType = "vlan"
	TypeBond     LinkType = "bond"
	TypeDummy    LinkType = "dummy"
	TypeVeth     LinkType = "veth"
	TypeVXLAN    LinkType = "vxlan"
	TypeVRF      LinkType = "vrf"
	TypeMACVLAN  LinkType = "mac-vlan"
	TypeLoopback LinkType = "loopback"
)

// The kinds of links that are only ever shown, with StateIgnore: somebody else makes and removes them.
const (
	TypeTun     LinkType = "tun" // both tun and tap devices
	TypeMACVTAP LinkType = "mac-vtap"
	TypeUnknown LinkType = "unknown" // any kind without a name of its own here
)

// A LinkState says whether a link is wanted, and whether it is administratively up.
type LinkState string

// The states of a link. A current state knows only StateUp, StateDown and StateIgnore.
const (
	// StateUp is a link with IFF_UP. It is what an omitted state of a desired interface means.
	StateUp LinkState = "up"
	// StateDown is a link that exists without IFF_UP. Unlike nmstate, which deletes virtual links that
	// are wanted down, we keep them.
	StateDown LinkState = "down"
	// StateAbsent asks for removal. Virtual links are deleted. Physical ones cannot be: they lose their
	// addresses, routes, controller and description, get their permanent MAC back, and go down.
	StateAbsent LinkState = "absent"
	// StateIgnore is a link that is somebody else's (a pod's veth, a VM's tap): it is shown and never touched.
	StateIgnore LinkState = "ignore"
)

// Ethernet is the part of a physical NIC. But for the virtual functions it is shown only: asking for another value is
// an error of Plan.
type Ethernet struct {
	AutoNegotiation *bool   `json:"auto-negotiation,omitzero"`
	Speed           *int    `json:"speed,omitzero"            range:"0 4294967295"`                   // Mbit/s
	Duplex          *string `json:"duplex,omitzero"                                words:"full half"` // full or half
	SRIOV           *SRIOV  `json:"sr-iov,omitzero"`
}

// SRIOV is the part of a NIC that can make virtual functions; nil for all others.
type SRIOV struct {
	// TotalVFs is how many there are. The kernel makes them all again when the number changes.
	TotalVFs *int `json:"total-vfs,omitzero" range:"0 65535"`
	// MaxVFs is how many there can be; read only.
	MaxVFs int `json:"kernel-max-vfs,omitzero"`
}

// A VLAN is a tagged sub-interface. BaseIface, ID and Protocol cannot change while the link exists: a
// plan that changes them removes the link and makes it again.
type VLAN struct {
	BaseIface *string `json:"base-iface,omitzero"`
	ID        *int    `json:"id,omitzero"         range:"1 4094"`
	Protocol  *string `json:"protocol,omitzero"                  words:"802.1q 802.1ad"` // 802.1q (when omitted) or 802.1ad
	// ReorderHeaders is on for a new VLAN unless the policy says otherwise.
	ReorderHeaders *bool `json:"reorder-headers,omitzero"`
	LooseBinding   *bool `json:"loose-binding,omitzero"`
	// RegistrationProtocol is none, gvrp or mvrp.
	RegistrationProtocol *string `json:"registration-protocol,omitzero" words:"none gvrp mvrp"`
}

// A Veth is one end of a virtual cable. Peer is the other end, an interface of the same State. When the
// other end lives in another network namespace, the interface has no Veth at all (and StateIgnore).
type Veth struct {
	Peer string `json:"peer"`
}

// A VXLAN is a layer-2 tunnel. Nothing of it but Learning can change while the link exists.
type VXLAN struct {
	// BaseIface may be "" for a tunnel that follows the routing table.
	BaseIface *string    `json:"base-iface,omitzero"`
	ID        *int       `json:"id,omitzero"         range:"0 16777215"`
	Remote    netip.Addr `json:"remote,omitzero"`
	Local     netip.Addr `json:"local,omitzero"`
	// DestinationPort is 4789 for a new link unless said otherwise.
	DestinationPort *int  `json:"destination-port,omitzero" range:"1 65535"`
	Learning        *bool `json:"learning,omitzero"`
}

// overIPv6 reports whether the ends of the tunnel have IPv6 addresses. Tunnels of one id and port over IPv4 and over
// IPv6 are two.
func (v *VXLAN) overIPv6() bool { return v.Remote.Is6() || v.Local.Is6() }

// A VRF is a routing domain. The table cannot change while the link exists.
type VRF struct {
	// Port is as Bridge.Port: nil keeps, empty detaches, a list replaces.
	Port         []string `json:"port,omitzero"           alias:"ports"`
	RouteTableID *int     `json:"route-table-id,omitzero"               range:"1 4294967295"`
}

// A MACVLAN is a link with a MAC of its own on top of another. BaseIface cannot change while the link
// exists, and neither can a mode that is or becomes passthru.
type MACVLAN struct {
	BaseIface *string `json:"base-iface,omitzero"`
	// Mode is vepa, bridge, private, passthru or source.
	Mode *string `json:"mode,omitzero" words:"vepa bridge private passthru source"`
	// Promiscuous false is the kernel's MACVLAN_FLAG_NOPROMISC. New links have it true.
	Promiscuous *bool `json:"promiscuous,omitzero"`
}

// makeable reports whether a link of the type can be made: one of the types that are not hardware.
func makeable(t LinkType) bool {
	return t != TypeEthernet && t != TypeLoopback && slices.Contains(configurable(), t)
}

func vlanProtocol(v *VLAN) string {
	if v.Protocol == nil {
		return "802.1q"
	}
	return *v.Protocol
}

// configurable lists the types a desired interface can have.
func configurable() []LinkType {
	return []LinkType{TypeEthernet, TypeBridge, TypeVLAN, TypeBond, TypeDummy, TypeVeth, TypeVXLAN, TypeVRF,
		TypeMACVLAN, TypeLoopback}
}
