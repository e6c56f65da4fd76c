// SPDX-License-Identifier: Apache-2.0

package netstate

// LLDP says whether a link is listened to for neighbours that announce themselves (IEEE 802.1AB). Nothing is ever
// announced by us.
type LLDP struct {
	Enabled *bool `json:"enabled,omitzero"`
	// Neighbors are those that announced themselves on the link, in a current state. Documents that are read have none:
	// what others say is no wish, and never compared.
	Neighbors LLDPNeighbors `json:"neighbors,omitzero"`
}

// LLDPNeighbors are the neighbours of one link, each with what it says about itself.
type LLDPNeighbors [][]LLDPItem

// An LLDPItem is one thing that a neighbour says about itself, in nmstate's words. Type, and with it OUI and Subtype
// where an organisation defined it, say which of the other keys are set.
type LLDPItem struct {
	// Type is the number of IEEE 802.1AB, table 8-1; 127 is for what an organisation defined.
	Type int `json:"type"`
	// OUI is whose item it is, like 00:80:c2, and Subtype which of theirs.
	OUI     string `json:"oui,omitzero"`
	Subtype int    `json:"subtype,omitzero"`

	SystemName         string   `json:"system-name,omitzero"`
	SystemDescription  string   `json:"system-description,omitzero"`
	SystemCapabilities []string `json:"system-capabilities,omitzero"`
	// ChassisID and PortID are texts, MACs or addresses, as the number of the type beside them says, which Description
	// has in words.
	ChassisID     string `json:"chassis-id,omitzero"`
	ChassisIDType int    `json:"chassis-id-type,omitzero"`
	PortID        string `json:"port-id,omitzero"`
	PortIDType    int    `json:"port-id-type,omitzero"`
	Description   string `json:"_description,omitzero"`

	ManagementAddresses []LLDPAddress `json:"management-addresses,omitzero"`
	VLANs               []LLDPVLAN    `json:"ieee-802-1-vlans,omitzero"`
	// PortProtocolVLANs are ids; 0 says that the neighbour has none.
	PortProtocolVLANs []int       `json:"ieee-802-1-ppvids,omitzero"`
	MACPhy            *LLDPMACPhy `json:"ieee-802-3-mac-phy-conf,omitzero"`
	MaxFrameSize      *int        `json:"ieee-802-3-max-frame-size,omitzero"`
}

// An LLDPAddress is one by which a neighbour is managed.
type LLDPAddress struct {
	Address string `json:"address"`
	// Subtype is IPv4, IPv6 or MAC.
	Subtype string `json:"address-subtype"`
	// InterfaceNumber is what the neighbour calls the interface, counted as InterfaceNumberSubtype says.
	InterfaceNumber        int64 `json:"interface-number"`
	InterfaceNumberSubtype int   `json:"interface-number-subtype"`
}

// An LLDPVLAN is a VLAN of the neighbour's port.
type LLDPVLAN struct {
	Name string `json:"name"`
	VID  int    `json:"vid"`
}

// LLDPMACPhy is how the neighbour's port has come to its speed.
type LLDPMACPhy struct {
	Autoneg            bool `json:"autoneg"`
	OperationalMAUType int  `json:"operational-mau-type"`
	PMDAutonegCap      int  `json:"pmd-autoneg-cap"`
}

// normal is what Equal compares.
func (l *LLDP) normal() *LLDP {
	if l == nil || !isTrue(l.Enabled) {
		return nil
	}
	return &LLDP{Enabled: l.Enabled}
}
