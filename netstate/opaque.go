// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding/hex"
	"fmt"
)

// Opaque is what a kernel keeps about a link, a port, an address, a route or a rule, and no document has a key for:
// netlink attributes one after the other, as they came, except for those that only count something. It is carried so
// that what is taken away for a while is put back as it was. Only package kernel looks inside; here it is a value
// that is equal to another or not. The empty Opaque is how we make such a thing ourselves.
type Opaque string

// MarshalText returns the bytes in hexadecimal digits, as the journal keeps them.
func (o Opaque) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, []byte(o)), nil }

// UnmarshalText reads hexadecimal digits.
func (o *Opaque) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("attributes of the kernel: %w", err)
	}
	*o = Opaque(raw)
	return nil
}

// A StaticMAC is an entry of a bridge's forwarding table that somebody configured, as opposed to one the bridge
// learnt or has for its own addresses.
type StaticMAC struct {
	MAC  MAC `json:"mac"`
	VLAN int `json:"vlan,omitzero"`
	// State and Flags are the kernel's (NUD_*, NTF_*).
	State int `json:"state"`
	Flags int `json:"flags,omitzero"`
}
