// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/insomniacslk/dhcp/rfc1035label"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// An identity is what a client says about itself in each of its messages.
type identity struct {
	mac      netstate.MAC
	clientID []byte
	// options has the name of the host, in option 12 or 81, or nothing.
	options []dhcpv4.Option
}

// identify makes the identity that orders ask for.
func identify(mac netstate.MAC, orders netstate.IP, hostname string) identity {
	id := identity{mac: mac, clientID: clientID(orders.DHCPClientID, mac)}
	if name := nameToSay(orders, hostname); name != "" {
		id.options = []dhcpv4.Option{hostnameOption(name)}
	}
	return id
}

// nameToSay returns the name of the host that servers are told, "" for none.
func nameToSay(orders netstate.IP, hostname string) string {
	if !orElse(orders.DHCPSendHostname, true) {
		return ""
	}
	if custom := orElse(orders.DHCPCustomHostname, ""); custom != "" {
		return custom
	}
	hostname, _, _ = strings.Cut(hostname, ".")
	return hostname
}

// hostnameOption returns option 12 for a plain name and option 81 (RFC 4702), with the request that the server
// keeps the name's address in DNS, for a name with dots.
func hostnameOption(name string) dhcpv4.Option {
	if !strings.Contains(name, ".") {
		return dhcpv4.OptHostName(name)
	}
	const serverUpdates, canonicalWire = 1 << 0, 1 << 2
	labels := rfc1035label.Labels{Labels: []string{strings.TrimSuffix(name, ".")}}
	value := append([]byte{serverUpdates | canonicalWire, 0, 0}, labels.ToBytes()...)
	return dhcpv4.OptGeneric(dhcpv4.OptionFQDN, value)
}

// clientID returns option 61: hardware type and MAC ("ll", and when nothing is said), IAID and DUID of RFC 4361
// ("iaid+duid", both made of the MAC), bytes ("01:02:aa"), or any other text as it is, with type 0 before it.
func clientID(setting *string, mac netstate.MAC) []byte {
	ethernet := byte(iana.HWTypeEthernet)
	text := "ll"
	if setting != nil && *setting != "" {
		text = *setting
	}
	switch text {
	case "ll":
		return append([]byte{ethernet}, mac[:]...)
	case "iaid+duid":
		const typeRFC4361, duidLinkLayer = 255, 3
		id := append([]byte{typeRFC4361}, mac[2:]...)
		return append(append(id, 0, duidLinkLayer, 0, ethernet), mac[:]...)
	}
	if id, ok := netstate.ColonHex(text); ok {
		return id
	}
	return append([]byte{0}, text...)
}

// An outgoing is a message of one of the versions on its way to a server, or an ARP packet to everybody on the link.
type outgoing struct {
	message  *dhcpv4.DHCPv4
	message6 *dhcpv6.Message
	arp      *arp
	// From is the address the client has, invalid for none; To the server's, invalid for all servers.
	From, To netip.Addr
}

// kind says what it is, for logs.
func (p outgoing) kind() string {
	switch {
	case p.message != nil:
		return p.message.MessageType().String()
	case p.message6 != nil:
		return p.message6.MessageType.String()
	}
	return "ARP"
}

// An incoming is what a link heard: a message of one of the versions, or an ARP packet.
type incoming struct {
	message  *dhcpv4.DHCPv4
	message6 *dhcpv6.Message
	arp      *arp
}

// message returns a message of a kind with what every message has. waited is how long the client has been
// trying.
func (id identity) message(kind dhcpv4.MessageType, xid dhcpv4.TransactionID, waited time.Duration) *dhcpv4.DHCPv4 {
	m := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootRequest, HWType: iana.HWTypeEthernet, ClientHWAddr: net.HardwareAddr(id.mac[:]),
		TransactionID: xid, NumSeconds: uint16(min(waited/time.Second, 1<<16-1)), Options: dhcpv4.Options{},
		ClientIPAddr: net.IPv4zero, YourIPAddr: net.IPv4zero, ServerIPAddr: net.IPv4zero, GatewayIPAddr: net.IPv4zero,
	}
	m.UpdateOption(dhcpv4.OptMessageType(kind))
	m.UpdateOption(dhcpv4.OptClientIdentifier(id.clientID))
	return m
}

// question returns a message that asks for parameters.
func (id identity) question(kind dhcpv4.MessageType, xid dhcpv4.TransactionID, waited time.Duration) *dhcpv4.DHCPv4 {
	m := id.message(kind, xid, waited)
	m.UpdateOption(dhcpv4.OptMaxMessageSize(maxMessage))
	m.UpdateOption(dhcpv4.OptParameterRequestList( // 121 comes first, see RFC 3442
		dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter,
		dhcpv4.OptionDomainNameServer, dhcpv4.OptionDomainName, dhcpv4.OptionDNSDomainSearchList,
		dhcpv4.OptionBroadcastAddress, dhcpv4.OptionIPAddressLeaseTime, dhcpv4.OptionServerIdentifier,
		dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue,
	))
	for _, option := range id.options {
		m.UpdateOption(option)
	}
	return m
}

// release returns the message that gives a lease back. It is not answered.
func (id identity) release(l Lease, xid dhcpv4.TransactionID) *dhcpv4.DHCPv4 {
	m := id.message(dhcpv4.MessageTypeRelease, xid, 0)
	m.ClientIPAddr = l.Address.Addr().AsSlice()
	m.UpdateOption(dhcpv4.OptServerIdentifier(l.Server.AsSlice()))
	return m
}
