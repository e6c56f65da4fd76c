// SPDX-License-Identifier: Apache-2.0

package lldp

import (
	"encoding/binary"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// Whose TLVs we know, and which of theirs (IEEE 802.1Q, annex D, and IEEE 802.3, clause 79).
const (
	oui8021, oui8023 = "00:80:c2", "00:12:0f"

	subtypePPVID     = 2
	subtypeVLANName  = 3
	subtypeMACPhy    = 1
	subtypeFrameSize = 4
)

// organizations collects what TLVs say that organisations have defined.
type organizations struct {
	vlans             []netstate.LLDPVLAN
	ppvids            []int
	macPhy, frameSize *netstate.LLDPItem
}

func (o *organizations) read(value []byte) {
	if len(value) < 4 {
		return
	}
	oui, subtype, rest := hex(value[:3], false), int(value[3]), value[4:]
	item := netstate.LLDPItem{Type: tlvOrganization, OUI: oui, Subtype: subtype}
	switch {
	case oui == oui8021 && subtype == subtypePPVID && len(rest) >= 3:
		o.ppvids = append(o.ppvids, int(binary.BigEndian.Uint16(rest[1:])))
	case oui == oui8021 && subtype == subtypeVLANName && len(rest) >= 3 && len(rest) >= 3+int(rest[2]):
		name := text(rest[3 : 3+int(rest[2])])
		o.vlans = append(o.vlans, netstate.LLDPVLAN{Name: name, VID: int(binary.BigEndian.Uint16(rest))})
	case oui == oui8023 && subtype == subtypeMACPhy && len(rest) >= 5:
		item.MACPhy = &netstate.LLDPMACPhy{
			Autoneg:            rest[0] != 0,
			PMDAutonegCap:      int(binary.BigEndian.Uint16(rest[1:])),
			OperationalMAUType: int(binary.BigEndian.Uint16(rest[3:])),
		}
		first(&o.macPhy, item)
	case oui == oui8023 && subtype == subtypeFrameSize && len(rest) >= 2:
		item.MaxFrameSize = new(int(binary.BigEndian.Uint16(rest)))
		first(&o.frameSize, item)
	}
}

func (o *organizations) vlanItem() *netstate.LLDPItem {
	if o.vlans == nil {
		return nil
	}
	return &netstate.LLDPItem{Type: tlvOrganization, OUI: oui8021, Subtype: subtypeVLANName, VLANs: o.vlans}
}

func (o *organizations) ppvidItem() *netstate.LLDPItem {
	if o.ppvids == nil {
		return nil
	}
	return &netstate.LLDPItem{Type: tlvOrganization, OUI: oui8021, Subtype: subtypePPVID, PortProtocolVLANs: o.ppvids}
}
