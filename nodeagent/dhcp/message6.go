// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/insomniacslk/dhcp/rfc1035label"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// An identity6 is what an IPv6 client says about itself. Servers know a lease by duid and iaid together.
type identity6 struct {
	mac  netstate.MAC
	duid dhcpv6.DUID
	iaid [4]byte
	// name is that of the host, nil for one that is not told.
	name dhcpv6.Option
}

// identify6 makes the identity that orders ask for, of a link with a MAC in a VLAN, 0 for none. last is the lease
// before, or nil.
func identify6(
	mac netstate.MAC, vlan uint16, orders netstate.IP, hostname, machineID string, last *Lease, now time.Time,
) identity6 {
	id := identity6{mac: mac, duid: duidOf(orElse(orders.DHCPDUID, ""), mac, machineID, last, now)}
	// The MAC goes with a NIC into its bridge, and VLANs have that of their base.
	copy(id.iaid[:], mac[2:])
	binary.BigEndian.PutUint16(id.iaid[:], binary.BigEndian.Uint16(id.iaid[:])^vlan)
	if name := nameToSay(orders, hostname); name != "" {
		const serverUpdates = 1 << 0 // RFC 4704, 4.1
		labels := &rfc1035label.Labels{Labels: []string{strings.TrimSuffix(name, ".")}}
		id.name = &dhcpv6.OptFQDN{Flags: serverUpdates, DomainName: labels}
	}
	return id
}

// duidOf returns the DUID that a setting asks for (RFC 8415, 11): made of the MAC (ll), of the MAC and the time of the
// first lease (llt), or given byte by byte. Else it is made of the machine's ID (uuid), for want of one of the MAC.
func duidOf(setting string, mac netstate.MAC, machineID string, last *Lease, now time.Time) dhcpv6.DUID {
	address := net.HardwareAddr(slices.Clone(mac[:]))
	bytes, given := netstate.ColonHex(setting)
	switch {
	case given:
		if duid, err := dhcpv6.DUIDFromBytes(bytes); err == nil {
			return duid
		}
		return &dhcpv6.DUIDOpaque{Type: dhcpv6.DUIDType(binary.BigEndian.Uint16(bytes)), Data: bytes[2:]}
	case setting == "llt":
		if last != nil {
			duid, err := dhcpv6.DUIDFromBytes(last.ClientID)
			if was, isLLT := duid.(*dhcpv6.DUIDLLT); err == nil && isLLT && slices.Equal(was.LinkLayerAddr, address) {
				return was
			}
		}
		begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		return &dhcpv6.DUIDLLT{
			HWType: iana.HWTypeEthernet, Time: uint32(now.Sub(begin) / time.Second), LinkLayerAddr: address,
		}
	case setting != "ll" && len(machineID) == 32:
		return &dhcpv6.DUIDUUID{UUID: machineUUID(machineID)}
	}
	return &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: address}
}

// machineUUID returns a UUID for a machine's ID, which must not be told to networks itself (machine-id(5)).
func machineUUID(machineID string) (uuid [16]byte) {
	hash := hmac.New(sha256.New, []byte(machineID))
	hash.Write([]byte("bridgehead DHCPv6 DUID"))
	copy(uuid[:], hash.Sum(nil))
	uuid[6], uuid[8] = uuid[6]&0x0f|0x40, uuid[8]&0x3f|0x80 // version 4, as RFC 9562 has it
	return uuid
}

// vlanOf returns the ID of the VLAN that a link is, or that a bridge has as a port; 0 for none.
func vlanOf(current netstate.State, link string) uint16 {
	i, _ := current.Interface(link)
	if i.VLAN != nil {
		return uint16(orElse(i.VLAN.ID, 0))
	}
	for _, port := range i.Ports() {
		if p, _ := current.Interface(port); p.VLAN != nil {
			return uint16(orElse(p.VLAN.ID, 0))
		}
	}
	return 0
}

// message returns a message of a kind with what every message has. waited is how long the client has been trying.
func (id identity6) message(
	kind dhcpv6.MessageType, xid dhcpv6.TransactionID, waited time.Duration,
) *dhcpv6.Message {
	const longest = 65535 * 10 * time.Millisecond
	m := &dhcpv6.Message{MessageType: kind, TransactionID: xid}
	m.AddOption(dhcpv6.OptClientID(id.duid))
	m.AddOption(dhcpv6.OptElapsedTime(min(waited, longest)))
	return m
}

// ask adds what the client wants to be told.
func (id identity6) ask(m *dhcpv6.Message) {
	codes := []dhcpv6.OptionCode{dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionDomainSearchList}
	if m.MessageType == dhcpv6.MessageTypeInformationRequest {
		codes = append(codes, dhcpv6.OptionInformationRefreshTime)
	} else if id.name != nil {
		m.AddOption(id.name)
	}
	m.AddOption(dhcpv6.OptRequestedOption(codes...))
}

// addIA adds the identity association, with the address of a lease if that has one.
func addIA(m *dhcpv6.Message, iaid [4]byte, l *Lease) {
	ia := &dhcpv6.OptIANA{IaId: iaid}
	if l != nil && l.Address.IsValid() {
		ia.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: l.Address.Addr().AsSlice()})
	}
	m.AddOption(ia)
}

// addServer adds whom of the servers a message is for.
func addServer(m *dhcpv6.Message, id []byte) {
	if duid, err := dhcpv6.DUIDFromBytes(id); err == nil {
		m.AddOption(dhcpv6.OptServerID(duid))
	}
}

// release6 returns the message that gives a lease back. Its answer changes nothing.
func release6(l Lease, roll uint32) *dhcpv6.Message {
	duid, err := dhcpv6.DUIDFromBytes(l.ClientID)
	if err != nil { // the file is broken, and the server will not know whose it is
		duid = &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: l.MAC[:]}
	}
	m := identity6{duid: duid}.message(dhcpv6.MessageTypeRelease, xid6(roll), 0)
	addServer(m, l.ServerID)
	addIA(m, l.IAID, &l)
	return m
}

// xid6 makes a transaction of a random number.
func xid6(roll uint32) dhcpv6.TransactionID {
	return dhcpv6.TransactionID{byte(roll >> 16), byte(roll >> 8), byte(roll)}
}
