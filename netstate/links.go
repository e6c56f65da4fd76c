package netstate

import "net/netip"

// Ethernet is the part of a physical NIC. It is shown; asking for another value is an error of Plan,
// because nothing here speaks ethtool.
type Ethernet struct {
	AutoNegotiation *bool   `json:"auto-negotiation,omitzero"`
	Speed           *int    `json:"speed,omitzero" range:"0 4294967295"` // Mbit/s
	Duplex          *string `json:"duplex,omitzero" words:"full half"`   // full or half
}

// A VLAN is a tagged sub-interface. BaseIface, ID and Protocol cannot change while the link exists: a
// plan that changes them removes the link and makes it again.
type VLAN struct {
	BaseIface *string `json:"base-iface,omitzero"`
	ID        *int    `json:"id,omitzero" range:"1 4094"`
	Protocol  *string `json:"protocol,omitzero" words:"802.1q 802.1ad"` // 802.1q (when omitted) or 802.1ad
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
	ID        *int       `json:"id,omitzero" range:"0 16777215"`
	Remote    netip.Addr `json:"remote,omitzero"`
	Local     netip.Addr `json:"local,omitzero"`
	// DestinationPort is 4789 for a new link unless said otherwise.
	DestinationPort *int  `json:"destination-port,omitzero" range:"1 65535"`
	Learning        *bool `json:"learning,omitzero"`
}

// A VRF is a routing domain. The table cannot change while the link exists.
type VRF struct {
	// Port is as Bridge.Port: nil keeps, empty detaches, a list replaces.
	Port         []string `json:"port,omitzero" alias:"ports"`
	RouteTableID *int     `json:"route-table-id,omitzero" range:"1 4294967295"`
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
