// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"fmt"
	"net"
)

// A MAC is a 6-byte link-layer address. It is comparable, and its text is upper case, as nmstate shows it.
type MAC [6]byte

// ParseMAC reads the text of a 6-byte address, in either case.
func ParseMAC(text string) (MAC, error) {
	hardware, err := net.ParseMAC(text)
	if err != nil || len(hardware) != len(MAC{}) {
		return MAC{}, fmt.Errorf("%q is not a MAC address like 52:55:00:D1:56:00", text)
	}
	return MAC(hardware), nil
}

// String returns the address as 52:55:00:D1:56:00.
func (m MAC) String() string {
	return fmt.Sprintf("%02X:%02X:%02X:%02X:%02X:%02X", m[0], m[1], m[2], m[3], m[4], m[5])
}

// MarshalText implements encoding.TextMarshaler.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *MAC) UnmarshalText(text []byte) error {
	parsed, err := ParseMAC(string(text))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}

// multicast reports whether the address names a group, which no interface can have as its own.
func (m MAC) multicast() bool { return m[0]&1 == 1 }
