// SPDX-License-Identifier: Apache-2.0

// Package macpool has the values of the ledger of MAC addresses, so that no two interfaces of a cluster have the same:
// what an address, a range and a holder are, and what may become of the 256 addresses of a block. It decides and does
// nothing: package ledger lends addresses, cluster keeps blocks in the API server, janitor keeps them true to what
// exists.
package macpool

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
)

// A MAC is a 48-bit Ethernet address (EUI-48, IEEE Std 802), most significant octet first. It is comparable: two
// spellings of one address are one MAC.
type MAC [6]byte

// Reasons an address cannot be that of an interface.
var (
	// ErrMulticast says that the lowest bit of the first octet is set (IEEE Std 802-2014, 8.2.2).
	ErrMulticast = errors.New("is a multicast address: the first octet of an interface's address is even")
	// ErrBroadcast says that every bit is set.
	ErrBroadcast = errors.New("is the broadcast address")
	// ErrZero says that no bit is set.
	ErrZero = errors.New("is the zero address: leave the address out to have one assigned")
)

// ParseMAC reads an address of six octets in any of the spellings of net.ParseMAC: 02:4a:be:00:00:0b,
// 02-4A-BE-00-00-0B, 024a.be00.000b. Addresses of other lengths (EUI-64, InfiniBand) are refused.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil {
		return MAC{}, errors.New("is not an address of six octets such as 02:4a:be:00:00:0b")
	}
	if len(hw) != 6 {
		return MAC{}, fmt.Errorf("has %d octets: an Ethernet address has six, such as 02:4a:be:00:00:0b", len(hw))
	}
	return MAC(hw), nil
}

// ParseInterfaceMAC reads an address as ParseMAC does and refuses one that no interface can have, with ErrMulticast,
// ErrBroadcast or ErrZero.
func ParseInterfaceMAC(s string) (MAC, error) {
	m, err := ParseMAC(s)
	if err != nil {
		return MAC{}, err
	}
	switch {
	case m == MAC{}:
		return MAC{}, ErrZero
	case m == MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}:
		return MAC{}, ErrBroadcast
	case m.Multicast():
		return MAC{}, ErrMulticast
	}
	return m, nil
}

// String spells the address in lower case with colons: 02:4a:be:00:00:0b.
func (m MAC) String() string {
	return net.HardwareAddr(m[:]).String()
}

// Prefix returns the block the address belongs to.
func (m MAC) Prefix() Prefix {
	return Prefix(m[:5])
}

// Compare returns negative, zero or positive as m is before, at or after other.
func (m MAC) Compare(other MAC) int {
	return cmp.Compare(m.number(), other.number())
}

// Multicast reports whether the address is a group address (IEEE 802, the I/G bit), which no interface may have.
func (m MAC) Multicast() bool {
	return m[0]&1 == 1
}

func (m MAC) number() uint64 {
	return uint64(binary.BigEndian.Uint16(m[:2]))<<32 | uint64(binary.BigEndian.Uint32(m[2:]))
}

func macOf(n uint64) MAC {
	var eight [8]byte
	binary.BigEndian.PutUint64(eight[:], n)
	return MAC(eight[2:])
}

// A Prefix is the first five octets of the 256 addresses of one block.
type Prefix [5]byte

// ParsePrefix reads the name of a MACBlock: 02-4a-be-00-00.
func ParsePrefix(name string) (Prefix, error) {
	m, err := ParseMAC(name + "-00")
	if err != nil || (Prefix(m[:5])).String() != name {
		return Prefix{}, fmt.Errorf("%q does not name a block: want five octets such as 02-4a-be-00-00", name)
	}
	return Prefix(m[:5]), nil
}

// String spells the prefix as the MACBlock is named: 02-4a-be-00-00.
func (p Prefix) String() string {
	return fmt.Sprintf("%02x-%02x-%02x-%02x-%02x", p[0], p[1], p[2], p[3], p[4])
}

// Address returns the address of the block that ends in suffix.
func (p Prefix) Address(suffix byte) MAC {
	return MAC{p[0], p[1], p[2], p[3], p[4], suffix}
}

func (p Prefix) number() uint64 {
	return p.Address(0).number() >> 8
}

func prefixOf(n uint64) Prefix {
	return macOf(n << 8).Prefix()
}
