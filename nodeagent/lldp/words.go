// SPDX-License-Identifier: Apache-2.0

package lldp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// The families of addresses (IANA, address family numbers).
const (
	familyIPv4 = 1
	familyIPv6 = 2
	familyMAC  = 6
)

// chassisItem is the id of a chassis, whose first byte is its kind (IEEE 802.1AB, table 8-2).
func chassisItem(value []byte) netstate.LLDPItem {
	const mac, network = 4, 5
	kinds := []string{"Reserved", "Chassis component", "Interface alias", "Port component", "MAC address",
		"Network address", "Interface name", "Locally assigned"}
	kind := int(value[0])
	return netstate.LLDPItem{
		Type: tlvChassisID, ChassisIDType: kind, ChassisID: idText(value[1:], kind == mac, kind == network),
		Description: wordOf(kinds, kind),
	}
}

// portItem is the id of a port, whose first byte is its kind (IEEE 802.1AB, table 8-3).
func portItem(value []byte) netstate.LLDPItem {
	const mac, network = 3, 4
	kinds := []string{"Reserved", "Interface alias", "Port component", "MAC address", "Network address", "Interface name",
		"Agent circuit ID", "Locally assigned"}
	kind := int(value[0])
	return netstate.LLDPItem{
		Type: tlvPortID, PortIDType: kind, PortID: idText(value[1:], kind == mac, kind == network),
		Description: wordOf(kinds, kind),
	}
}

func wordOf(words []string, n int) string {
	if n < len(words) {
		return words[n]
	}
	return words[0]
}

// idText is an id as people write it: a MAC, an address, a text, or else its bytes.
func idText(id []byte, mac, network bool) string {
	if network {
		if text, _, ok := address(id); ok {
			return text
		}
	}
	written := text(id)
	if mac || network || written == "" || strings.TrimRight(string(id), "\x00") != written {
		return hex(id, true)
	}
	return written
}

// address reads an address behind the number of its family.
func address(value []byte) (text, family string, ok bool) {
	if len(value) < 2 {
		return "", "", false
	}
	ip, isIP := netip.AddrFromSlice(value[1:])
	switch kind := value[0]; {
	case kind == familyIPv4 && isIP && ip.Is4():
		return ip.String(), "IPv4", true
	case kind == familyIPv6 && isIP && ip.Is6():
		return ip.String(), "IPv6", true
	case kind == familyMAC:
		return hex(value[1:], true), "MAC", true
	}
	return "", "", false
}

// managementAddress reads a TLV (IEEE 802.1AB, 8.5.9): the length of an address, the address, and the number of an
// interface. The name of an object that may follow is left out.
func managementAddress(value []byte) (netstate.LLDPAddress, bool) {
	if len(value) < 1 {
		return netstate.LLDPAddress{}, false
	}
	length, rest := int(value[0]), value[1:]
	if len(rest) < length+5 {
		return netstate.LLDPAddress{}, false
	}
	text, family, ok := address(rest[:length])
	return netstate.LLDPAddress{
		Address: text, Subtype: family, InterfaceNumberSubtype: int(rest[length]),
		InterfaceNumber: int64(binary.BigEndian.Uint32(rest[length+1:])),
	}, ok
}

// capabilities are the words for bits (IEEE 802.1AB, table 8-4).
func capabilities(bits uint16) []string {
	words := []string{"Other", "Repeater", "MAC Bridge component", "802.11 Access Point (AP)", "Router", "Telephone",
		"DOCSIS cable device", "Station Only", "C-VLAN component", "S-VLAN component", "Two-port MAC Relay component"}
	able := []string{}
	for n, word := range words {
		if bits&(1<<n) != 0 {
			able = append(able, word)
		}
	}
	return able
}

// text is what a neighbour wrote, without what is no text and without what would act on a terminal. It is as long as
// the standard allows at most.
func text(value []byte) string {
	if len(value) > maxText {
		value = value[:maxText]
	}
	written := strings.ToValidUTF8(string(value), "")
	return strings.TrimRight(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, written), " \n")
}

// hex writes bytes with colons between.
func hex(value []byte, upper bool) string {
	format := "%02x"
	if upper {
		format = "%02X"
	}
	parts := make([]string, len(value))
	for n, b := range value {
		parts[n] = fmt.Sprintf(format, b)
	}
	return strings.Join(parts, ":")
}
